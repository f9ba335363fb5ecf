import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import pytest

from hcft_jax.data.frames import stream
from hcft_jax.data.synthetic import Drawing, Synthetic, synthetic
from hcft_jax.util.errors import InputError

SMALL = Synthetic(seed=3, frames=60, height=120, width=160, target=(30, 22), motion=15)
EVERYTHING = dataclasses.replace(
    SMALL, scale=0.3, rotation=25, blur=0.8, illumination=0.3, occlusion=0.3, noise=4
)


def changed(**options: Any) -> Synthetic:
    return dataclasses.replace(SMALL, **options)


def frames(config: Synthetic) -> np.ndarray:
    drawing = Drawing(config)
    return np.stack([drawing.read(index) for index in range(len(drawing))])


def measured(mask: np.ndarray, angle: float) -> np.ndarray:
    """The box of a covered rectangle from its moments: centre, and sides by its spread."""
    rows, columns = np.indices(mask.shape) + 0.5
    area = mask.sum()
    y, x = (mask * rows).sum() / area, (mask * columns).sum() / area
    v = np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)
    u = np.sin(angle) * (rows - y) + np.cos(angle) * (columns - x)
    # A rectangle of side s spreads by s^2 / 12; the pixels' own extent adds 1 / 12.
    height, width = (np.sqrt(12 * (mask * axis**2).sum() / area - 1) for axis in (v, u))
    cosine, sine = abs(np.cos(angle)), abs(np.sin(angle))
    w, h = width * cosine + height * sine, width * sine + height * cosine
    return np.array([x - w / 2, y - h / 2, w, h])


def principal_angle(mask: np.ndarray) -> float:
    """The angle of the longer side against the vertical from the moments, clockwise, radians."""
    rows, columns = np.indices(mask.shape) + 0.5
    y, x = (rows * mask).sum() / mask.sum(), (columns * mask).sum() / mask.sum()
    rows, columns = rows - y, columns - x
    xy, yy, xx = ((mask * m).sum() for m in (rows * columns, rows**2, columns**2))
    return float(np.arctan2(-2 * xy, yy - xx) / 2)


@pytest.mark.parametrize(
    "options",
    [{}, {"scale": 0.4}, {"rotation": 40}, {"scale": 0.4, "rotation": 40, "target": (41, 17.5)}],
    ids=["translation", "scale", "rotation", "all"],
)
def test_the_box_is_that_of_the_drawn_target(options: dict[str, Any]) -> None:
    drawing = Drawing(changed(**options))
    for index in range(len(drawing)):
        mask = drawing.coverage(index)
        box = measured(mask, principal_angle(mask))
        np.testing.assert_allclose(box, drawing.boxes[index], rtol=0, atol=0.1)


@pytest.mark.parametrize("options", [{}, {"scale": 0.4}])
def test_an_upright_target_covers_each_pixel_exactly(options: dict[str, Any]) -> None:
    drawing = Drawing(changed(**options))
    for index in range(0, len(drawing), 7):
        x, y, w, h = drawing.boxes[index]
        rows, columns = np.arange(120), np.arange(160)
        in_rows = np.clip(np.minimum(rows + 1, y + h) - np.maximum(rows, y), 0, 1)
        in_columns = np.clip(np.minimum(columns + 1, x + w) - np.maximum(columns, x), 0, 1)
        np.testing.assert_allclose(
            drawing.coverage(index), in_rows[:, None] * in_columns, rtol=0, atol=1e-9
        )


def test_an_integer_box_covers_its_pixels() -> None:
    drawing = Drawing(changed(motion=0))
    x, y, w, h = drawing.boxes[0]
    assert (x, y, w, h) == (69, 45, 22, 30)
    covered = np.zeros((120, 160))
    covered[45:75, 69:91] = 1
    np.testing.assert_array_equal(drawing.coverage(0), covered)


def test_a_rotated_target_stays_in_its_box_and_touches_its_sides() -> None:
    drawing = Drawing(changed(rotation=40))
    for index in range(0, len(drawing), 7):
        x, y, w, h = drawing.boxes[index]
        rows, columns = np.nonzero(drawing.coverage(index) > 0)
        bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(bounds, [x, y, x + w, y + h], rtol=0, atol=1.5)


def test_the_target_is_drawn_where_it_covers_and_nowhere_else() -> None:
    still, moved = Drawing(changed(motion=0)), Drawing(changed(motion=15))
    for index in range(0, 60, 11):
        outside = (still.coverage(0) == 0) & (moved.coverage(index) == 0)
        differs = (still.read(0) != moved.read(index)).any(axis=2)
        assert not differs[outside].any()
        only_moved = (still.coverage(0) == 0) & (moved.coverage(index) == 1)
        assert differs[only_moved].mean() > 0.95


def test_the_texture_moves_turns_and_grows_with_the_target() -> None:
    drawing = Drawing(changed(rotation=30, scale=0.3))
    offset = np.array([9.0, -5.0])  # (row, column) on the target at rest, from its centre

    def colour(index: int) -> np.ndarray:
        mask = drawing.coverage(index)
        angle = principal_angle(mask)
        scale = np.sqrt(mask.sum() / (30 * 22))
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        x, y, w, h = drawing.boxes[index]
        row, column = np.array([y + h / 2, x + w / 2]) + scale * turn @ offset - 0.5
        patch = cv2.getRectSubPix(drawing.read(index), (1, 1), (column, row))
        return np.asarray(patch, float)[0, 0]

    colours = [colour(index) for index in range(60)]
    np.testing.assert_allclose(colours, np.tile(colours[0], (60, 1)), rtol=0, atol=8)


def test_the_same_options_give_the_same_bytes_in_any_order_and_thread() -> None:
    sequence = synthetic(EVERYTHING)
    expected = [sequence.frames.read(index) for index in reversed(range(60))][::-1]
    again = synthetic(EVERYTHING)
    np.testing.assert_array_equal(again.boxes, sequence.boxes)
    for frame, other in zip(stream(again.frames), expected, strict=True):
        np.testing.assert_array_equal(frame, other)
    with ThreadPoolExecutor(4) as pool:
        copies = list(pool.map(again.frames.read, [17] * 8))
    assert all((copy == expected[17]).all() for copy in copies)


def test_seeds_differ_in_path_and_pixels() -> None:
    one, other = synthetic(SMALL), synthetic(changed(seed=4))
    assert np.abs(one.boxes - other.boxes).max() > 1
    assert (one.frames.read(0) != other.frames.read(0)).mean() > 0.9


def test_the_sequence_has_the_stated_size() -> None:
    sequence = synthetic(changed(frames=7))
    assert len(sequence) == len(sequence.boxes) == 7
    frame = sequence.frames.read(6)
    assert frame.shape == (120, 160, 3)
    assert frame.dtype == np.uint8
    assert "frame 7" in sequence.frames.label(6)


def test_the_first_box_is_upright_and_of_the_nominal_size() -> None:
    np.testing.assert_allclose(synthetic(EVERYTHING).boxes[0, 2:], [22, 30])


@pytest.mark.parametrize("seed", range(5))
def test_the_target_stays_within_the_image_and_moves_smoothly(seed: int) -> None:
    # The largest motion that is accepted, with everything else at work.
    config = changed(seed=seed, frames=500, scale=0.5, rotation=180, motion=30)
    boxes = synthetic(config).boxes
    assert boxes[:, :2].min() >= 0
    assert ((boxes[:, :2] + boxes[:, 2:]) <= [160, 120]).all()
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    assert np.abs(np.diff(centres, axis=0)).max() <= 1.3 * 2 * np.pi / 50 * 30
    distance = np.abs(centres - [80, 60])
    assert distance.max() <= 30
    assert (distance.max(axis=0) > 20).all()


def test_motion_zero_leaves_the_target_in_the_middle() -> None:
    boxes = synthetic(changed(motion=0)).boxes
    np.testing.assert_array_equal(boxes, np.tile([69, 45, 22, 30], (60, 1)))


def test_scale_varies_both_sides_alike() -> None:
    sizes = synthetic(changed(frames=200, scale=0.4)).boxes[:, 2:] / [22, 30]
    np.testing.assert_allclose(sizes[:, 0], sizes[:, 1])
    assert sizes.min() == pytest.approx(0.6, abs=0.01)
    assert sizes.max() == pytest.approx(1.4, abs=0.01)


def test_rotation_reaches_its_amplitude_both_ways() -> None:
    drawing = Drawing(changed(frames=120, rotation=30, motion=0))
    angles = [np.degrees(principal_angle(drawing.coverage(index))) for index in range(0, 120, 2)]
    assert max(angles) == pytest.approx(30, abs=1)
    assert min(angles) == pytest.approx(-30, abs=1)


def test_blur_removes_detail() -> None:
    def detail(blur: float) -> float:
        return float(
            np.abs(np.diff(Drawing(changed(blur=blur)).read(0).astype(int), axis=1)).mean()
        )

    assert detail(6) < 0.6 * detail(0)


def test_illumination_varies_the_brightness_of_all() -> None:
    drawings = [Drawing(changed(frames=120, illumination=value)) for value in (0.3, 0.0)]
    lit, plain = (np.array([d.read(k).mean() for k in range(0, 120, 3)]) for d in drawings)
    assert (lit / plain).min() == pytest.approx(0.7, abs=0.03)
    assert 1.2 < (lit / plain).max() < 1.3


def test_noise_has_the_stated_deviation_and_differs_by_frame() -> None:
    noisy = frames(changed(frames=2, motion=0, noise=5)).astype(int)
    plain = frames(changed(frames=2, motion=0)).astype(int)
    middling = (plain > 40) & (plain < 215)
    assert (noisy - plain)[middling].std() == pytest.approx(5, abs=0.2)
    assert (noisy[0] != noisy[1]).mean() > 0.8


@pytest.mark.parametrize("share", [0.02, 0.25, 0.6, 1.0])
def test_occlusion_hides_the_target_in_the_stated_share_of_frames(share: float) -> None:
    occluded, plain = Drawing(changed(frames=30, occlusion=share)), Drawing(changed(frames=30))
    hidden = []
    for index in range(30):
        target = plain.coverage(index) == 1
        differs = (occluded.read(index) != plain.read(index)).any(axis=2)
        hidden.append(differs[target].mean())
    assert np.count_nonzero(hidden) == round(30 * share)
    assert max(hidden) > 0.95
    np.testing.assert_array_equal(occluded.boxes, plain.boxes)


def test_occlusion_of_less_than_a_frame_draws_nothing() -> None:
    np.testing.assert_array_equal(frames(changed(occlusion=0.001)), frames(SMALL))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("frames", 0),
        ("height", 0),
        ("width", 10**6),
        ("target", (4, 20)),
        ("target", (20, float("nan"))),
        ("motion", -1.0),
        ("motion", float("nan")),
        ("motion", 46),
        ("scale", 1.0),
        ("rotation", -5),
        ("blur", float("inf")),
        ("illumination", 1.0),
        ("occlusion", 1.5),
        ("noise", -1),
    ],
)
def test_a_bad_option_is_named(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{name}: "):
        changed(**{name: value})


def test_a_target_too_large_for_the_image_is_refused() -> None:
    with pytest.raises(InputError, match="out of the image"):
        changed(target=(200, 20), motion=0)
