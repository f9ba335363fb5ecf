"""How stored pixels are turned to be seen: the EXIF tag of pictures, the display matrix of videos.

One's own pictures and videos are turned as any viewer turns them, since one draws the box in what
one sees. The frames of benchmarks are not, since their ground truth is in the pixels as they are
stored.
"""

import contextlib
import math
import struct
from collections.abc import Sequence

import numpy as np

from hcft_jax.data.sequence import Frame

Matrix = Sequence[float]  # a, b, c, d: the stored (x, y) is seen at (a x + c y, b x + d y)

EXIF_TAG = 0x0112
_MARKS = (b"Exif\0\0", b"eXIf")  # before the data in JPEG and PNG
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_MOST = 2**16  # bytes of the data
EXIF: dict[int, Matrix] = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}
"""The matrix of each EXIF orientation."""


def of_picture(content: bytes) -> Matrix | None:
    """Return the matrix that a picture asks for in its EXIF data; None where it does not.

    Pillow has a reader of such data, too, which warns of each fault.

    Args:
        content: The whole file.
    """
    if content[:4] in _ORDERS:  # TIFF, of which EXIF is made
        return of_exif(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return of_exif(_chunk(content, b"EXIF").removeprefix(_MARKS[0]))
    mark = next((mark for mark in _MARKS if mark in content), None)
    if mark is None:
        return None
    return of_exif(content.split(mark, 1)[1][:_MOST])


def _chunk(content: bytes, name: bytes) -> bytes:
    """Return a chunk of a WebP file; nothing where it has none."""
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == name:
            return content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return b""


def of_exif(data: bytes) -> Matrix | None:
    """Return the matrix that EXIF data asks for; None where there is none to be read.

    Args:
        data: From its byte order on.
    """
    order = _ORDERS.get(data[:4])
    if order is None:
        return None
    with contextlib.suppress(struct.error):
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        for entry in range(count):
            tag, kind, many, value = struct.unpack_from(f"{order}HHIH", data, at + 2 + 12 * entry)
            if (tag, kind, many) == (EXIF_TAG, 3, 1):
                return EXIF.get(value)
    return None


_SKEW = 0.01  # cosine of the angle between what were the axes
_STRETCH = 16.0  # of one axis in relation to the other; pixels that are not square have up to 2


def of_display(data: bytes) -> Matrix | None:
    """Return the part of a video's display matrix that turns and mirrors.

    Args:
        data: Nine int32, row by row, as FFmpeg has them.

    Returns:
        The part; None where it does more than turn, mirror and stretch: no camera writes that.
    """
    values = np.frombuffer(data, np.int32, 9).astype(float)
    a, b, c, d = float(values[0]), float(values[1]), float(values[3]), float(values[4])
    if not any((a, b, c, d)):  # nobody has filled it in
        return EXIF[1]
    first, second = math.hypot(a, b), math.hypot(c, d)
    if abs(a * c + b * d) > _SKEW * first * second or not 0 < first < _STRETCH * second:
        return None
    return (a, b, c, d) if second < _STRETCH * first else None


def upright(image: Frame, matrix: Matrix) -> Frame:
    """Return a view of an image as it is to be seen, turned by quarters and mirrored.

    Args:
        image: ``[H, W, 3]`` as it is stored.
        matrix: Any one; a rotation by another angle is taken for the nearest quarter, and a change
            of the size is left out.

    Returns:
        ``[H, W, 3]``, or ``[W, H, 3]`` where x and y change places.
    """
    a, b, c, d = matrix
    across, down = a, d  # what decides about the direction of the rows and columns that are seen
    if abs(a) + abs(d) < abs(b) + abs(c):
        image = image.swapaxes(0, 1)
        across, down = c, b
    if across < 0:
        image = image[:, ::-1]
    return image[::-1] if down < 0 else image
