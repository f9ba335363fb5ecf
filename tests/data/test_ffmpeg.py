"""Videos of many kinds are seen as the program ``ffmpeg`` shows them: frames, times and pixels."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from hcft_jax.data import orientation, video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None,
        reason="there are no ffmpeg and ffprobe, the programs, on this machine",
    ),
]

# smooth: decoders agree to the bit, but programs interpolate colours at edges in different ways
DRAWN = "testsrc2=s=160x96:r=25:d=1,gblur=sigma=8"
TURNED = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
X264 = ("-c:v", "libx264")
SOUND = ("-f", "lavfi", "-i", "sine=d=2", "-itsoffset", "0.7")


def run(*words: str | Path) -> bytes:
    done = subprocess.run([*map(str, words)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    return done.stdout


def written(path: Path, *how: str, drawn: str = DRAWN, before: tuple[str, ...] = ()) -> Path:
    source = ("-f", "lavfi", "-i", drawn)
    run("ffmpeg", "-v", "error", "-y", *before, *source, *how, path)
    return path


def shown(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """Times in seconds since the first frame, and frames ``[T, H * W * 3]``, of the program's."""
    asked = ("-select_streams", "v:0", "-show_entries", "frame=best_effort_timestamp_time")
    told = json.loads(run("ffprobe", "-v", "error", *asked, "-of", "json", path))
    times = [float(f.get("best_effort_timestamp_time", "nan")) for f in told["frames"]]
    as_they_come = ("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo")
    pixels = run("ffmpeg", "-v", "error", "-i", path, *as_they_come, "-pix_fmt", "rgb24", "-")
    frames = np.frombuffer(pixels, np.uint8).reshape(len(times), -1)
    return np.array(times) - times[0], frames


def assert_same(path: Path, most: int = 1, times: bool = True) -> None:
    """Compare all frames; ``most`` is by how much a value of 0 to 255 may differ."""
    theirs, pixels = shown(path)
    with video.opened(str(path)) as opened:
        moments = list(opened)
    assert len(moments) == len(pixels) > 5
    if times:
        np.testing.assert_allclose([m.time for m in moments], theirs, atol=2e-6)
    for moment, frame in zip(moments, pixels, strict=True):
        difference = moment.image.reshape(-1).astype(int) - frame
        assert abs(difference).max() <= most
        assert abs(difference).mean() <= max(0.6, most / 12)


@pytest.mark.parametrize("turn", orientation.EXIF.values())
def test_rotation_and_mirror_flags(turn: tuple[int, ...], tmp_path: Path) -> None:
    a, b, c, d = (value << 16 for value in turn)
    path = written(tmp_path / "a.mp4", *X264, "-pix_fmt", "yuv420p")
    content = path.read_bytes()
    at = content.index(TURNED, content.index(b"tkhd"))
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:at] + matrix + content[at + len(matrix) :])
    assert_same(path, most=0)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("quarters.mp4", ("-vf", "setpts='(N+floor(N/4)*3)/25/TB'", "-fps_mode", "vfr", *X264)),
        ("slower.mkv", ("-vf", "setpts='N*N/250/TB'", "-fps_mode", "vfr", *X264)),
    ],
)
def test_variable_rates(name: str, how: tuple[str, ...], tmp_path: Path) -> None:
    assert_same(written(tmp_path / name, *how, "-pix_fmt", "yuv420p"), most=0)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mp4", (*X264, "-c:a", "aac")),
        ("a.mkv", (*X264, "-c:a", "aac")),
        ("a.ts", ("-c:v", "mpeg2video", "-c:a", "mp2")),
    ],
)
def test_pictures_that_start_later_than_the_sound(
    name: str, how: tuple[str, ...], tmp_path: Path
) -> None:
    assert_same(written(tmp_path / name, *how, "-pix_fmt", "yuv420p", before=SOUND), most=0)


def test_a_part_that_an_edit_list_shows(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.mp4", *X264, "-pix_fmt", "yuv420p", "-g", "12")
    run("ffmpeg", "-v", "error", "-ss", "0.2", "-i", whole, "-c", "copy", tmp_path / "part.mp4")
    assert_same(tmp_path / "part.mp4", most=0)


@pytest.mark.parametrize("curve", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range(curve: str, tmp_path: Path) -> None:
    about = f"log-level=error:colorprim=bt2020:transfer={curve}:colormatrix=bt2020nc"
    how = ("-c:v", "libx265", "-x265-params", about, "-color_trc", curve)
    path = written(tmp_path / "a.mp4", *how, "-pix_fmt", "yuv420p10le", "-colorspace", "bt2020nc")
    assert_same(path, most=20)


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("span", ["tv", "pc"])
def test_colour_matrices_and_ranges(matrix: str, span: str, tmp_path: Path) -> None:
    how = ("-vf", f"scale=out_range={span}", "-colorspace", matrix, "-color_range", span, *X264)
    assert_same(written(tmp_path / "a.mp4", *how, "-pix_fmt", "yuv420p"), most=0)


@pytest.mark.parametrize(
    ("codec", "pixels", "ending", "most"),
    [
        *(("libx264", pixels, "mp4", 0) for pixels in ("yuv422p", "yuv444p", "yuvj420p", "gray")),
        *(("libx264", pixels, "mkv", 20) for pixels in ("yuv420p10le", "yuv422p10le")),
        ("libx264", "gray10le", "mkv", 1),
        ("libx265", "yuv444p12le", "mkv", 1),
        *(
            ("ffv1", pixels, "mkv", 0)
            for pixels in ("gray", "bgr0", "gbrp", "gbrp10le", "yuva420p")
        ),
        *(("ffv1", pixels, "mkv", 1) for pixels in ("gray16le", "rgb48le")),
        *(("ffv1", pixels, "mkv", 6) for pixels in ("yuv410p", "yuv411p")),
        *(("rawvideo", pixels, "avi", 0) for pixels in ("uyvy422", "bgr24", "rgb555le")),
        ("rawvideo", "nv12", "avi", 3),
        ("rawvideo", "monob", "nut", 0),
        *(("png", pixels, "mov", 0) for pixels in ("rgb24", "rgba")),
        ("prores_ks", "yuv422p10le", "mov", 1),
        ("mjpeg", "yuvj422p", "avi", 0),
        ("mpeg4", "yuv420p", "avi", 0),
        ("libvpx-vp9", "yuv420p", "webm", 0),
        ("libtheora", "yuv420p", "ogv", 0),
        ("wmv2", "yuv420p", "asf", 0),
        ("flv", "yuv420p", "flv", 0),
        ("gif", "pal8", "gif", 0),
    ],
)
def test_formats_of_pixels(codec: str, pixels: str, ending: str, most: int, tmp_path: Path) -> None:
    path = written(tmp_path / f"a.{ending}", "-c:v", codec, "-pix_fmt", pixels)
    assert_same(path, most)


def test_a_program_stream_of_which_not_all_times_are_known(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mpg", "-c:v", "mpeg2video", "-pix_fmt", "yuv420p")
    assert_same(path, most=0, times=False)


@pytest.mark.parametrize(
    "drawn",
    [
        DRAWN.replace("160x96:r=25", "161x97:r=30000/1001") + ",format=yuv444p",
        DRAWN + ",setsar=2/1",
    ],
)
def test_odd_sizes_rates_and_pixels_that_are_not_square(drawn: str, tmp_path: Path) -> None:
    assert_same(written(tmp_path / "a.mp4", *X264, drawn=drawn), most=0)
