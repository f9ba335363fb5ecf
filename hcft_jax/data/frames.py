"""Frames from image files, and decoding ahead of the consumer.

simplejpeg decodes sound JPEG files, since it works outside of Python's lock, so that threads add
up; Pillow everything else, and it has the last word on files that simplejpeg finds fault with.
OpenCV would fill the missing rest of a truncated file with grey and report nothing, and a tracker
would follow that.
"""

import dataclasses
import io
import struct
import zlib
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from hcft_jax.data.sequence import Frame, FrameSource
from hcft_jax.util.errors import InputError

# Few formats on purpose: Pillow starts Ghostscript for EPS and rotates TIFF by its EXIF tag.
FORMATS = ("JPEG", "PNG", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
MAX_PIXELS = 2**26  # 8192 x 8192; a small file can claim to be far more and exhaust the memory

_JPEG = b"\xff\xd8\xff"
_JPEG_COLOURS = ("YCbCr", "Gray", "RGB")
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def read_image(path: str | Path) -> Frame:
    """Decodes a JPEG, PNG or BMP file to RGB, uint8 ``[H, W, 3]``.

    Grey is repeated, a palette is looked up, alpha is dropped and 16 bits are cut to the upper 8.
    An EXIF orientation is ignored: annotations are made on the pixels as they are stored.

    Raises:
        InputError: the file is missing, empty, truncated, too large or not such an image.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
        if not content:
            raise InputError(f"{path}: the file is empty")
        if content.startswith(_JPEG) and (frame := _sound_jpeg(content)) is not None:
            return frame
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(_too_large(path, f"{width} x {height} pixels"))
            return _rgb(image)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(_too_large(path, "the image")) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not a JPEG, PNG or BMP image, or damaged") from error
    except _DECODING_ERRORS as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise InputError(f"{path}: cannot read the image ({reason})") from error


def _sound_jpeg(content: bytes) -> Frame | None:
    """The pixels, which are Pillow's, if there is nothing special or wrong about the file."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours in _JPEG_COLOURS and width * height <= MAX_PIXELS:
            return np.asarray(simplejpeg.decode_jpeg(content, "RGB"))
    except ValueError:
        pass
    return None


def _too_large(path: Path, what: str) -> str:
    return f"{path}: {what} is too large, at most {MAX_PIXELS} pixels are decoded"


def _rgb(image: Image.Image) -> Frame:
    if image.mode.startswith("I"):  # 16-bit grey; convert() would clip it to white
        upper = np.asarray(image) >> 8
        return np.repeat(upper[..., None].astype(np.uint8), 3, axis=2)
    if image.mode == "P" and "transparency" in image.info:
        return np.array(image.convert("RGBA").convert("RGB"))  # Pillow warns of the direct way
    return np.array(image.convert("RGB"))


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """A FrameSource over image files, one a frame, in the given order, decoded on demand."""

    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Frame:
        """Decodes file ``index``: RGB, uint8 ``[H, W, 3]``; InputError names a bad file."""
        return read_image(self.paths[index])

    def label(self, index: int) -> str:
        """The path of file ``index``."""
        return str(self.paths[index])


def stream(
    source: FrameSource,
    *,
    threads: int | ThreadPoolExecutor = 4,
    ahead: int = 16,
) -> Generator[Frame, None, None]:
    """All frames in order, decoded by threads ahead of the consumer.

    The threads start with the first ``next`` and are gone once the generator ends, fails or is
    closed (also by garbage collection); closing waits only for the frames being decoded.

    Args:
        source: What to read, T frames.
        threads: Decoding threads, >= 1; or those that several streams share.
        ahead: Most frames decoded, or being so, beyond the one that the consumer has; >= 1.

    Yields:
        RGB frames, uint8 ``[H, W, 3]``, all of one size.

    Raises:
        InputError: a frame's size is not the first one's. It, and whatever ``read`` raises for a
            frame, comes when that frame's turn does: those before it are delivered.
    """
    total = len(source)
    pending: deque[Future[Frame]] = deque()
    own = None
    if isinstance(threads, int):
        threads = own = ThreadPoolExecutor(threads, thread_name_prefix="frames")
    try:
        for index in range(min(ahead, total)):
            pending.append(threads.submit(source.read, index))
        shape: tuple[int, ...] | None = None
        for index in range(total):
            frame = pending.popleft().result()
            shape = shape or frame.shape
            if frame.shape != shape:
                raise InputError(
                    f"{source.label(index)}: {_size(frame.shape)}, but the first frame"
                    f" ({source.label(0)}) has {_size(shape)}"
                )
            # Only now, as the consumer takes a frame: never more than `ahead` beyond it.
            if index + ahead < total:
                pending.append(threads.submit(source.read, index + ahead))
            yield frame
    finally:
        for future in pending:
            future.cancel()
        if own is not None:
            own.shutdown(wait=True)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"
