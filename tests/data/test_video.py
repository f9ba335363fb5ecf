"""Sources of one's own: every pixel and every time of a file, and no lag behind what is live."""

import http.server
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from hcft_jax.data import frames as frames_
from hcft_jax.data import live, orientation, video
from hcft_jax.data.moments import Moment, Video
from hcft_jax.data.sequence import Frame
from hcft_jax.util.errors import InputError, InputWarning
from tests import films


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (6, 5, 7, 3)).astype(np.uint8)
    return [cv2.resize(f, (64, 48), interpolation=cv2.INTER_CUBIC) for f in smooth]


def read(source: str | Path | int) -> list[Moment]:
    with video.opened(source) as opened:
        return list(opened)


def images(source: str | Path) -> np.ndarray:
    return np.stack([moment.image for moment in read(source)])


def test_a_lossless_file_has_the_same_pixels(frames: list[Frame], tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mkv", frames)
    with video.opened(path) as opened:
        assert (opened.name, opened.live, opened.count) == ("a", False, 6)
        np.testing.assert_array_equal(np.stack([m.image for m in opened]), np.stack(frames))


def test_times_are_those_of_the_file_from_its_first_frame(
    frames: list[Frame], tmp_path: Path
) -> None:
    times = [1.0, 1.04, 1.2, 1.21, 3.0, 3.5]
    path = films.write(tmp_path / "a.mkv", frames, times=times)
    np.testing.assert_allclose([m.time for m in read(path)], np.array(times) - 1.0, atol=1e-6)


@pytest.mark.parametrize("rotation", [90.0, 180.0, -90.0])
def test_frames_are_upright(rotation: float, frames: list[Frame], tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mp4", frames, "libx264", "yuv420p", rotation=rotation)
    other = cv2.VideoCapture(str(path))  # applies the file's rotation too
    expected = other.read()[1][..., ::-1]
    other.release()
    seen = read(path)[0].image
    assert seen.shape == expected.shape
    assert np.abs(seen.astype(float) - expected).mean() < 3


@pytest.mark.parametrize("number", range(1, 9))
def test_a_display_matrix_is_applied_whole(
    number: int, frames: list[Frame], tmp_path: Path
) -> None:
    path = films.write(tmp_path / "a.mp4", frames, "libx264", "yuv420p")
    plain = images(path)
    content = bytearray(path.read_bytes())
    a, b, c, d = orientation.EXIF[number]
    at = content.index(b"tkhd") + 4 + 40  # after the version, times, sizes of the track's header
    turned = [v * 65536 for v in (a, b)], [v * 65536 for v in (c, d)]
    content[at : at + 36] = struct.pack(
        ">9i", *map(int, turned[0]), 0, *map(int, turned[1]), 0, 0, 0, 1 << 30
    )
    path.write_bytes(content)
    first = Image.fromarray(plain[0])
    first.getexif()[orientation.EXIF_TAG] = number
    expected = np.asarray(ImageOps.exif_transpose(first))
    np.testing.assert_array_equal(images(path)[0], expected)


@pytest.mark.parametrize(
    ("codec", "pixels", "source"),
    [
        ("ffv1", "gray", "gray"),
        ("ffv1", "gray16le", "gray16le"),
        ("ffv1", "bgra", "rgba"),
        ("ffv1", "gbrp16le", "rgb48le"),
    ],
)
def test_grey_alpha_and_16_bits_become_rgb(
    codec: str, pixels: str, source: str, frames: list[Frame], tmp_path: Path
) -> None:
    grey = frames[0][..., 1]
    kinds: dict[str, np.ndarray] = {
        "gray": grey,
        "gray16le": grey.astype(np.uint16) * 257,
        "rgba": np.dstack([frames[0], grey]),
        "rgb48le": frames[0].astype(np.uint16) * 257,
    }
    path = films.write(tmp_path / "a.mkv", [kinds[source]], codec, pixels, source=source)
    expected = np.repeat(grey[..., None], 3, axis=2) if "gray" in source else frames[0]
    np.testing.assert_allclose(images(path)[0].astype(int), expected, atol=1)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("source", ["gray16le", "rgb48le"])
def test_16_bits_that_are_not_all_used_are_scaled_by_the_first_frame(
    source: str, bits: int, frames: list[Frame], tmp_path: Path
) -> None:
    given = [f[..., 1] if source == "gray16le" else f for f in frames[:3]]
    given[1] = given[1] // 2
    deep = [f.astype(np.uint16) << (bits - 8) for f in given]
    pixels = "gray16le" if source == "gray16le" else "gbrp16le"
    path = films.write(tmp_path / "a.mkv", deep, "ffv1", pixels, source=source)
    with pytest.warns(InputWarning, match=rf"a\.mkv: first frame: .* {bits} bits in 16") as said:
        seen = images(path)
    assert len(said) == 1
    expected = [np.dstack([f] * 3) if f.ndim == 2 else f for f in given]
    np.testing.assert_allclose(seen.astype(int), np.stack(expected), atol=1)


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (1, 1), (2160, 3840)])
def test_any_size_is_read(size: tuple[int, int], tmp_path: Path) -> None:
    frame = np.full((*size, 3), 77, np.uint8)
    path = films.write(tmp_path / "a.mkv", [frame], pixels="bgr0")
    np.testing.assert_array_equal(images(path)[0], frame)


def test_a_folder_is_in_the_natural_order_of_its_names(frames: list[Frame], tmp_path: Path) -> None:
    for number, frame in zip((1, 2, 10, 11, 100, 101), frames, strict=True):
        Image.fromarray(frame).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("no image")
    np.testing.assert_array_equal(images(tmp_path), np.stack(frames))
    np.testing.assert_allclose([m.time for m in read(tmp_path)], np.arange(6) / 30)


def test_pictures_are_turned_alone_and_in_a_folder(frames: list[Frame], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[orientation.EXIF_TAG] = 6
    for name in ("1.jpg", "2.jpg"):
        Image.fromarray(frames[0]).save(tmp_path / name, exif=exif)
    alone, both = images(tmp_path / "1.jpg"), images(tmp_path)
    assert alone.shape == (1, 64, 48, 3)
    np.testing.assert_array_equal(both, np.concatenate([alone, alone]))
    with video.opened(tmp_path / "1.jpg") as opened:
        assert (opened.name, opened.count) == ("1", 1)


def test_a_path_goes_before_the_number_of_a_camera(
    frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    films.write(tmp_path / "a.mkv", frames).rename("7")
    np.testing.assert_array_equal(images("7"), np.stack(frames))
    with pytest.raises(InputError, match="7: no camera that can be opened"):
        read(7)


def test_the_identity_follows_the_content(frames: list[Frame], tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.mkv", frames)
    with video.opened(path) as one, video.opened(path) as same:
        assert one.identity == same.identity
    films.write(path, frames[:3])
    with video.opened(path) as other:
        assert other.identity != one.identity


class TestBadSources:
    def test_nothing_there(self) -> None:
        with pytest.raises(InputError, match=r"absent\.mp4: no such file, folder or camera"):
            read("absent.mp4")

    @pytest.mark.parametrize("content", [b"", b"no video at all", bytes(4096)])
    def test_no_video(self, content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
        (tmp_path / "a.mp4").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.mp4: not a video that can be read \("):
            read(tmp_path / "a.mp4")
        assert capfd.readouterr() == ("", "")

    def test_a_truncated_video(self, frames: list[Frame], tmp_path: Path) -> None:
        path = films.write(tmp_path / "a.mp4", frames, "libx264", "yuv420p")
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(InputError, match=r"a\.mp4: not a video that can be read"):
            read(path)

    def test_sound_only(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").write_bytes(
            b"RIFF\x2c\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00"
            b"\x80\x3e\x00\x00\x02\x00\x10\x00data\x08\x00\x00\x00" + bytes(8)
        )
        with pytest.raises(InputError, match=r"a\.wav: it has no video"):
            read(tmp_path / "a.wav")

    def test_a_folder_without_images(self, tmp_path: Path) -> None:
        (tmp_path / "img").mkdir()
        with pytest.raises(InputError, match=r"no image in it .*; its images may be in .*/img"):
            read(tmp_path)

    def test_a_folder_whose_images_differ(self, frames: list[Frame], tmp_path: Path) -> None:
        Image.fromarray(frames[0]).save(tmp_path / "1.png")
        Image.fromarray(frames[0][:40]).save(tmp_path / "2.png")
        with pytest.raises(InputError, match=r"2\.png: 64 x 40 pixels, but the first frame"):
            read(tmp_path)

    def test_no_camera(self, capfd: pytest.CaptureFixture) -> None:
        with pytest.raises(InputError, match="99: no camera that can be opened"):
            read("99")
        assert capfd.readouterr() == ("", "")

    def test_no_server(self) -> None:
        with pytest.raises(InputError, match=r"127\.0\.0\.1:9/a: not a video that can be read"):
            read("http://127.0.0.1:9/a")


def test_ahead_hands_on_items_and_then_the_exception() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise InputError("three")

    made = frames_.ahead(items(), 1)
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(InputError, match="three"):
        next(made)


def test_ahead_stops_when_it_is_closed() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    made = frames_.ahead(items())
    next(made)
    made.close()
    assert closed.wait(5)


def test_a_live_source_drops_frames_and_does_not_lag() -> None:
    given: list[threading.Event] = [threading.Event() for _ in range(6)]
    taken = [threading.Event() for _ in range(6)]

    def source() -> Iterator[Moment]:
        for number in range(6):
            given[number].wait(5)
            yield Moment(float(number), np.zeros((1, 1, 3), np.uint8), number + 1)
            taken[number].set()  # the next is asked for: this one has been noted

    opened = Video("x", "x", True, None, None, iter(()))
    latest = live.latest(opened, source())
    given[0].set()
    assert next(latest).time == 0
    for event in given[1:4]:  # three come while one is being tracked
        event.set()
    assert taken[3].wait(5)
    assert next(latest).time == 3
    assert opened.dropped == 2
    given[4].set()
    given[5].set()
    assert taken[5].wait(5)
    assert [m.time for m in latest] == [5]
    assert opened.dropped == 3


class _Slowly(http.server.BaseHTTPRequestHandler):
    """Sends a stream without a length, a part now and then."""

    content = b""
    properly = True  # in chunks, the last of which says that it is the last
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.send_header(*(("Transfer-Encoding", "chunked") if self.properly else ("X-End", "?")))
        self.end_headers()
        size = len(self.content) // 20 + 1
        for start in range(0, len(self.content), size):
            part = self.content[start : start + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if self.properly else part)
            self.wfile.flush()
            time.sleep(0.03)
        if self.properly:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("properly", [True, False])
def test_a_stream_without_a_length_is_live(
    properly: bool, frames: list[Frame], tmp_path: Path
) -> None:
    path = films.write(tmp_path / "a.ts", frames * 8, "libx264", "yuv420p")
    parts = {"content": path.read_bytes(), "properly": properly}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("H", (_Slowly,), parts)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/cam/live.ts?key=1"
        with video.opened(url, reconnect=0) as opened:
            assert (opened.live, opened.name, opened.identity) == (True, "live", None)
            seen = 0
            for moment in opened:
                assert moment.image.shape == (48, 64, 3)
                seen += 1
                time.sleep(0.02)
            assert seen >= 1
            if properly:
                assert seen + opened.dropped == 48
            assert bool(opened.broken) != properly
        server.shutdown()


@pytest.mark.parametrize("ending", ["mjpeg", "mp4"])
def test_a_device_that_is_no_camera_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"clip.{ending}"
    path.symlink_to("/dev/zero")
    with (
        pytest.raises(InputError, match="neither a file nor a folder nor a camera"),
        video.opened(path),
    ):
        pass
