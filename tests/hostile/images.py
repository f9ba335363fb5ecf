"""Images: JPEG, PNG and BMP files, and what else has such a name."""

import functools
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, PngImagePlugin

from hcft_jax.data.frames import read_image
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, WORDS, add_changes, add_no_files

DOOR = Door("images", share=8)

Pixels = npt.NDArray[np.uint8]

ImageFile.LOAD_TRUNCATED_IMAGES = False


def picture(mode: str = "RGB", size: tuple[int, int] = (53, 37)) -> Image.Image:
    """Return a smooth picture with some texture."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / (4 + c) + c) * np.cos(y / (3 + c)) for c in range(3)]
    noise = np.random.default_rng(0).normal(0, 9, (height, width, 3))
    colour = np.clip(np.stack(waves, axis=-1) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(colour).convert(mode)


def saved(image: Image.Image, form: str, **how: Any) -> bytes:
    """Return an image as a file."""
    file = io.BytesIO()
    image.save(file, form, **how)
    return file.getvalue()


@functools.cache
def sounds() -> dict[str, bytes]:
    """Return sound files by name, one of each sort that programs write."""
    deep = np.random.default_rng(0).integers(0, 4096, (37, 53, 3)).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "of a camera " * 40, zip=True)
    rgb = picture()
    coded = [cv2.imencode(".png", a)[1].tobytes() for a in (deep, deep[..., 0])]
    return {
        "baseline.jpg": saved(rgb, "JPEG", quality=90),
        "progressive.jpg": saved(rgb, "JPEG", quality=80, progressive=True),
        "grey.jpg": saved(picture("L"), "JPEG"),
        "cmyk.jpg": saved(picture("CMYK"), "JPEG"),
        "full.jpg": saved(rgb, "JPEG", subsampling=0, optimize=True),
        "restarts.jpg": saved(rgb, "JPEG", restart_marker_rows=1),
        "turned.jpg": saved(rgb, "JPEG", exif=exif.tobytes()),
        "rgb.png": saved(rgb, "PNG"),
        "rgba.png": saved(picture("RGBA"), "PNG"),
        "grey.png": saved(picture("L"), "PNG"),
        "bits.png": saved(picture("1"), "PNG"),
        "palette.png": saved(rgb.quantize(17), "PNG", transparency=3),
        "comment.png": saved(rgb, "PNG", pnginfo=text),
        "deep.png": coded[0],
        "deep_grey.png": coded[1],
        "rgb.bmp": saved(rgb, "BMP"),
        "grey.bmp": saved(picture("L"), "BMP"),
        "palette.bmp": saved(rgb.quantize(200), "BMP"),
    }


def by_others(content: bytes) -> list[Pixels]:
    """Return what other programs make of a file: Pillow and OpenCV."""
    found: list[Pixels] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as image:
                plain = image.mode != "P" or "transparency" not in image.info
                found.append(np.asarray((image if plain else image.convert("RGBA")).convert("RGB")))
        except Exception:
            pass
    try:
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        decoded = None
    if decoded is not None:
        found.append(np.asarray(decoded[..., ::-1], np.uint8))
    deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is not None and deep.dtype == np.uint16:  # by the bits that are used, 10, 12, 14 or 16
        whole = np.asarray(deep, np.uint16)
        colour = whole[..., :3][..., ::-1] if deep.ndim == 3 else np.stack([whole] * 3, axis=-1)
        found += [np.asarray(np.minimum(colour >> n, 255), np.uint8) for n in (2, 4, 6, 8)]
    return found


def case(path: Path, sound: bytes, *, upright: bool = False) -> Case:
    """Return the case of a file that may be damaged."""

    def judge(answer: Pixels) -> str:
        if answer.dtype != np.uint8 or answer.ndim != 3 or answer.shape[2] != 3:
            return f"it gives {answer.dtype}{answer.shape}"
        expected = [*(by_others(sound) if sound else []), *by_others(path.read_bytes())]
        if upright:  # the orientation is a field like others
            expected = [np.rot90(o, k) for e in expected for o in (e, e[::-1]) for k in range(4)]
        for other in expected:
            if other.shape == answer.shape:
                worst = np.abs(other.astype(int) - answer.astype(int)).max(initial=0)
                if worst <= 2:  # rounding of colours differs among libraries
                    return ""
        return "no other program has these pixels"

    return Case(lambda: read_image(path, upright=upright), judge, (path.name,))


def _sound(rng: Rng, folder: Path) -> tuple[str, bytes]:
    return pick(rng, sounds().items())


add_changes(DOOR, BINARY, _sound, case)
add_no_files(DOOR, _sound, case)


@DOOR.kind("A name says nothing of the content: cameras and browsers save other formats.")
def other_format(rng: Rng, folder: Path) -> Case:
    form = pick(rng, ("GIF", "TIFF", "WEBP", "PPM", "TGA", "ICO", "PCX", "EPS", "PDF", "SGI"))
    path = folder / str(pick(rng, ("0001.jpg", "0001.png", "0001.bmp")))
    path.write_bytes(saved(picture(), form))
    return case(path, b"")


@DOOR.kind("Scripts and pages that image libraries have been made to run.")
def script(rng: Rng, folder: Path) -> Case:
    path = folder / "0001.png"
    texts = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b"push graphic-context\nimage over 0,0 0,0 'ephemeral:/tmp/x'\n",
        b"#!/bin/sh\nid\n",
        b"\x89PNG\r\n\x1a\n<?php system($_GET[0]); ?>",
    )
    path.write_bytes(pick(rng, texts))
    return case(path, b"")


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG file: name and content."""
    found, at = [], 8
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG file of chunks, with right checksums."""
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@DOOR.kind("A PNG file made by hand: its checksums are right, its chunks lie.")
def png_chunks(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, [n for n in sounds() if n.endswith(".png")]))
    parts = chunks(sounds()[name])
    at = int(rng.integers(len(parts)))
    kind, data = parts[at]
    way = int(rng.integers(6))
    if way == 0 and data:
        spot = int(rng.integers(len(data)))
        parts[at] = kind, data[:spot] + rng.bytes(1) + data[spot + 1 :]
    elif way == 1:
        parts[at] = kind, data[: int(rng.integers(len(data) + 1))]
    elif way == 2:
        parts.insert(at, parts[int(rng.integers(len(parts)))])
    elif way == 3:
        del parts[at]
    elif way == 4:
        head = bytearray(parts[0][1])
        field = int(pick(rng, (0, 4)))
        head[field : field + 4] = (int(pick(rng, WORDS)) & 0xFFFFFFFF).to_bytes(4, "big")
        parts[0] = b"IHDR", bytes(head)
    else:
        odd = pick(rng, (b"zTXt", b"iCCP", b"iTXt", b"acTL", b"fdAT", b"tRNS", b"PLTE", b"eXIf"))
        parts.insert(1, (odd, b"x\0\0" + zlib.compress(bytes(1 << 20)) + rng.bytes(3)))
    path = folder / name
    path.write_bytes(png(parts))
    return case(path, sounds()[name])


@DOOR.kind("A small file that unpacks to gigabytes, in its pixels or its texts.")
def bomb(rng: Rng, folder: Path) -> Case:
    size = int(pick(rng, (1 << 16, 70_000, 200_000)))
    packed = zlib.compress(bytes(50 << 20), 9)
    head = struct.pack(">IIBBBBB", size, size, 8, int(pick(rng, (0, 2, 3, 6))), 0, 0, 0)
    first, *others = chunks(sounds()["rgb.png"])
    ways = (
        [(b"IHDR", head), (b"IDAT", packed), (b"IEND", b"")],
        [first, (b"zTXt", b"a\0\0" + packed), *others],
        [first, (b"iCCP", b"a\0\0" + packed), *others],
        [first, (b"IDAT", packed), (b"IEND", b"")],
    )
    path = folder / "0001.png"
    path.write_bytes(png(pick(rng, ways)))
    return case(path, sounds()["rgb.png"])


@DOOR.kind("A header of a BMP or JPEG file that declares another size or depth.")
def size_lie(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, [n for n in sounds() if not n.endswith(".png")]))
    content = bytearray(sounds()[name])
    if name.endswith(".bmp"):
        at = int(pick(rng, (10, 14, 18, 22, 26, 28, 30, 34, 46)))
        content[at : at + 4] = (int(pick(rng, WORDS)) & 0xFFFFFFFF).to_bytes(4, "little")
    else:
        start = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        at = start + int(pick(rng, (2, 4, 5, 7, 9, 10, 11, 12)))
        content[at : at + 2] = (int(pick(rng, WORDS)) & 0xFFFF).to_bytes(2, "big")
    path = folder / name
    path.write_bytes(content)
    return case(path, sounds()[name])


@DOOR.kind("One's own picture with a strange note of its orientation.")
def orientation(rng: Rng, folder: Path) -> Case:
    content = sounds()["turned.jpg"]
    at = content.find(b"Exif")
    spot = at + int(rng.integers(60))
    path = folder / "own.jpg"
    path.write_bytes(content[:spot] + rng.bytes(int(rng.integers(1, 5))) + content[spot + 2 :])
    return case(path, content, upright=True)


@DOOR.kind("Sizes at the limits: one pixel, a very long row, the largest picture.")
def extreme_size(rng: Rng, folder: Path) -> Case:
    sizes = ((1, 1), (1, 65_500), (65_500, 1), (2, 3), (4000, 1), (1, 2**16 + 1), (2**17, 1))
    size = pick(rng, sizes)
    form, suffix = pick(rng, (("PNG", "png"), ("BMP", "bmp"), ("JPEG", "jpg")))
    if form == "JPEG":
        size = min(size[0], 65_500), min(size[1], 65_500)
    path = folder / f"0001.{suffix}"
    content = saved(Image.new("RGB", size, (9, 99, 200)), form)
    path.write_bytes(content)
    return case(path, content)
