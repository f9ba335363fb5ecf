"""Result files and their summary on the terminal.

A box file has one line ``x,y,w,h`` per frame, **1-based**, as MATLAB programs expect;
``util.boxes.parse`` reads it.
"""

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hcft_jax.evaluation.metrics import Scores
from hcft_jax.util import text
from hcft_jax.util.boxes import LARGEST, Boxes, parse, to_file
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing


def write_boxes(path: str | Path, boxes: npt.ArrayLike) -> None:
    """Write 0-based boxes ``[T, 4]`` as 1-based lines with four decimals, whole or not at all.

    Raises:
        InputError: a box is not finite or in no image, or the folder cannot be written to.
    """
    content = formatted(path, boxes)
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def formatted(path: str | Path, boxes: npt.ArrayLike) -> bytes:
    """Return the content of a result file, as ``write_boxes`` writes it.

    Args:
        path: The file, for messages.
        boxes: ``[T, 4]``, 0-based.

    Raises:
        InputError: a box is not finite, or in no image.
    """
    rows = to_file(boxes)
    if rows.ndim != 2 or rows.shape[1] != 4 or not len(rows):
        raise ValueError(f"boxes of shape {rows.shape}, want [T, 4]")
    for what, bad in (
        ("is not finite", ~np.isfinite(rows).all(axis=1)),
        (f"is beyond {LARGEST:g} pixels", (np.abs(rows) > LARGEST).any(axis=1)),
    ):
        if bad.any():
            raise InputError(
                f"{path}: not written, box {int(bad.argmax()) + 1} of {len(rows)} {what} (check "
                "the tracker's settings)"
            )
    file = io.BytesIO()
    np.savetxt(file, rows, fmt="%.4f", delimiter=",")
    return file.getvalue()


def read_boxes(path: str | Path, *, empty: bool = False) -> Boxes:
    """Read a result file of this program: 1-based, ``[T, 4]``.

    Args:
        path: The file.
        empty: Whether a box may be empty (w or h <= 0), as those of some other trackers are.

    Raises:
        InputError: it cannot be read, or a row is no box in an image.
    """
    boxes = parse(path)
    bad = (boxes[:, 2:] <= 0).any(axis=1)
    if bad.any() and not empty:
        raise InputError(
            f"{path}, line {int(bad.argmax()) + 1}: no box in an image; remove the file"
        )
    return boxes


def digest(content: bytes | Path) -> str:
    """Return what identifies the boxes of a result file, whatever ends its lines.

    Args:
        content: The file, or what is in it.

    Raises:
        InputError: the file cannot be read.
    """
    if isinstance(content, Path):
        content = "\n".join(text.lines(content, empty=True)).encode()
    return hashlib.blake2b(b"\n".join(content.split()), digest_size=16).hexdigest()


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write indented JSON with sorted keys, whole or not at all.

    Raises:
        InputError: a number is not finite, as JSON requires, or the folder cannot be written to.
    """
    try:
        written = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
    except ValueError as error:
        raise InputError(f"{path}: not written, a number is not finite ({error})") from error
    with replacing(path) as temporary:
        temporary.write_text(written + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a file that ``write_json`` wrote.

    Raises:
        InputError: the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(
            "\n".join(text.lines(Path(path), empty=True)),
            parse_float=_finite,
            parse_constant=_finite,
        )
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); remove it"
        ) from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        raise InputError(f"{path}: not JSON that was written here; remove it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object")
    return content


def _finite(number: str) -> float:
    """Return a number of a file; ``write_json`` writes none that is not finite."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)
    return value


def table(rows: Sequence[tuple[str, Scores, float | None]], mean: Scores) -> str:
    """Format the aligned table of a run: one line per sequence, and a last one for the mean.

    Args:
        rows: Name, scores and frames per second (None if unknown) of each sequence.
        mean: The mean scores. Their frames per second are all tracked frames (the first frame of
            a sequence is given) over the time they took, if it is known for every sequence.
    """
    tracked = [(scores.frames - 1, fps) for _, scores, fps in rows if fps]
    seconds = sum(count / fps for count, fps in tracked)
    known = seconds and len(tracked) == len(rows)
    total_fps = sum(count for count, _ in tracked) / seconds if known else None
    cells = [("Sequence", "frames", "DP@20", "OS@0.5", "AUC", "CLE", "fps")]
    for name, s, fps in [*rows, ("mean", mean, total_fps)]:
        percent = (f"{100 * s.dp20:.2f}", f"{100 * s.os50:.2f}")
        rate = f"{fps:.1f}" if fps else "-"
        cells.append((name, str(s.frames), *percent, f"{s.auc:.4f}", f"{s.cle:.2f}", rate))
    return aligned(cells)


def aligned(cells: Sequence[Sequence[str]], left: int = 1) -> str:
    """Align rows of cells as lines of text, the first ``left`` columns left, the others right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [
            text.ljust(width) if i < left else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded))
    return "\n".join(lines)
