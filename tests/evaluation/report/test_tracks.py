"""Boxes, overlaps, pictures and response maps in the page, and what is wrong with frames."""

import base64
import io
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from hcft_jax.evaluation import metrics, responses
from hcft_jax.evaluation.report import Pictures
from hcft_jax.evaluation.report.encoding import pack, unpack
from hcft_jax.util.errors import InputError
from tests.evaluation.report.conftest import OURS, SIZE, Page, Setting

NUMBERS = st.one_of(st.floats(-1e7, 1e7), st.just(np.nan))


@given(arrays.arrays(np.float64, st.tuples(st.integers(0, 3), st.integers(1, 9)), elements=NUMBERS))
def test_packed_numbers_come_back_to_half_a_step(values: np.ndarray) -> None:
    restored = unpack(pack(values, 0.01))
    np.testing.assert_array_equal(np.isnan(restored), np.isnan(values))
    np.testing.assert_allclose(restored, values, rtol=1e-12, atol=0.00501)


def test_packed_numbers_are_cut_where_no_integer_reaches() -> None:
    limit = (2**31 - 1) * 0.01
    restored = unpack(pack([1e12, -1e12, np.inf, 3.0], 0.01))
    np.testing.assert_allclose(restored, [limit, -limit, limit, 3.0])


def test_tracks_are_what_the_toolkit_judges(setting: Setting, page: Page) -> None:
    target = setting.benchmark.targets["Two-1"]
    of = page.sequence("Two-1")
    assert len(of["trackers"]) == 4
    np.testing.assert_allclose(unpack(of["truth"]), target.truth.T)
    boxes, overlaps, errors = (unpack(of[part]) for part in ("boxes", "overlap", "error"))
    for row, place in enumerate(of["trackers"]):
        tracker = page.content["trackers"][place]["name"]
        judged = metrics.per_frame(setting.results.boxes[tracker]["Two-1"], target.truth)
        np.testing.assert_allclose(boxes[row].T, judged.boxes, atol=0.005)
        np.testing.assert_allclose(overlaps[row], judged.overlap, atol=5.1e-5)
        np.testing.assert_allclose(errors[row], judged.error, atol=0.005)
        assert of["files"][row] == str(setting.results.files[tracker]["Two-1"])


def test_a_sequence_lists_those_who_have_it(page: Page) -> None:
    assert page.tracker("part") not in page.sequence("Tiger1")["trackers"]
    assert len(page.sequence("Tiger1")["trackers"]) == 3
    assert page.sequence("Tiger1")["first"] == 6


def test_pictures_are_small_copies_of_the_frames(setting: Setting, tmp_path: Path) -> None:
    page = setting.page(tmp_path / "r.html", Pictures(setting.frames, max_frames=3, max_side=45))
    of = page.sequence("Two-2")
    assert (of["size"], of["shown"]) == ([*SIZE], [0, 2, 5])
    for frame, text in zip(of["shown"], of["pictures"], strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(text)))
        assert (image.format, image.size) == ("WEBP", (45, 30))
        colour = np.asarray(image.convert("RGB")).mean(axis=(0, 1))
        np.testing.assert_allclose(colour, [30 * (frame + 1), 60, 90], atol=4)
    assert "pictures" not in page.sequence("Human4-2")


def test_pictures_are_never_enlarged(page: Page) -> None:
    image = Image.open(io.BytesIO(base64.b64decode(page.sequence("One")["pictures"][0])))
    assert image.size == SIZE[::-1]


@pytest.mark.parametrize(("frames", "most"), [(1, 40), (7, 40), (40, 40), (1000, 40), (1000, 1)])
def test_shown_frames_are_spread_evenly(frames: int, most: int) -> None:
    shown = Pictures(max_frames=most).shown(frames)
    assert len(shown) == len(set(shown)) == min(frames, most)
    assert shown[0] == 0
    assert most == 1 or shown[-1] == frames - 1
    if len(shown) > 1:
        assert np.ptp(np.diff(shown)) <= 1


def test_response_maps_are_those_of_the_file(setting: Setting, tmp_path: Path) -> None:
    page = setting.page(tmp_path / "r.html", Pictures(None, max_frames=2))
    of = page.sequence("One")
    assert list(of["responses"]) == [str(page.tracker(OURS))]
    said = of["responses"][str(page.tracker(OURS))]
    file = responses.read(setting.folder / OURS / "responses" / "One.npz")
    maps = np.frombuffer(zlib.decompress(base64.b64decode(said["maps"])), np.uint8)
    np.testing.assert_array_equal(maps.reshape(2, 2, *said["grid"]), file.maps[[0, 3]])
    assert said["offset"][:2] == [None, None]
    np.testing.assert_allclose(said["offset"][2:], file.offset[3], rtol=1e-5)
    np.testing.assert_allclose(said["scale"][2:], file.scale[3], rtol=1e-5)
    np.testing.assert_allclose(said["centres"], file.centres[[0, 3]].ravel())
    np.testing.assert_array_equal(unpack(said["psr"]), file.psr)
    assert (said["layers"], said["gamma"]) == (["conv5_4", "conv4_4"], [1.0, 0.5])
    assert page.sequence("Two-1")["responses"] == {}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "frames: no such folder"),
        (lambda f: (f / "One" / "img" / "0002.png").unlink(), "img: frame 2 is missing"),
        (lambda f: (f / "One" / "img" / "0002.png").write_bytes(b"x"), "0002.png: not an image"),
        (lambda f: (f / "One").rename(f / "Other"), None),
    ],
)
def test_frames_that_cannot_be_shown_are_named(
    setting: Setting, tmp_path: Path, damage: object, message: str | None
) -> None:
    assert callable(damage)
    damage(setting.frames)
    if message is None:  # a foreign sequence is not shown
        assert "pictures" not in setting.page(tmp_path / "r.html").sequence("One")
        return
    with pytest.raises(InputError, match=message):
        setting.page(tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_frames_of_other_sequences_only_are_a_mistake(setting: Setting, tmp_path: Path) -> None:
    shutil.rmtree(setting.frames / "Two")
    (setting.frames / "One").rename(setting.frames / "Other")
    with pytest.raises(InputError, match="frames: none of its sequences is annotated"):
        setting.page(tmp_path / "r.html")


def test_another_number_of_frames_is_named(setting: Setting, tmp_path: Path) -> None:
    video = setting.frames / "One"
    (video / "img" / "0004.png").unlink()
    np.savetxt(video / "groundtruth_rect.txt", setting.benchmark.targets["One"].truth[:3], "%d")
    with pytest.raises(
        InputError, match=r"groundtruth_rect\.txt: 3 frames, but the annotations have 4 of One"
    ):
        setting.page(tmp_path / "r.html")


def test_response_maps_of_another_length_are_named(setting: Setting, tmp_path: Path) -> None:
    folder = setting.folder / OURS / "responses"
    shutil.copy(folder / "One.npz", folder / "Two-1.npz")
    with pytest.raises(InputError, match=r"Two-1\.npz: 4 frames, but the annotations have 6"):
        setting.page(tmp_path / "r.html")


@pytest.mark.parametrize("limit", [{"max_frames": 0}, {"max_side": -1}])
def test_a_limit_below_one_is_a_mistake(setting: Setting, limit: dict[str, int]) -> None:
    with pytest.raises(InputError, match=rf"^{next(iter(limit))}: .* is not above zero"):
        Pictures(setting.frames, **limit).find(setting.benchmark)
