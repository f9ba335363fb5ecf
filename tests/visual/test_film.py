"""Videos that are written: what a player needs of them."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from hcft_jax.util.errors import InputError
from hcft_jax.visual import film
from hcft_jax.visual.film import Film
from tests import films

LEVELS = (20, 90, 160, 230)


def pictures(height: int = 48, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), level, np.uint8) for level in LEVELS]


def test_frames_are_at_the_times_that_were_given(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.5333]
    with Film(tmp_path / "a.mp4") as video:
        for picture, time in zip(pictures(), times, strict=True):
            video.write(picture, time)
    images, seen, _ = films.read(tmp_path / "a.mp4")
    np.testing.assert_allclose(seen, times, atol=1e-3)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), LEVELS, atol=4)


def test_without_times_the_rate_counts(tmp_path: Path) -> None:
    with Film(tmp_path / "a.mp4", fps=10) as video:
        for picture in pictures():
            video.write(picture)
    np.testing.assert_allclose(films.read(tmp_path / "a.mp4")[1], [0, 0.1, 0.2, 0.3], atol=1e-3)


def test_a_clock_that_stands_still_or_goes_back_loses_no_frame(tmp_path: Path) -> None:
    with Film(tmp_path / "a.mp4") as video:
        for picture, time in zip(pictures(), [0.0, 0.0, 0.2, 0.1], strict=True):
            video.write(picture, time)
    images, times, _ = films.read(tmp_path / "a.mp4")
    assert len(images) == 4
    assert (np.diff(times) > 0).all()


def test_browsers_play_it(tmp_path: Path) -> None:
    if film.codec() == "mpeg4":
        pytest.skip("this FFmpeg has no encoder of H.264")
    with Film(tmp_path / "a.mp4") as video:
        for picture in pictures(49, 63):
            video.write(picture)
    images, _, kind = films.read(tmp_path / "a.mp4")
    assert kind == ("h264", "yuv420p")
    assert images.shape == (4, 50, 64, 3)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it begins before all is there


def test_what_was_written_before_an_interruption_is_kept_where_it_is_told(tmp_path: Path) -> None:
    def interrupted() -> None:
        with Film(tmp_path / "a.mp4", partial=tmp_path / "partial" / "a.mp4") as video:
            for picture in pictures()[:3]:
                video.write(picture)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["partial"]
    assert len(films.read(tmp_path / "partial" / "a.mp4")[0]) == 3


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    def write() -> None:
        with Film(tmp_path / "a.mp4") as video:
            video.write(pictures()[0])
            video.write(pictures()[0][:, :32])

    with pytest.raises(InputError, match="frame 2 is 32 x 48 pixels, the first was 64 x 48"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("encoder", ["libopenh264", "mpeg4"])
def test_other_encoders_do_where_the_best_is_missing(
    encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        av.codec.Codec(encoder, "w")
    except ValueError:
        pytest.skip(f"this FFmpeg has no {encoder}")
    monkeypatch.setattr(film, "codec", lambda: encoder)
    with Film(tmp_path / "a.mp4") as video:
        for picture in pictures():
            video.write(picture)
    assert video.codec == encoder
    assert len(films.read(tmp_path / "a.mp4")[0]) == 4


@pytest.mark.parametrize("frames", [1, 60])
def test_a_file_that_takes_nothing_ends_in_one_line(tmp_path: Path, frames: int) -> None:
    """In a process of its own: FFmpeg could end it."""
    code = f"""
import resource, signal
import numpy as np
from hcft_jax.util.errors import InputError
from hcft_jax.visual.film import Film
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
rng = np.random.default_rng(0)
try:
    with Film({str(tmp_path / "a.mp4")!r}, 25.0) as film:
        for _ in range({frames}):
            film.write(rng.integers(0, 256, (48, 64, 3)).astype(np.uint8))
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "a.mp4: cannot write the video (File too large)" in done.stdout
    assert not list(tmp_path.iterdir())
