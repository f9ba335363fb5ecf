"""The layout of NfS, Need for Speed (Kiani Galoogahi et al., ICCV 2017).

::

    <root>/<Name>/30/<Name>/00001.jpg ...     frames, and the same in 240/
    <root>/<Name>/30/<Name>.txt               rows  id x1 y1 x2 y2 frame lost ... "class"

A file has one row per frame. The corners are 0-based pixels; the box is x1, y1, x2 - x1, y2 - y1,
as in the GOT-10k toolkit. Some files of the 30 Hz version have the rows of the 240 Hz one: then
every eighth row belongs to a frame. One surplus row or frame at the end is ignored.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hcft_jax.data import layout
from hcft_jax.data.frames import ImageFiles
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import boxes, text
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import exists

STEP = 8  # 240 Hz to 30 Hz


def load(where: Path, rate: int) -> Sequence:
    """Read the ground truth of a sequence.

    Raises:
        InputError: Frames or ground truth are missing, damaged, or do not fit each other.
    """
    files, first = layout.all_frames(where.with_suffix(""))
    truth = parse(where)
    if rate == 30 and abs(len(truth) / len(files) - STEP) < 1:
        truth = truth[::STEP]
    surplus = abs(len(truth) - len(files)) == 1 < min(len(truth), len(files))
    if surplus and first == 1:  # else it would be a frame at the beginning that is missing
        count = min(len(truth), len(files))
        truth, files = truth[:count], ImageFiles(files.paths[:count])
    return layout.sequence(where.stem, files, truth, where, first)


def parse(path: Path) -> Boxes:
    """Return the boxes of an annotation, ``[T, 4]``, 0-based.

    Raises:
        InputError: It cannot be read, or a row does not have two corners of numbers.
    """
    rows = []
    for number, line in enumerate(text.lines(path), 1):
        parts = line.split(maxsplit=5)  # the class at the end may have blanks
        if len(parts) < 5:
            raise InputError(f"{path}, line {number}: expected id x1 y1 x2 y2 ...")
        x1, y1, x2, y2 = (boxes.coordinate(path, number, part) for part in parts[1:5])
        rows.append((x1, y1, x2 - x1, y2 - y1))
    return np.array(rows)


def _targets(rate: int, root: Path) -> Iterator[ListedTarget]:
    for folder in layout.folders(root):
        where = folder / str(rate) / f"{folder.name}.txt"
        if exists(where):
            read = functools.partial(load, where, rate)
            yield ListedTarget(folder.name, folder.name, where, where.with_suffix(""), read)


def _dataset(rate: int) -> Dataset:
    return Dataset(
        title=f"NfS at {rate} Hz",
        layout=f"expected <Name>/{rate}/<Name>/00001.jpg ... and <Name>/{rate}/<Name>.txt in it",
        recognise=lambda root: next(_targets(rate, root), None) is not None,
        targets=functools.partial(_targets, rate),
        shared=True,
    )


DATASET_30 = _dataset(30)
DATASET_240 = _dataset(240)
