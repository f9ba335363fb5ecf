"""Box conventions, stated once.

* A box is ``(x, y, w, h)``: left, top, width, height in pixels.
* In **files** (ground truth, results) x and y are 1-based, as in MATLAB: the pixel in the top left
  corner is (1, 1). A file has a row a frame; ``parse`` reads it.
* The table of a video of one's own (``own_video``), which has a header, is 0-based.
* **Inside** the program x and y are 0-based. ``from_file`` and ``to_file`` are the only crossings.
* A position is ``(row, column)``, 0-based, and a size ``(height, width)``: array order.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hcft_jax.util.errors import InputError

Boxes = npt.NDArray[np.float64]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
# The same as one pattern: a benchmark has a million rows, and most files have nothing wrong.
_ROW = re.compile(
    r"\s*" + f"(?:{_SEPARATOR.pattern})".join([f"({_NUMBER.pattern})"] * 4) + r"\s*",
    re.ASCII | re.IGNORECASE,
)


def from_file(boxes: npt.ArrayLike) -> Boxes:
    """1-based boxes ``[..., 4]`` of a file to the 0-based ones used inside, float64."""
    return np.asarray(boxes, np.float64) - np.array([1.0, 1.0, 0.0, 0.0])


def to_file(boxes: npt.ArrayLike) -> Boxes:
    """0-based boxes ``[..., 4]`` to the 1-based ones that files hold, float64."""
    return np.asarray(boxes, np.float64) + np.array([1.0, 1.0, 0.0, 0.0])


def parse(path: str | Path, *, gaps: bool = False) -> Boxes:
    """Reads a ground truth or result file as it stands: **1-based**, float64 ``[T, 4]``.

    Separators are commas, semicolons, blanks or tabs; blank lines may only end the file. Values
    <= 0 are legal: they mark invalid ground truth.

    Args:
        path: The file.
        gaps: Whether NaN is legal too, by which other programs say that they have no box.

    Raises:
        InputError: no such file, no row in it, or a row that is not four finite numbers.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error})") from error
    try:
        text = raw.decode("utf-8-sig")  # -sig: editors on Windows put a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text") from error
    # Not splitlines(), which also breaks at characters that editors show within a line.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")
    if lines == [""]:
        raise InputError(f"{path}: the file is empty, expected a row x,y,w,h a frame")
    matches = [_ROW.fullmatch(line) for line in lines]
    if all(matches):
        boxes = np.array([[float(v) for v in match.groups()] for match in matches if match])
        if np.isfinite(boxes).all():
            return boxes
    return np.array([_row(path, number, line, gaps) for number, line in enumerate(lines, 1)])


def _row(path: Path, number: int, line: str, gaps: bool) -> list[float]:
    parts = _SEPARATOR.split(line.strip())
    if len(parts) != 4:
        count = len(parts) if parts != [""] else 0
        raise InputError(f"{path}, line {number}: {count} columns, expected x,y,w,h")
    for part in parts:
        if gaps and part.lower() == "nan":
            continue
        if not _NUMBER.fullmatch(part) or not np.isfinite(float(part)):
            raise InputError(f"{path}, line {number}: {part[:40]!r} is not a finite number")
    return [float(part) for part in parts]
