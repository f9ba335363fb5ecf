"""The layout of the OTB benchmark.

::

    <root>/<Name>/img/0001.jpg ...          frames, numbered
    <root>/<Name>/groundtruth_rect.txt      one row x, y, w, h per frame, 1-based
    <root>/<Name>/groundtruth_rect.<k>.txt  or one file per target: target <Name>-<k>

The benchmark evaluates only a part of the frames of some videos (``RANGES``). Its annotations say
in which frames a segment of TRE must not start::

    <annotations>/initOmit/<Name>.txt       one row per range: its first and last frame number
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from hcft_jax.data import layout
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import boxes, files, text
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.files import replacing
from hcft_jax.util.names import index, key

# The first and last evaluated frame, by file number; the annotation has one row for each frame.
RANGES = {
    "blurcar1": (247, 988),
    "blurcar3": (3, 359),
    "blurcar4": (18, 397),
    "david": (300, 770),
    "diving": (1, 215),
    "football1": (1, 74),
    "freeman3": (1, 460),
    "freeman4": (1, 283),
    "tiger1": (6, 354),
}
# Only Tiger1 is annotated from an earlier frame than the one where its evaluation starts.
ANNOTATED_FROM = {"tiger1": 1}

_GROUND_TRUTH = re.compile(r"groundtruth_rect(?:\.([0-9]+))?\.txt")


def load(name: str, where: Path) -> Sequence:
    """Read the ground truth of a target and list its frames; no frame is decoded.

    Args:
        name: The target's name: that of the video, or <video>-<k> where it has several targets.
        where: The ground truth, in the video's folder.

    Raises:
        InputError: There are no frames, their numbers have a gap, the ground truth cannot be read,
            or it has another number of rows than there are frames.
    """
    folder = where.parent / "img"
    numbered = layout.numbered(folder)
    rows = boxes.parse(where)
    video = where.parent.name.lower()
    if video in RANGES:
        first, last = RANGES[video]
        before = first - ANNOTATED_FROM.get(video, first)
        if len(rows) == before + last - first + 1:
            rows = rows[before:]
    else:
        first, last = min(numbered), max(numbered)
    if video in RANGES and len(numbered) == last - first + 1:
        # A copy of the evaluated frames only, whatever numbers they were given.
        first, last = min(numbered), max(numbered)
    frames = layout.consecutive(folder, numbered, first, last)
    total = last - first + 1
    if len(rows) != total:
        raise InputError(
            f"{where}: {len(rows)} boxes, but {total} frames ({first} to {last}) in {folder}:"
            f" the ground truth is {'shorter' if len(rows) < total else 'longer'} than the frames"
        )
    return Sequence(name, frames, boxes.from_file(rows), first)


def omitted_folder(annotations: str | Path) -> Path:
    """Return ``<annotations>/initOmit``.

    Raises:
        SettingError: There is no such folder.
    """
    folder = Path(annotations) / "initOmit"
    if not files.is_dir(folder):
        raise SettingError("annotations", f"no folder {folder}")
    return folder


def omitted(annotations: str | Path, sequence: Sequence) -> list[tuple[int, int]]:
    """Return the ranges in which TRE must not start: pairs (first, last) of frame indices.

    Both ends are inclusive and may lie beyond the sequence (Tiger1's first range, Freeman4's last).
    A sequence without a file in any spelling of its name has no such ranges.

    Args:
        annotations: The folder that holds ``initOmit``.
        sequence: A sequence that ``load`` returned.

    Raises:
        InputError: There is no such folder, or a row is not two frame numbers in order.
    """
    folder = omitted_folder(annotations)
    lists = {path.stem: path for path in folder.glob("*.txt")}
    name = index(lists).get(key(sequence.name))
    if name is None:
        return []
    # the frames may be a renumbered copy of the evaluated ones; the ranges have the old numbers
    start, _ = RANGES.get(sequence.name.lower(), (sequence.first_frame, 0))
    return [(first - start, last - start) for first, last in frame_ranges(lists[name])]


def frame_ranges(path: Path) -> list[tuple[int, int]]:
    """Return the rows of an ``initOmit`` file: first and last frame number of each range.

    Raises:
        InputError: The file cannot be read, or a row is not two frame numbers in order.
    """
    ranges = []
    for number, line in enumerate(text.lines(path, empty=True), 1):
        if not (parts := text.fields(line)):
            continue
        if len(parts) != 2:
            raise InputError(f"{path}, line {number}: expected two frame numbers, first and last")
        first, last = (text.whole(path, number, part) for part in parts)
        if not 0 <= first <= last:
            raise InputError(f"{path}, line {number}: {first} comes after {last}, or before 0")
        ranges.append((first, last))
    return ranges


def write(
    sequence: Sequence, root: str | Path, *, image_format: Literal["png", "jpg"] = "png"
) -> Path:
    """Write ``sequence`` below ``root`` in the OTB layout; return its folder, ``root/<name>``.

    Frames keep their numbers (from ``sequence.first_frame``); boxes have four decimals. "png" keeps
    every pixel, "jpg" (quality 95) is smaller. The ground truth is written last: a folder without
    it was interrupted.

    Raises:
        InputError: The folder exists and is not empty, or cannot be written to.
    """
    folder = Path(root) / sequence.name
    if Path(sequence.name).name != sequence.name or sequence.name in ("", ".."):
        raise InputError(f"{sequence.name!r}: cannot be the name of a folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already; remove it or choose another name")
    for frame in range(len(sequence)):
        path = folder / "img" / f"{sequence.first_frame + frame:04d}.{image_format}"
        with replacing(path) as temporary:
            # Pillow's PNG writer knows no quality and ignores it.
            Image.fromarray(sequence.frames.read(frame)).save(temporary, quality=95)
    path = folder / "groundtruth_rect.txt"
    with replacing(path) as temporary:
        np.savetxt(temporary, boxes.to_file(sequence.boxes), "%.4f", delimiter=",")
    return folder


def _recognise(root: Path) -> bool:
    return any(
        any(folder.glob("groundtruth_rect*.txt"))
        or (files.is_dir(folder / "img") and not files.exists(folder / "groundtruth.txt"))
        for folder in layout.folders(root)
    )


def _targets(root: Path) -> Iterator[ListedTarget]:
    for folder in layout.folders(root):
        yield from _of_folder(folder)


def _of_folder(folder: Path) -> Iterator[ListedTarget]:
    """List every target, also one without frames or ground truth, which ``load`` then reports."""
    try:
        found = [m for path in folder.iterdir() if (m := _GROUND_TRUTH.fullmatch(path.name))]
        incomplete = not found and files.is_dir(folder / "img")
    except OSError:
        found, incomplete = [], True
    named = [(m[0], "" if m[1] is None else f"-{int(m[1])}") for m in found]
    for file, number in [*named, *([("groundtruth_rect.txt", "")] if incomplete else [])]:
        name, where = f"{folder.name}{number}", folder / file
        read = functools.partial(load, name, where)
        yield ListedTarget(name, folder.name, where, folder / "img", read)


def _is_sequence(folder: Path) -> bool:
    return files.is_dir(folder / "img") and any(folder.glob("groundtruth_rect*.txt"))


DATASET = Dataset(
    title="OTB",
    layout="expected <Name>/img/0001.jpg ... and <Name>/groundtruth_rect.txt in it",
    recognise=_recognise,
    targets=_targets,
    itself=_is_sequence,
    of_itself=_of_folder,
)
