"""Images that are no files, or that claim or take more than any image does."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hcft_jax.data import frames
from hcft_jax.data.frames import ImageFiles, plain_jpeg, read_image
from hcft_jax.util.errors import InputError
from tests import damage

GREY = np.full((16, 16, 3), 90, np.uint8)


def jpeg(**how: bool) -> bytes:
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "JPEG", **how)
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    """The header of a PNG file, and rows of it that compress well."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    size = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min(height * (width + 1), 1 << 22)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<I2i2H6I", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<3I", 54, 0, 54) + info


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = damage.no_file(tmp_path / "0001.jpg", kind)
    with pytest.raises(InputError, match=r"0001\.jpg: a .*, not a regular file"):
        read_image(path)
    assert ImageFiles((path,)).encoded(0) is None


@pytest.mark.parametrize("make", [png, bmp])
@pytest.mark.parametrize(
    ("width", "height"), [(1, 1 << 26), (1 << 26, 1), (1 << 17, 16), (1 << 14, 1 << 13)]
)
def test_declared_sizes_are_bounded_before_anything_is_decoded(
    tmp_path: Path, make: Callable[[int, int], bytes], width: int, height: int
) -> None:
    path = tmp_path / "a.img"
    path.write_bytes(make(width, height))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"a\.img: .*too large"):
            read_image(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_jpeg_of_endless_scans_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(progressive=True))
    assert read_image(path).shape == GREY.shape
    content = path.read_bytes()
    first = content.index(b"\xff\xda")
    path.write_bytes(content[:-2] + content[first:-2] * 50 + content[-2:])
    monkeypatch.setattr(frames, "_LARGE", 100)
    with pytest.raises(InputError, match="64 scans"):
        read_image(path)
    assert plain_jpeg(ImageFiles((path,)), 0, (16, 16)) is None


def test_a_file_that_is_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.bmp").open("wb") as file:
        file.write(b"BM")
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="too large for its kind"):
        read_image(tmp_path / "a.bmp")


@pytest.mark.parametrize(("width", "height"), [(65_500, 9), (9, 65_500), (7680, 4320)])
def test_large_pictures_are_read(tmp_path: Path, width: int, height: int) -> None:
    Image.new("L", (width, height), 70).save(tmp_path / "a.jpg", progressive=True)
    assert read_image(tmp_path / "a.jpg").shape == (height, width, 3)


def test_faults_in_exif_data_are_not_said_by_others(tmp_path: Path) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\xff\xff\xff\0\0\0\0"
    content = jpeg()
    part = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path = tmp_path / "0001.jpg"
    path.write_bytes(content[:2] + part + content[2:-30])  # damaged, so that Pillow decides
    with pytest.raises(InputError, match=r"0001\.jpg: cannot read the image"):
        read_image(path)


def test_deep_grey_whose_checksum_is_wrong_is_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (37, 53), np.uint16)
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), pixels)
    whole = path.read_bytes()
    read_image(path)
    path.write_bytes(whole[:-83] + bytes(83))
    with pytest.raises(InputError, match=r"deep\.png: "):
        read_image(path)
