"""Box conventions, stated once.

* A box is ``(x, y, w, h)``: left, top, width, height in pixels.
* In **files** (ground truth, results) x and y are 1-based, as in MATLAB: the pixel in the top left
  corner is (1, 1). A file has one row per frame; ``parse`` reads it.
* The table of a user's own video (``own_video``), which has a header, is 0-based.
* **Inside** the program x and y are 0-based. ``from_file`` and ``to_file`` are the only crossings.
* A position is ``(row, column)``, 0-based, and a size ``(height, width)``: array order.
"""

import re
from array import array
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hcft_jax.util import text
from hcft_jax.util.errors import InputError

Boxes = npt.NDArray[np.float64]

LARGEST = 1e7
"""The largest number of a box, in pixels: what is beyond it is in no image."""

_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
# One pattern for a whole row: a benchmark has a million rows, and most files have no fault.
_ROW = re.compile(
    r"\s*" + f"(?:{_SEPARATOR.pattern})".join([f"({text.NUMBER})"] * 4) + r"\s*",
    re.ASCII | re.IGNORECASE,
)


def from_file(boxes: npt.ArrayLike) -> Boxes:
    """Return 1-based boxes ``[..., 4]`` of a file as 0-based ones, float64."""
    return np.asarray(boxes, np.float64) - np.array([1.0, 1.0, 0.0, 0.0])


def to_file(boxes: npt.ArrayLike) -> Boxes:
    """Return 0-based boxes ``[..., 4]`` as the 1-based ones that files hold, float64."""
    return np.asarray(boxes, np.float64) + np.array([1.0, 1.0, 0.0, 0.0])


def parse(path: str | Path, *, gaps: bool = False) -> Boxes:
    """Read a ground truth or result file as it stands: **1-based**, float64 ``[T, 4]``.

    Separators are commas, semicolons, blanks or tabs, one of which may also end a row. Blank lines
    may only end the file. A header x,y,w,h and comments (``#``) are skipped. Values <= 0 are legal:
    they mark invalid ground truth.

    Args:
        path: The file.
        gaps: Whether NaN is legal too, by which other programs say that they have no box.

    Raises:
        InputError: The file cannot be read, is empty, or has a row that is not four
            finite numbers up to ``LARGEST``.
    """
    path = Path(path)
    lines = text.lines(path)
    values = array("d")  # a list of numbers would take ten times the memory
    for line in lines:
        if not (match := _ROW.fullmatch(line)):
            break
        values.extend(map(float, match.groups()))
    else:
        boxes = np.array(values).reshape(-1, 4)
        if (np.abs(boxes) <= LARGEST).all():
            return boxes
    header, rows = text.records(path)
    if header and (len(header) != 4 or header[2].startswith(("x", "right"))):
        raise InputError(f"{path}, line 1: the columns {','.join(header)[:60]}, expected x,y,w,h")
    if not rows:
        raise InputError(f"{path}: it has no box")
    return np.array([_row(path, number, parts, gaps) for number, parts in rows])


def _row(path: Path, number: int, parts: list[str], gaps: bool) -> list[float]:
    if len(parts) != 4:
        count = len(parts) if parts != [""] else 0
        raise InputError(f"{path}, line {number}: {count} columns, expected x,y,w,h")
    return [
        np.nan if gaps and part.lower() == "nan" else coordinate(path, number, part)
        for part in parts
    ]


def coordinate(path: Path, line: int, content: str) -> float:
    """Return the coordinate or size in a part of a line, in pixels.

    Raises:
        InputError: It is no finite number, or beyond ``LARGEST``.
    """
    value = text.real(path, line, content)
    if abs(value) > LARGEST:
        raise InputError(
            f"{path}, line {line}: {content[:40]!r} is in no image, at most {LARGEST:g} pixels"
        )
    return value
