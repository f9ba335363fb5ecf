import io
import signal
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hcft_jax.data import sequence
from hcft_jax.data.frames import (
    MAX_PIXELS,
    ImageFiles,
    plain_jpeg,
    read_image,
    read_into,
    stream,
)
from hcft_jax.data.sequence import EncodedSource, Frame, Sequence
from hcft_jax.util.errors import InputError
from tests.conftest import shared

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)


def smooth() -> Frame:
    return np.asarray(cv2.GaussianBlur(np.kron(COLOURS, np.ones((4, 4, 1), np.uint8)), (0, 0), 4))


def encoded(image: Image.Image, image_format: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **how)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "TIFF"])
def test_lossless_files_give_their_rgb_pixels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOURS).save(path)
    frame = read_image(path)
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, COLOURS)


@pytest.mark.parametrize(("suffix", "how"), [("webp", {"lossless": True}), ("jp2", {})])
def test_other_lossless_files(tmp_path: Path, suffix: str, how: dict[str, Any]) -> None:
    Image.fromarray(COLOURS).save(tmp_path / f"a.{suffix}", **how)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), COLOURS)


@pytest.mark.parametrize("suffix", ["tif", "pgm", "ppm", "png"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_of_other_files(tmp_path: Path, suffix: str, channels: int) -> None:
    deep = COLOURS[..., :channels].astype(np.uint16) * 257
    if (suffix, channels) in (("pgm", 3), ("ppm", 1)):
        pytest.skip("there is no such file")
    cv2.imwrite(str(tmp_path / f"a.{suffix}"), deep[..., ::-1])
    expected = np.broadcast_to(COLOURS[..., :channels], COLOURS.shape)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), expected)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_32_bits_are_refused(tmp_path: Path, kind: type) -> None:
    Image.fromarray(COLOURS[..., 0].astype(kind)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: pixels of 32 bits; save it with 8 or 16"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["TIFF", "WEBP"])
@pytest.mark.parametrize("number", [1, 3, 6])
def test_only_ones_own_pictures_are_turned(tmp_path: Path, kind: str, number: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = number
    how: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(COLOURS).save(tmp_path / "a", kind, exif=exif, **how)
    np.testing.assert_array_equal(read_image(tmp_path / "a"), COLOURS)
    seen = {1: COLOURS, 3: COLOURS[::-1, ::-1], 6: COLOURS[::-1].swapaxes(0, 1)}[number]
    np.testing.assert_array_equal(read_image(tmp_path / "a", upright=True), seen)


def test_jpeg_agrees_with_another_decoder(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth()).save(path, quality=95)
    other = np.asarray(cv2.imread(str(path)), int)[..., ::-1]
    assert np.abs(read_image(path).astype(int) - other).max() <= 3


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "how",
    [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"keep_rgb": True}],
    ids=str,
)
def test_jpeg_has_the_pixels_of_pillow(tmp_path: Path, mode: str, how: dict[str, Any]) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth()).convert(mode).save(path, quality=80, **how)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))


def test_the_frames_of_a_benchmark_have_the_pixels_of_pillow() -> None:
    paths = sorted(shared("otb").glob("*/img/*.jpg"))
    for path in paths[:: len(paths) // 100]:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(COLOURS).convert(mode)
    path = tmp_path / "a.png"
    image.save(path)
    expected = np.array(image.convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)


def test_a_transparent_palette_gives_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).convert("P")
    path = tmp_path / "a.png"
    image.save(path, transparency=bytes(range(256)))
    np.testing.assert_array_equal(read_image(path), np.array(image.convert("RGB")))


def test_sixteen_bit_grey_keeps_the_upper_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    values = np.array([[0, 255, 256, 40000, 65535]], np.uint16)
    Image.fromarray(values).save(path)
    np.testing.assert_array_equal(read_image(path)[0, :, 1], [0, 0, 1, 156, 255])


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth()).convert("CMYK").save(path, quality=95)
    assert np.abs(read_image(path).astype(int) - smooth()).mean() < 4


def test_exif_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    path = tmp_path / "a.jpg"
    Image.fromarray(COLOURS).save(path, exif=exif)
    assert read_image(path).shape == COLOURS.shape


def assert_names(error: pytest.ExceptionInfo[InputError], path: Path, reason: str) -> None:
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>404 not found</html>", "not an image (JPEG, PNG,"),
        (encoded(Image.fromarray(COLOURS), "TGA"), "not an image (JPEG, PNG,"),
        (encoded(Image.fromarray(COLOURS), "GIF"), "not an image (JPEG, PNG,"),
    ],
)
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_image(path)
    assert_names(error, path, reason)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, reason in [(tmp_path / "no.png", "No such file"), (tmp_path, "Is a directory")]:
        with pytest.raises(InputError) as error:
            read_image(path)
        assert_names(error, path, reason)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9, 0.98])
def test_a_truncated_file_is_named(tmp_path: Path, image_format: str, share: float) -> None:
    content = encoded(Image.fromarray(smooth()), image_format)
    path = tmp_path / "a.img"
    path.write_bytes(content[: max(1, int(share * len(content)))])
    with pytest.raises(InputError) as error:
        read_image(path)
    assert_names(error, path, "")


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [8193, 12_000, 50_000], ids=["ours", "warning", "error"])
def test_a_decompression_bomb_is_refused(tmp_path: Path, side: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_claiming(side, side))
    with pytest.raises(InputError) as error:
        read_image(path)
    assert_names(error, path, f"too large, at most {MAX_PIXELS} pixels")


@settings(max_examples=150, deadline=None)
@given(
    image_format=st.sampled_from(["JPEG", "PNG", "BMP"]),
    # From 100 on: damage to the header is mostly a change of the claimed size.
    damage=st.lists(st.tuples(st.integers(100, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damage_gives_an_image_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, image_format: str, damage: list[tuple[int, int]]
) -> None:
    content = bytearray(encoded(Image.fromarray(COLOURS), image_format))
    for position, value in damage:
        content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.img"
    path.write_bytes(content)
    try:
        assert read_image(path).shape[2] == 3
    except InputError as error:
        message = str(error)
    else:
        return
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_image_files_decode_on_demand(tmp_path: Path) -> None:
    good, bad = tmp_path / "1.png", tmp_path / "2.png"
    Image.fromarray(COLOURS).save(good)
    files = ImageFiles((good, bad))
    assert len(files) == 2
    assert files.label(1) == str(bad)
    np.testing.assert_array_equal(files.read(0), COLOURS)
    with pytest.raises(InputError, match=r"2\.png"):
        files.read(1)


def assert_read_into(path: Path) -> None:
    """Compare with what is read, into an array of its size and into others."""
    files = ImageFiles((path,))
    frame = files.read(0)
    out = np.full_like(frame, 7)
    read_into(files, 0, out)
    np.testing.assert_array_equal(out, frame)
    height, width, _ = frame.shape
    for size in ((height + 1, width), (height, width + 1), (width, height)):
        if size != (height, width):
            with pytest.raises(InputError) as error:
                read_into(files, 0, np.zeros((*size, 3), np.uint8))
            assert str(error.value) == (
                f"{path}: {width} x {height} pixels, but the first frame ({path}) has {size[1]} x "
                f"{size[0]} pixels"
            )


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"keep_rgb": True}], ids=str)
def test_a_jpeg_is_read_into_an_array(tmp_path: Path, mode: str, how: dict[str, Any]) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(smooth()).convert(mode).save(path, quality=80, **how)
    assert_read_into(path)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_png_is_read_into_an_array(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(COLOURS).convert(mode).save(path)
    assert_read_into(path)


def test_a_jpeg_with_garbage_that_pillow_takes_is_read_into_an_array(tmp_path: Path) -> None:
    content = bytearray(encoded(Image.fromarray(smooth()), "JPEG"))
    content[len(content) // 2 : len(content) // 2 + 4] = b"\x12\xff\xd0\x34"
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="Corrupt JPEG data"
    ):  # not by the one that decodes in place
        simplejpeg.decode_jpeg(bytes(content), "RGB")
    assert_read_into(path)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.98])
def test_a_truncated_file_has_the_same_error_in_an_array(
    tmp_path: Path, image_format: str, share: float
) -> None:
    content = encoded(Image.fromarray(smooth()), image_format)
    path = tmp_path / "a.img"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError) as expected:
        read_image(path)
    with pytest.raises(InputError) as error:
        read_into(ImageFiles((path,)), 0, np.zeros_like(smooth()))
    assert str(error.value) == str(expected.value)


class Counting:
    """Frame k is filled with k; remembers what was read; can be slow, fail or change size."""

    def __init__(self, total: int, delay: float = 0.0, fails: int = -1, grows: int = -1) -> None:
        self.total, self.delay, self.fails, self.grows = total, delay, fails, grows
        self.started: list[int] = []

    def __len__(self) -> int:
        return self.total

    def label(self, index: int) -> str:
        return f"frame-{index}"

    def read(self, index: int) -> Frame:
        self.started.append(index)
        time.sleep(self.delay * (1 + index % 3))
        if index == self.fails:
            raise InputError(f"{self.label(index)}: bad")
        return np.full((6, 8 + (index == self.grows), 3), index, np.uint8)


def decoding_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("frames")]


def settled(source: Counting) -> int:
    """How many reads have started once nothing more starts."""
    count = -1
    while count != len(source.started):
        count = len(source.started)
        time.sleep(0.03)
    return count


@pytest.mark.parametrize("total", [0, 1, 5, 40])
@pytest.mark.parametrize(("threads", "ahead"), [(1, 1), (4, 2), (3, 16)])
def test_stream_yields_every_frame_once_in_order(total: int, threads: int, ahead: int) -> None:
    source = Counting(total, delay=0.0005)
    values = [int(frame[0, 0, 0]) for frame in stream(source, threads=threads, ahead=ahead)]
    assert values == list(range(total))
    assert sorted(source.started) == values
    assert decoding_threads() == []


@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_stream_is_at_most_ahead_of_its_consumer(ahead: int) -> None:
    source = Counting(40)
    frames = stream(source, threads=4, ahead=ahead)
    for taken in range(1, 6):
        next(frames)
        assert settled(source) == taken + ahead
    frames.close()


def test_stream_decodes_in_several_threads_at_once() -> None:
    barrier = threading.Barrier(3, timeout=10)

    class Waiting(Counting):
        def read(self, index: int) -> Frame:
            barrier.wait()  # breaks unless three reads meet
            return super().read(index)

    assert len(list(stream(Waiting(9), threads=3, ahead=3))) == 9


def test_stream_reads_nothing_before_it_is_asked() -> None:
    source = Counting(5)
    stream(source)
    assert source.started == []
    assert decoding_threads() == []


@pytest.mark.parametrize("bad", [0, 4, 9])
def test_a_decoding_error_comes_at_its_frame(bad: int) -> None:
    frames = stream(Counting(10, fails=bad), threads=3, ahead=6)
    for index in range(bad):
        assert next(frames)[0, 0, 0] == index
    with pytest.raises(InputError, match=f"frame-{bad}: bad"):
        next(frames)
    assert decoding_threads() == []


def test_a_frame_of_another_size_is_named_at_its_turn() -> None:
    frames = stream(Counting(10, grows=3))
    for _ in range(3):
        next(frames)
    expected = r"frame-3: 9 x 6 pixels, but the first frame \(frame-0\) has 8 x 6 pixels"
    with pytest.raises(InputError, match=expected):
        next(frames)
    assert decoding_threads() == []


def test_an_interrupt_while_waiting_for_a_frame_ends_the_stream() -> None:
    main = threading.main_thread().ident
    assert main is not None
    frames = stream(Counting(100, delay=0.3), threads=2, ahead=50)
    timer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))

    def wait() -> None:
        timer.start()  # here, as on a busy machine it may go off at once
        next(frames)

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert decoding_threads() == []


@pytest.mark.parametrize("way", ["close", "garbage", "interrupt"])
def test_an_abandoned_stream_stops_its_threads_promptly(way: str) -> None:
    source = Counting(1000, delay=0.01)
    frames = stream(source, threads=2, ahead=500)
    next(frames)
    assert decoding_threads()
    start = time.perf_counter()
    if way == "close":
        frames.close()
    elif way == "garbage":
        del frames
    else:
        with pytest.raises(KeyboardInterrupt):
            frames.throw(KeyboardInterrupt)
    assert decoding_threads() == []
    assert time.perf_counter() - start < 2  # 500 frames would take more
    assert settled(source) < 100


def test_a_file_is_given_as_it_is_also_of_a_part(tmp_path: Path) -> None:
    paths = tuple(tmp_path / f"{i}.jpg" for i in range(4))
    for i, path in enumerate(paths[:3]):
        path.write_bytes(bytes([i]))
    whole = Sequence("x", ImageFiles(paths), np.zeros((4, 4)))
    part = whole.part(1, 3).frames
    assert isinstance(part, EncodedSource)
    assert [part.encoded(i) for i in range(3)] == [bytes([1]), bytes([2]), None]


def test_other_sources_have_no_files() -> None:
    source = Counting(4)
    assert sequence.encoded(source, 1) is None
    part = Sequence("x", source, np.zeros((4, 4))).part(1, 3).frames
    assert sequence.encoded(part, 1) is None
    assert plain_jpeg(source, 1, (6, 8)) is None


def damaged(content: bytes) -> bytes:
    """A JPEG file whose first header is not one."""
    return content[:3] + b"\0" * 40 + content[43:]


@pytest.mark.parametrize(
    ("plain", "content"),
    [
        (True, encoded(Image.fromarray(COLOURS).convert("RGB"), "JPEG")),
        (True, encoded(Image.fromarray(COLOURS).convert("L"), "JPEG")),
        (True, encoded(Image.fromarray(COLOURS).convert("RGB"), "JPEG", progressive=True)),
        (False, encoded(Image.fromarray(COLOURS).convert("CMYK"), "JPEG")),
        (False, encoded(Image.fromarray(COLOURS).convert("RGB"), "JPEG", keep_rgb=True)),
        (False, encoded(Image.fromarray(COLOURS), "PNG")),
        (False, encoded(Image.fromarray(COLOURS).convert("RGB"), "JPEG")[:-1]),
        (False, encoded(Image.fromarray(COLOURS).convert("RGB"), "JPEG")[:200]),
        (False, damaged(encoded(Image.fromarray(COLOURS).convert("RGB"), "JPEG"))),
        (False, b""),
    ],
)
def test_only_whole_files_in_usual_colours_are_for_any_decoder(
    tmp_path: Path, plain: bool, content: bytes
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    height, width = COLOURS.shape[:2]
    expected = content if plain else None
    assert plain_jpeg(ImageFiles((path,)), 0, (height, width)) == expected
    assert plain_jpeg(ImageFiles((path,)), 0, (width, height)) is None
