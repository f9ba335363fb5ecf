from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcft_jax.util.errors import InputError
from hcft_jax.visual import overlay

GREY = np.full((360, 480, 3), 90, np.uint8)  # tall enough to be shown at its own size
LAYERS = ("conv5_4", "conv4_4", "conv3_4")


def read_video(path: Path) -> npt.NDArray[np.uint8]:
    """All frames of a video ``[T, H, W, 3]``, RGB."""
    video = cv2.VideoCapture(str(path))
    frames = []
    while (result := video.read())[0]:
        frames.append(result[1][..., ::-1])
    video.release()
    return np.array(frames, np.uint8)


def is_red(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Clearly red, after a codec that halves the resolution of colour."""
    red, green, blue = np.moveaxis(pixels.astype(int), -1, 0)
    return np.asarray((red > green + 60) & (red > blue + 60))


def is_green(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return is_red(pixels[..., [1, 0, 2]])


def test_every_frame_is_written_in_order_at_its_size(tmp_path: Path) -> None:
    with overlay.OverlayWriter(tmp_path / "a.mp4") as video:
        for level in (20, 120, 220):
            video.draw(np.full((360, 480, 3), level, np.uint8), (100, 100, 50, 50))
    frames = read_video(tmp_path / "a.mp4")
    assert frames.shape == (3, 360, 480, 3)
    np.testing.assert_allclose(frames[:, 300, 300, 0], [20, 120, 220], atol=8)


def test_the_outlines_are_where_the_boxes_are(tmp_path: Path) -> None:
    with overlay.OverlayWriter(tmp_path / "a.mp4") as video:
        video.draw(GREY, (100, 60, 81, 121), truth=(300.5, 200.25, 60, 40))
    (frame,) = read_video(tmp_path / "a.mp4")
    for column in (100, 180):  # both sides of the tracked box
        assert is_red(frame[70:170, column]).mean() > 0.9
    for row in (60, 180):
        assert is_red(frame[row, 110:170]).mean() > 0.9
    assert is_green(frame[205:235, 300]).mean() > 0.9
    inside = frame[66:174, 106:174]
    assert not is_red(inside).any()
    assert not is_green(frame[:, :290]).any()


def test_a_tiny_frame_is_enlarged_and_the_box_with_it(tmp_path: Path) -> None:
    with overlay.OverlayWriter(tmp_path / "a.mp4") as video:
        video.draw(GREY[:48, :64], (20, 16, 24, 20))
    (frame,) = read_video(tmp_path / "a.mp4")
    scale = frame.shape[0] // 48
    assert frame.shape[:2] == (48 * scale, 64 * scale)
    assert frame.shape[0] >= 360
    row, column = round(26.5 * scale), round(20.5 * scale)
    assert is_red(frame[row, column - 2 : column + 3]).any()
    assert not is_red(frame[row, : column - 6]).any()


@pytest.mark.parametrize("layers", [(), LAYERS])
def test_odd_sizes_are_padded_to_even(layers: tuple[str, ...], tmp_path: Path) -> None:
    with overlay.OverlayWriter(tmp_path / "a.mp4", layers=layers) as video:
        video.draw(np.full((361, 401, 3), 90, np.uint8), (100, 100, 50, 50))
    (frame,) = read_video(tmp_path / "a.mp4")
    assert (frame.shape[0], frame.shape[1] % 2) == (362, 0)


def test_the_panel_shows_each_map_on_its_own_scale(tmp_path: Path) -> None:
    responses = np.zeros((3, 20, 20), np.float32)
    responses[:, 15, 5] = [1e-6, 1.0, 1e6]  # a constant map stays dark, a peak is bright anywhere
    with overlay.OverlayWriter(tmp_path / "a.mp4", layers=LAYERS) as video:
        video.draw(GREY, (100, 100, 50, 50))  # the first frame has no responses
        video.draw(GREY, (100, 100, 50, 50), None, responses, (50, 50, 140, 140))
    before, after = read_video(tmp_path / "a.mp4")[:, :, 480:]
    tiles = np.split(after.astype(int), 3)
    bright = [(tile.sum(axis=-1) > 250).sum() for tile in tiles]
    assert max(bright) < 1.5 * min(bright)
    violet = (after.astype(int)[..., 2] > after.astype(int)[..., 1] + 30).mean()
    assert violet > 0.3  # viridis' lowest colour
    assert not (before.astype(int)[..., 2] > before.astype(int)[..., 1] + 30).any()


def test_the_panel_keeps_its_width_and_the_maps_the_windows_shape(tmp_path: Path) -> None:
    sizes = []
    for window in [(0, 0, 100, 100), (0, 0, 300, 30), (0, 0, 30, 300)]:
        path = tmp_path / "a.mp4"
        with overlay.OverlayWriter(path, layers=LAYERS) as video:
            video.draw(GREY, (9, 9, 9, 9), None, np.zeros((3, 8, 8), np.float32), window)
        sizes.append(read_video(path).shape)
    assert len(set(sizes)) == 1


@settings(max_examples=40)
@given(
    box=st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 4),
    scale=st.integers(1, 8),
)
def test_any_box_can_be_drawn(box: tuple[float, ...], scale: int) -> None:
    picture = np.zeros((48 * scale, 64 * scale, 3), np.uint8)
    overlay.draw_box(picture, box, scale, overlay.RED, 2)


@pytest.mark.parametrize("x", [-500, 1000, -1e12, 1e12, 1.7e308])
def test_a_box_outside_of_the_frame_draws_nothing(x: float) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    overlay.draw_box(picture, (x, 10, 20, 20), 1, overlay.RED, 2)
    assert not picture.any()


def test_a_box_partly_outside_shows_its_inner_sides_only() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    overlay.draw_box(picture, (-30, 10, 60, 20), 1, overlay.RED, 2)
    assert is_red(picture[10, :28]).all()
    assert is_red(picture[12:27, 29]).all()
    assert not picture[14:26, :26].any()


def test_the_frame_that_was_given_is_not_drawn_on(tmp_path: Path) -> None:
    frame = GREY.copy()
    with overlay.OverlayWriter(tmp_path / "a.mp4") as video:
        video.draw(frame, (100, 100, 50, 50))
    np.testing.assert_array_equal(frame, GREY)


def test_an_aborted_video_leaves_no_file(tmp_path: Path) -> None:
    def abort() -> None:
        with overlay.OverlayWriter(tmp_path / "a.mp4") as video:
            video.draw(GREY, (100, 100, 50, 50))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        abort()
    assert not list(tmp_path.iterdir())


def test_a_video_without_frames_is_an_error_and_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"a\.mp4: the video is empty"),
        overlay.OverlayWriter(tmp_path / "a.mp4"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def write(path: Path, *frames: npt.NDArray[np.uint8], fps: float = 30) -> None:
    with overlay.OverlayWriter(path, fps) as video:
        for frame in frames:
            video.draw(frame, (100, 100, 50, 50))


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="frame 2 is 512 x 384 pixels, the first was 480 x 360"):
        write(tmp_path / "a.mp4", GREY, GREY[:48, :64])
    assert not list(tmp_path.iterdir())


def test_a_video_that_cannot_be_opened_is_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match="cannot write a video"):
        write(tmp_path / "a.mp4", GREY, fps=0)
    with pytest.raises(InputError, match=r"must end in \.mp4"):
        write(tmp_path / "a.avi", GREY)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
