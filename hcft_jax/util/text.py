"""Text files of numbers: rows, fields and numbers, with errors that name the file and line."""

import csv
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hcft_jax.util import opening
from hcft_jax.util.errors import InputError

NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
"""The pattern of a number, for ``re.ASCII | re.IGNORECASE``; a long row of digits is tried once."""

MOST_LINES = 1_000_000  # nine hours of video; more would take minutes and gigabytes

_NUMBER = re.compile(NUMBER, re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")  # far beyond all frames and years
_FIELD = re.compile(r"\s*[,;]\s*|\s+")
_ENDING = re.compile(r"\s*[,;]$")
_SEPARATOR = re.compile(r"[\s,;]+")


def lines(path: Path, *, empty: bool = False, most: int = opening.TEXT) -> list[str]:
    """Return the lines of a text file without the blank ones at its end.

    Args:
        path: The file, in UTF-8, with line ends of any system.
        empty: Whether it may be empty; its only line is "" then.
        most: The most bytes that it may have.

    Raises:
        InputError: It cannot be read, is too large or no regular file, is not UTF-8 text, or is
            empty.
    """
    try:
        raw = opening.content(path, most)
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error})") from error
    if raw.count(b"\n") + raw.count(b"\r") > 2 * MOST_LINES:
        raise InputError(f"{path}: too many lines, at most {MOST_LINES}")
    try:
        text = raw.decode("utf-8-sig")  # -sig: editors on Windows put a byte order mark
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text") from error
    # Not splitlines(), which also breaks at characters that editors show within a line.
    found = text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")
    if found == [""] and not empty:
        raise InputError(f"{path}: the file is empty")
    if len(found) > MOST_LINES:
        raise InputError(f"{path}: too many lines, at most {MOST_LINES}")
    return found


def records(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a text file of numbers, and its rows, each with its line's number.

    Separators are commas, semicolons, blanks or tabs, one of which may also end a row. Lines that
    begin with ``#`` are comments. A first row of names is a header; without one it is empty.

    Args:
        path: The file.

    Raises:
        InputError: As for ``lines``.
    """
    header: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines(path), 1):
        row = line.strip()
        if row.startswith("#"):
            continue
        parts = _FIELD.split(_ENDING.sub("", row))
        if not (rows or header) and _named(parts):
            header = [part.strip("\"'").lower() for part in parts]
        else:
            rows.append((number, parts))
    return header, rows


def _named(parts: list[str]) -> bool:
    """Return whether the fields of a row are names, not numbers."""
    letters = all(re.match(r"[\"']?[A-Za-z_]", part) for part in parts)
    numbers = {"nan", "inf", "infinity"} & {part.lower() for part in parts}
    return letters and len(parts) > 1 and not numbers


def shown(text: str, most: int = 60) -> str:
    """Return a text from a file as a message can show it: short, in one line, printable.

    Args:
        text: The text.
        most: Characters that are shown.
    """
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def fields(line: str) -> list[str]:
    """Split a line at blanks, commas and semicolons, several of which count as one."""
    return [field for field in _SEPARATOR.split(line) if field]


def real(path: Path, line: int, text: str) -> float:
    """Return the finite number in ``text``, which may have blanks around it.

    Raises:
        InputError: It is not a finite number; the message names the file and line.
    """
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise InputError(f"{path}, line {line}: {text[:40]!r} is not a finite number")
    return value


def whole(path: Path, line: int, text: str) -> int:
    """Return the whole number in ``text``, of at most 15 digits, which may have blanks around it.

    Raises:
        InputError: It is no such number; the message names the file and line.
    """
    if not _WHOLE.fullmatch(text.strip()):
        raise InputError(f"{path}, line {line}: {text[:40]!r} is not a whole number of 15 digits")
    return int(text)


def natural_number(text: str) -> int | None:
    """Return the number in a text of 1 to 9 digits, which may have blanks around it, or None."""
    return int(text) if re.fullmatch(r"\s*[0-9]{1,9}\s*", text) else None


def table(path: Path, columns: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV file, each with the number of its line and a cell by column.

    Args:
        path: The file, whose first line has the names of the columns.
        columns: Those that must be there.

    Raises:
        InputError: It cannot be read, has no such column, or has a row of fewer cells or a cell of
            more than 131,072 characters.
    """
    reader = csv.DictReader(lines(path))
    rows = []
    try:
        header = reader.fieldnames or []
        for column in columns:
            if column not in header:
                raise InputError(f"{path}: no column {column}")
        for row in reader:
            if None in row.values():
                raise InputError(
                    f"{path}, line {reader.line_num}: fewer cells than the {len(header)} columns"
                )
            rows.append((reader.line_num, dict(row)))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num + 1}: {error}") from error
    return rows


def numbers(path: Path) -> npt.NDArray[np.float64]:
    """Return all numbers of a file, whether they are in one row or in many.

    Raises:
        InputError: The file cannot be read, has something else than finite numbers, or has too
            many.
    """
    found: list[float] = []
    for number, row in enumerate(lines(path), 1):
        parts = fields(row)
        if len(found) + len(parts) > MOST_LINES:
            raise InputError(f"{path}: too many numbers, at most {MOST_LINES}")
        found += [real(path, number, part) for part in parts]
    return np.array(found)
