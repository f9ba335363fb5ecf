"""The picture of a first frame: its grid, its coordinates, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hcft_jax.experiment import settings
from hcft_jax.own_video import first_frame, tracking
from hcft_jax.util.errors import InputError
from tests import films


@pytest.mark.parametrize(
    ("size", "pixels"), [((48, 64), 10), ((480, 640), 100), ((1080, 1920), 200), ((3, 5), 1)]
)
def test_lines_are_at_round_numbers(size: tuple[int, int], pixels: int) -> None:
    assert first_frame.step(np.zeros((*size, 3), np.uint8)) == pixels


def test_the_grid_is_where_the_frame_has_these_pixels() -> None:
    drawn = first_frame.picture(np.zeros((400, 640, 3), np.uint8))  # not enlarged
    grey = drawn[350].max(axis=-1)  # a row without a line and without text but at the left
    assert [x for x in range(50, 640) if grey[x]] == [100, 200, 300, 400, 500, 600]
    small = first_frame.picture(np.zeros((40, 64, 3), np.uint8))
    assert small.shape == (360, 576, 3)
    grey = small[355].max(axis=-1)
    assert [x for x in range(50, 576) if grey[x]] == [90, 180, 270, 360, 450, 540]


def test_a_box_is_drawn() -> None:
    black = np.zeros((400, 640, 3), np.uint8)
    drawn = first_frame.picture(black, [(110, 110, 60, 50)])
    changed = np.argwhere((drawn != first_frame.picture(black)).any(axis=-1))
    assert (np.abs(changed.min(axis=0) - [110, 110]) <= 2).all()
    assert (np.abs(changed.max(axis=0) - [159, 169]) <= 2).all()


@pytest.mark.parametrize("boxes", [{}, {"box": (30, 20, 24, 24)}], ids=["none", "one"])
def test_a_preview_tracks_nothing_and_needs_no_screen(
    boxes: dict[str, tuple[int, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":77777")
    frames = [np.full((400, 480, 3), grey, np.uint8) for grey in (90, 200)]
    path = films.write(tmp_path / "a.mkv", frames)
    preview = tmp_path / "new" / "frame.png"
    own = {"video": str(path), "preview": str(preview), "show": True}
    experiment = settings.derive("video", **own, **boxes, output_dir=str(tmp_path / "out"))
    said = tracking.run(experiment.validate())
    assert said.startswith(f"{preview}: the first frame, 480 x 400 px, with a line every")
    with Image.open(preview) as picture:
        assert picture.size == (480, 400)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preview": "frame.txt"}, "preview: frame.txt: name a file that ends in .png"),
        ({"preview": "frame.png/x.png"}, "frame.png: cannot write there"),
        ({"preview": "frame.png", "boxes": "absent.txt"}, "absent.txt: "),
    ],
)
def test_what_cannot_be_written_or_read_is_named(
    changes: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("frame.png").write_bytes(b"a file, no folder")
    path = films.write(tmp_path / "a.mkv", [np.zeros((40, 48, 3), np.uint8)] * 2)
    experiment = settings.derive("video", video=str(path), **changes)
    with pytest.raises(InputError, match=message):
        tracking.run(experiment.validate())


def test_without_a_preview_a_box_is_needed() -> None:
    with pytest.raises(InputError, match=r"where is the target\? .* preview writes"):
        settings.derive("video", video="a.mp4").validate()
