"""Frames from image files, and threads that decode ahead of the consumer.

simplejpeg decodes sound JPEG files: it works outside of Python's lock, so that more threads decode
more. Pillow decodes everything else, and decides about files that simplejpeg finds fault with.
OpenCV would fill the missing rest of a truncated file with grey and report nothing, and a tracker
would follow that.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import struct
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image, UnidentifiedImageError

from hcft_jax.data import depth, orientation, png
from hcft_jax.data.sequence import Frame, FrameSource, encoded, read_to
from hcft_jax.util import opening
from hcft_jax.util.errors import InputError

# Few formats on purpose: Pillow starts Ghostscript for EPS, for example.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2"),
)
_AHEAD = 8  # items that wait for the consumer of ``ahead``
MAX_PIXELS = 2**26  # 8192 x 8192; a small file can claim to be far more and exhaust the memory
MAX_SIDE = 2**16  # pixels, as in JPEG: Pillow takes more memory for a row than for its pixels
MAX_SCANS = 64  # of a large JPEG file, which is decoded once for each; programs write ten

Item = TypeVar("Item")
Made = TypeVar("Made")

_TIFF_BITS = 258  # the tag of the bits of each channel
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_JPEG_SCAN = b"\xff\xda"
_EXIF = b"Exif\0\0"
_LARGE = 2**22  # pixels from which the number of scans matters
_JPEG_COLOURS = ("YCbCr", "Gray", "RGB")
_COMMON_COLOURS = ("YCbCr", "Gray")  # that all decoders take for the same
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def read_image(
    path: str | Path,
    out: Frame | None = None,
    *,
    bits: Callable[[], int] | None = None,
    upright: bool = False,
) -> Frame:
    """Decode a picture of one of ``FORMATS`` to RGB, uint8 ``[H, W, 3]``.

    Grey is repeated, a palette is looked up, alpha is dropped and 16 bits are cut to the upper 8
    of those that are used. Of several pictures in a file the first one is taken.

    Args:
        path: The file.
        out: A C-contiguous array, which is what is returned where it has the size of the image and
            the image is a sound JPEG file; otherwise its content is undefined afterwards.
        bits: Returns how many of 16 bits are used, and is called for such images only; None: as
            many as this one uses (``depth.used``).
        upright: Whether an EXIF orientation is applied, as it is for one's own pictures. The
            annotations of benchmarks are made on the pixels as they are stored.

    Raises:
        InputError: The file is missing, empty, truncated, too large or not such an image.
    """
    path = Path(path)
    try:
        content = opening.content(path, opening.IMAGE)
        if not content:
            raise InputError(f"{path}: the file is empty")
        matrix = orientation.of_picture(content) if upright else None
        frame = _decoded(content, path, out if matrix is None else None, bits)
        return frame if matrix is None else np.array(orientation.upright(frame, matrix))
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(_too_large(path, "the image")) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image ({', '.join(FORMATS)}), or damaged") from error
    except _DECODING_ERRORS as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise InputError(f"{path}: cannot read the image ({reason})") from error


def _decoded(
    content: bytes, path: Path, out: Frame | None, bits: Callable[[], int] | None
) -> Frame:
    """Return the pixels of a file as they are stored."""
    if content.startswith(_JPEG) and (frame := _sound_jpeg(content, out)) is not None:
        return frame
    if content.startswith(_JPEG):
        content = content.replace(_EXIF, bytes(len(_EXIF)), 1)  # Pillow warns of faults in it
    if content.startswith(png.SIGNATURE) and (at := png.damaged(content)) is not None:
        raise InputError(f"{path}: the image is damaged: a wrong checksum of its part at byte {at}")
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
        if not _affordable(content, width, height):
            raise InputError(_too_large(path, f"{width} x {height} pixels"))
        if image.format == "TIFF":  # Pillow would turn it as it is loaded
            image.getexif().pop(orientation.EXIF_TAG, None)
        if _is_deep(image, content):
            return _of_16_bits(content, image, path, bits)
        if image.mode in ("F", "I"):
            raise InputError(f"{path}: pixels of 32 bits; save it with 8 or 16")
        return _rgb(image)


def _sound_jpeg(content: bytes, out: Frame | None) -> Frame | None:
    """Return the pixels, equal to Pillow's, or None where the file is special or damaged."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours in _JPEG_COLOURS and _affordable(content, width, height):
            if out is None or out.shape != (height, width, 3):
                return np.asarray(simplejpeg.decode_jpeg(content, "RGB"))
            simplejpeg.decode_jpeg(content, "RGB", buffer=out)
            return out
    except ValueError:
        pass
    return None


def plain_jpeg(source: FrameSource, index: int, size: tuple[int, int]) -> bytes | None:
    """Return the file of a frame if it is a JPEG file that any decoder can be trusted with.

    That is one in the usual colours, of the right size and with an end: some decoders fill the
    missing rest of a truncated file and report nothing. For all others there is ``read``, whose
    pixels and errors are then those of the host's decoder.

    Args:
        source: What the frame is from.
        index: Which frame, 0-based.
        size: (H, W) that it must have.
    """
    content = encoded(source, index)
    if content is None or not (content.startswith(_JPEG) and content.endswith(_JPEG_END)):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None
    if not _affordable(content, width, height):
        return None
    return content if (height, width) == size and colours in _COMMON_COLOURS else None


def _affordable(content: bytes, width: int, height: int) -> bool:
    """Tell whether an image can be decoded in a bounded time and memory."""
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        return False
    large = width * height > _LARGE and content.startswith(_JPEG)
    return not large or content.count(_JPEG_SCAN) <= MAX_SCANS


def _too_large(path: Path, what: str) -> str:
    return (
        f"{path}: {what} is too large, at most {MAX_PIXELS} pixels in sides of {MAX_SIDE} and in "
        f"{MAX_SCANS} scans are decoded"
    )


def _is_deep(image: Image.Image, content: bytes) -> bool:
    """Return whether an image has 16 bits per channel."""
    if image.format == "PNG":
        return content[24:25] == b"\x10"
    if image.format == "TIFF":
        return set(image.tag_v2.get(_TIFF_BITS, ())) == {16}  # type: ignore[attr-defined]
    return image.mode == "I" or image.mode.startswith("I;16")


def _of_16_bits(
    content: bytes, image: Image.Image, path: Path, bits: Callable[[], int] | None
) -> Frame:
    """Return the pixels of an image of 16 bits per channel as 8 bits."""
    deep = _deep_pixels(content, image)
    used = depth.used(deep, str(path)) if bits is None else bits()
    frame = depth.to_8_bits(deep, used)
    return np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3)))


def _deep_pixels(content: bytes, image: Image.Image) -> npt.NDArray[np.uint16]:
    """Return all bits of an image, uint16 ``[H, W, 3]`` or, grey, ``[H, W, 1]``.

    Pillow has only the upper 8 bits of colours, but it refuses what is damaged, and OpenCV the PNG
    files whose checksums are wrong.
    """
    image.load()
    if image.format != "PNG" and (image.mode == "I" or image.mode.startswith("I;16")):
        return np.asarray(image).astype(np.uint16)[..., None]
    import cv2  # only here, and commands that list their flags have no need of it

    deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16:
        raise ValueError("16 bits per channel that OpenCV does not read")
    pixels = deep[..., :3][..., ::-1] if deep.ndim == 3 else deep[..., None]
    return np.asarray(pixels, np.uint16)


def _bits_of(path: Path) -> int:
    """Return how many of 16 bits a file uses; 16 where it has fewer, or cannot be read."""
    bombs = Image.DecompressionBombWarning, Image.DecompressionBombError
    with contextlib.suppress(*bombs, *_DECODING_ERRORS):
        content = opening.content(path, opening.IMAGE)
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if _is_deep(image, content) and _affordable(content, *image.size):
                return depth.used(_deep_pixels(content, image), str(path))
    return depth.DEPTHS[-1]


def _rgb(image: Image.Image) -> Frame:
    if image.mode == "P" and "transparency" in image.info:
        return np.array(image.convert("RGBA").convert("RGB"))  # Pillow warns of the direct way
    return np.array(image.convert("RGB"))


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """A FrameSource over image files, one per frame, in the given order, decoded on demand.

    Attributes:
        paths: The files.
        upright: As for ``read_image``.
    """

    paths: tuple[Path, ...]
    upright: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Frame:
        """Decode file ``index``: RGB, uint8 ``[H, W, 3]``; InputError names a bad file."""
        return read_image(self.paths[index], bits=self._used_bits, upright=self.upright)

    def read_to(self, index: int, out: Frame) -> Frame:
        """Decode file ``index``, into ``out`` where that can be; see ``sequence.DirectSource``."""
        return read_image(self.paths[index], out, bits=self._used_bits, upright=self.upright)

    def _used_bits(self) -> int:
        return self._bits

    @functools.cached_property
    def _bits(self) -> int:
        """The bits that the first file uses, if these are 16: one factor for the whole sequence."""
        return _bits_of(self.paths[0])

    def encoded(self, index: int) -> bytes | None:
        """Return the content of file ``index``; see ``sequence.EncodedSource``."""
        if self.upright:
            return None  # other decoders do not turn it
        try:
            return opening.content(self.paths[index], opening.IMAGE)
        except (OSError, InputError):
            return None

    def label(self, index: int) -> str:
        """Return the path of file ``index``."""
        return str(self.paths[index])

    def files(self) -> tuple[Path, ...]:
        """Return the paths; see ``sequence.FileSource``."""
        return self.paths


def read_ahead(
    read: Callable[[Item], Made], items: Iterable[Item], threads: int | Executor, ahead: int
) -> Generator[Made, None, None]:
    """Yield ``read(item)`` for each item in order, made by threads ahead of the consumer.

    The threads start with the first ``next`` and are gone once the generator ends, fails or is
    closed (also by garbage collection); closing waits only for the results being made.

    Args:
        read: Called in the threads. What it raises comes when that item's turn does.
        items: Taken as they are needed; there may be no end of them.
        threads: How many, >= 1; or those that several generators share.
        ahead: The most results that are made, or being made, beyond the one that the consumer has.
    """
    left = iter(items)
    pending: deque[Future[Made]] = deque()
    own = ThreadPoolExecutor(threads, "frames") if isinstance(threads, int) else None
    pool = own or cast(Executor, threads)
    try:
        pending.extend(pool.submit(read, item) for item in itertools.islice(left, ahead))
        while pending:
            made = pending.popleft().result()
            # Only now, as the consumer takes a result: never more than ``ahead`` beyond it.
            pending.extend(pool.submit(read, item) for item in itertools.islice(left, 1))
            yield made
    finally:
        for future in pending:
            future.cancel()
        if own is not None:
            own.shutdown(wait=True)


def ahead(items: Iterator[Item], size: int = _AHEAD) -> Generator[Item, None, None]:
    """Yield the same items, made by a thread that stays up to ``size`` ahead of the consumer.

    An exception comes where the item would have. Closing waits for the item being made.
    """
    end: Any = object()
    try:
        take = read_ahead(lambda _: next(items, end), itertools.count(), 1, size)
        with contextlib.closing(take) as made:
            yield from itertools.takewhile(lambda item: item is not end, made)
    finally:
        close(items)


def close(items: Iterator[object]) -> None:
    """Close what may be a generator."""
    if isinstance(items, Generator):
        items.close()


def stream(
    source: FrameSource, *, threads: int | Executor = 4, ahead: int = 16
) -> Generator[Frame, None, None]:
    """Yield all frames in order, decoded ahead of the consumer as ``read_ahead`` does.

    Args:
        source: What to read, T frames.
        threads: The number of decoding threads, >= 1; or threads that several streams share.
        ahead: The most frames decoded, or being so, beyond the one that the consumer has; >= 1.

    Yields:
        RGB frames, uint8 ``[H, W, 3]``, all of one size.

    Raises:
        InputError: A frame's size is not the first one's. It, and whatever ``read`` raises for a
            frame, comes when that frame's turn does: the frames before it are delivered.
    """
    shape: tuple[int, ...] | None = None
    with contextlib.closing(read_ahead(source.read, range(len(source)), threads, ahead)) as frames:
        for index, frame in enumerate(frames):
            shape = shape or frame.shape
            if frame.shape != shape:
                raise _other_size(source, index, frame.shape, shape)
            yield frame


def read_into(source: FrameSource, index: int, out: Frame) -> None:
    """Write frame ``index`` into an array, straight from the decoder where that can be.

    The pixels are those of ``source.read(index)``.

    Args:
        source: What to read.
        index: Which frame, 0-based.
        out: uint8 ``[H, W, 3]``, C-contiguous, of the size of the first frame. Its content is
            undefined after an error.

    Raises:
        InputError: The frame has another size, or cannot be read.
    """
    frame = read_to(source, index, out)
    if frame.shape != out.shape:
        raise _other_size(source, index, frame.shape, out.shape)
    if frame is not out:
        np.copyto(out, frame)


def _other_size(
    source: FrameSource, index: int, shape: tuple[int, ...], first: tuple[int, ...]
) -> InputError:
    return InputError(
        f"{source.label(index)}: {_size(shape)}, but the first frame ({source.label(0)}) has "
        f"{_size(first)}"
    )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"
