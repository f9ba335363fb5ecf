"""The layout of VOT's data sets (https://www.votchallenge.net).

::

    <root>/list.txt                           the sequences' names
    <root>/<Name>/groundtruth.txt             one region per frame
    <root>/<Name>/groundtruth_<k>.txt         or one file per object: target <Name>-<k>
    <root>/<Name>/color/00000001.jpg ...      frames; before 2018 without color/
    <root>/<Name>/sequence                    where other frames are: channels.color=rgb/%08d.jpg

A region is a rectangle ``x,y,w,h``, a polygon ``x1,y1,x2,y2,...``, a mask ``mx,y,w,h,run,...`` (run
lengths, row by row, zeros first), or one number or NaN: unknown. They are 0-based, as the toolkit
hands them to trackers.

Of several channels (RGBT, RGBD) the colour is tracked in. An object of several that is not in the
first frame is tracked from the first one that it is in.

A polygon becomes a box by the toolkit's rule (``Rectangle.convert`` in vot-toolkit's
``region/shapes.py``): from its least to its greatest x and y; the size is their difference, with
no + 1 and without rounding, unlike that of the OTB toolkit (``evaluation.regions``). A mask becomes
the box about its pixels, which end where the last pixel does: the toolkit hands a mask over only to
trackers that understand it.
"""

import contextlib
import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hcft_jax.data import layout
from hcft_jax.data.layout import Dataset, ListedTarget
from hcft_jax.data.sequence import Sequence as Video
from hcft_jax.util import opening, text
from hcft_jax.util.boxes import LARGEST, Boxes, coordinate
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import is_dir, is_file
from hcft_jax.util.names import natural

_LIST = "list.txt"
_LARGEST = 2**26  # pixels of a mask
_LONGEST = 2**22  # characters of a row
_MASK = re.compile(r"m\s*-?[0-9]{1,9}\s*(?:,\s*-?[0-9]{1,9}\s*)*")


def around(points: npt.ArrayLike) -> Boxes:
    """Return the box (x, y, w, h) around points ``[N, 2]``, by the toolkit's rule."""
    corners = np.asarray(points, np.float64)
    low, high = corners.min(axis=0), corners.max(axis=0)
    return np.concatenate([low, high - low])


def parse(path: Path) -> Boxes:
    """Return the 0-based boxes ``[T, 4]`` of a file of regions, NaN where one is unknown or empty.

    Raises:
        InputError: It cannot be read, or a row is no region; the message names the line.
    """
    lines = text.lines(path, most=opening.MASKS)
    return np.array([region_box(path, n, line) for n, line in enumerate(lines, 1)])


def region_box(path: Path, number: int, line: str) -> Boxes:
    """Return the box ``[4]`` of one region; ``path`` and ``number`` are for messages."""
    row = line.strip()
    if len(row) > _LONGEST:
        raise InputError(f"{path}, line {number}: too long for a region")
    parts = row.removeprefix("m").split(",")
    unknown = np.full(4, np.nan)
    if row.startswith("m"):
        if not _MASK.fullmatch(row):
            raise InputError(f"{path}, line {number}: a mask needs whole numbers mx,y,w,h,run,...")
        box = around_mask([int(part) for part in parts])
        if box is None:
            raise InputError(f"{path}, line {number}: a mask's runs do not fit its size")
        return box
    if len(parts) == 1 or any(part.strip().lower() == "nan" for part in parts):
        if len(parts) == 1 and parts[0].strip().lower() != "nan":
            text.real(path, number, parts[0])
        return unknown
    values = [coordinate(path, number, part) for part in parts]
    if len(values) == 4:
        return np.array(values)
    if len(values) % 2 or len(values) < 6:
        raise InputError(f"{path}, line {number}: {len(values)} numbers are no region")
    return around(np.reshape(values, (-1, 2)))


def around_mask(values: Sequence[int]) -> Boxes | None:
    """Return the box of a mask's pixels, NaN for an empty mask; None: it is not a mask."""
    if len(values) < 5:
        return None
    x, y, width, height, *runs = values
    if max(abs(x), abs(y)) > LARGEST or min(width, height, *runs) < 0 or width * height > _LARGEST:
        return None
    ends = list(itertools.accumulate(runs))
    if ends[-1] > width * height:
        return None
    # the first and last pixel of each run of ones, row by row
    spans = [(a, b - 1) for a, b in zip(ends[0::2], ends[1::2], strict=False) if b > a]
    if not spans:
        return np.full(4, np.nan)
    left, right = 0, width - 1
    # a run that goes on in the next row has the pixels at both ends of a row
    if all(first // width == last // width for first, last in spans):
        left = min(first % width for first, _ in spans)
        right = max(last % width for _, last in spans)
    top, bottom = spans[0][0] // width, spans[-1][1] // width
    return np.array([x + left, y + top, right - left + 1, bottom - top + 1], np.float64)


def load(where: Path, name: str) -> Video:
    """Read the ground truth of a target and list its frames. Regions at its end may be missing.

    Args:
        where: The ground truth, in the sequence's folder.
        name: The target's name.

    Raises:
        InputError: Frames or ground truth are missing, damaged, or do not fit each other.
    """
    folder = where.parent
    files, first = layout.all_frames(_frames(folder))
    truth = parse(where)
    missing = max(len(files) - len(truth), 0)  # for the toolkit these are unknown
    truth = np.concatenate([truth, np.full((missing, 4), np.nan)])
    there = np.flatnonzero((truth[:, 2:] > 0).all(axis=1))
    begin = int(there[0]) if len(there) and name != folder.name and len(truth) == len(files) else 0
    part = type(files)(files.paths[begin:])
    return layout.sequence(name, part, truth[begin:], where, first + begin)


def _frames(folder: Path) -> Path:
    """Return the folder of the frames: that of the colours, where there are other channels."""
    if named := _channel(folder):
        return folder / named
    color = folder / "color"
    return color if is_dir(color) else folder


def _channel(folder: Path) -> str:
    """Return the folder of the colours that the file ``sequence`` names; empty where none is."""
    path = folder / "sequence"
    if not is_file(path):
        return ""
    channels = {}
    for line in text.lines(path, empty=True):
        field, _, value = (part.strip() for part in line.partition("="))
        if field.startswith("channels."):
            channels[field.removeprefix("channels.")] = value
    if not channels:
        return ""
    kind = next((name for name in ("color", "rgb", "visible") if name in channels), "")
    if not kind:
        raise InputError(f"{path}: no colour among its channels ({', '.join(channels)})")
    place = Path(channels[kind]).parent
    if place.is_absolute() or ".." in place.parts:
        raise InputError(f"{path}: its frames are not in the folder of the sequence")
    if others := [name for name in channels if name != kind]:
        layout.note(f"{folder.parent}: the colour is tracked in, not {', '.join(others)}")
    return str(place)


def _recognise(root: Path) -> bool:
    if not is_file(root / _LIST):
        return False
    try:
        return not any(name.startswith("GOT-10k") for name in text.lines(root / _LIST))
    except InputError:
        return False


def _targets(root: Path) -> Iterator[ListedTarget]:
    for name in layout.listed_names(root / _LIST):
        yield from of_folder(layout.unnested(root / name))


def of_folder(folder: Path) -> Iterator[ListedTarget]:
    """Yield the targets of a sequence's folder; one that is not there is reported when it is read.

    Args:
        folder: Its name is the sequence's.
    """
    name, plain = folder.name, folder / "groundtruth.txt"
    objects = {} if is_file(plain) else _objects(folder)
    for where, target in objects.items() or [(plain, name)]:
        read = functools.partial(load, where, target)
        yield ListedTarget(target, name, where, _frames_or(folder), read)


def _objects(folder: Path) -> dict[Path, str]:
    """Return the ground truth of each of several objects, with the target's name."""
    found = sorted(folder.glob("groundtruth_*.txt"), key=lambda path: natural(path.name))
    return {p: f"{folder.name}-{p.stem.removeprefix('groundtruth_')}" for p in found}


def _frames_or(folder: Path) -> Path:
    with contextlib.suppress(InputError):  # which reading the sequence says
        return _frames(folder)
    return folder


def is_sequence(folder: Path) -> bool:
    """Return whether a folder is a sequence itself.

    Args:
        folder: Any one.
    """
    regions = is_file(folder / "groundtruth.txt") or bool(_objects(folder))
    return regions and (is_dir(folder / "color") or is_file(folder / "sequence"))


DATASET = Dataset(
    title="VOT",
    layout="expected list.txt, <Name>/groundtruth.txt and <Name>/color/00000001.jpg ... in it",
    recognise=_recognise,
    targets=_targets,
    itself=is_sequence,
    of_itself=of_folder,
)
