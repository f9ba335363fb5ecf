"""The parts that all layouts of data sets share: targets, their selection by name, and frames.

A layout is a module with a ``DATASET`` (``datasets`` lists them), which tells how its folder is
recognised and how its targets are found.
"""

import dataclasses
import functools
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from hcft_jax.data.frames import SUFFIXES, ImageFiles
from hcft_jax.data.sequence import Sequence
from hcft_jax.util import files, text
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.util.names import key, natural, near

_SYSTEMS = ("lost+found", "System Volume Information", "$RECYCLE.BIN", "__MACOSX")
_NESTED = 3  # folders of one name within each other
MOST_NAMES = 50_000  # of a list; TrackingNet has 30,643 sequences, in folders of 2,511
LONGEST_NAME = 240  # bytes of a target's name, so that its files have names of at most 255


@dataclass(frozen=True)
class ListedTarget:
    """A target that a layout has listed, before anything of it is read.

    Attributes:
        name: What reports and result files call it.
        group: A name that selects it together with others: its video, class or subset.
        where: Its ground truth.
        frames: The folder of its frames.
        load: Reads the ground truth and lists the frames; ``InputError`` where that fails.
    """

    name: str
    group: str
    where: Path
    frames: Path
    load: Callable[[], Sequence]


@dataclass(frozen=True)
class Dataset:
    """The layout of a data set.

    Attributes:
        title: What people call it.
        layout: What its folder should contain, as messages say it.
        recognise: Tells whether an existing folder has this layout, mostly by the names in it.
        targets: Lists the targets below a folder, in any order; ``InputError`` where a list of
            names cannot be read.
        shared: Whether its folder may hold other versions, too, which it does not read.
        itself: Tells whether a folder is a sequence of this layout, not a folder of them.
        of_itself: Lists the targets of such a folder.
    """

    title: str
    layout: str
    recognise: Callable[[Path], bool]
    targets: Callable[[Path], Iterable[ListedTarget]]
    shared: bool = False
    itself: Callable[[Path], bool] = lambda folder: False
    of_itself: Callable[[Path], Iterable[ListedTarget]] = lambda folder: ()


def arrange(
    root: Path, targets: Iterable[ListedTarget], names: Iterable[str] | None
) -> list[ListedTarget]:
    """Return the targets with some names, or all, in natural order.

    Args:
        root: Their folder, for messages.
        targets: All targets there.
        names: The wanted targets or groups, in any spelling (``util.names``). None: all.

    Raises:
        InputError: Two targets have one name, or a name is unknown; near ones are listed.
    """
    targets = sorted(map(_with_a_name, targets), key=lambda target: natural(target.name))
    for one, other in itertools.pairwise(targets):
        if one.name == other.name:  # their results would have one file
            raise InputError(f"{root}: {one.where} and {other.where} are both {one.name}")
    if names is None:
        return targets
    wanted: set[int] = set()
    for name in names:
        wanted |= _select(root, targets, name)
    return [target for i, target in enumerate(targets) if i in wanted]


def _with_a_name(target: ListedTarget) -> ListedTarget:
    """Return the target, which cannot be read if its name is too long for the names of results."""

    def refuse() -> Sequence:
        raise InputError(
            f"{target.where}: the name of the sequence has {length} bytes, and its results need "
            f"one of at most {LONGEST_NAME}; rename the folder"
        )

    length = len(os.fsencode(target.name))
    return target if length <= LONGEST_NAME else dataclasses.replace(target, load=refuse)


def _select(root: Path, targets: list[ListedTarget], name: str) -> set[int]:
    wanted = key(name)
    selected = {i for i, t in enumerate(targets) if wanted in (key(t.name), key(t.group))}
    if not selected:
        hint = near(name, (target.name for target in targets))
        raise InputError(f"{root}: no sequence {name!r}{hint}; it has {len(targets)} targets")
    return selected


def folders(root: Path) -> Iterator[Path]:
    """Yield the folders in a folder, in order; none where it cannot be listed.

    One that has nothing but a folder of its own name (``Deer/Deer``, as some programs unpack an
    archive) stands for that.
    """
    yield from (unnested(path) for path in _inside(root))


def unnested(folder: Path) -> Path:
    """Return the folder of the same name that is alone in a folder; else the folder itself.

    Args:
        folder: It may be so any number of times.
    """
    for _ in range(_NESTED):
        inside = folder / folder.name
        try:
            names = {path.name for path in folder.iterdir() if not is_foreign(path.name)}
        except OSError:
            return folder
        if names != {folder.name} or not files.is_dir(inside):
            return folder
        folder = inside
    return folder


def _inside(root: Path) -> Iterator[Path]:
    try:
        paths = sorted(root.iterdir())
    except OSError:
        return
    yield from (path for path in paths if not is_foreign(path.name) and files.is_dir(path))


def is_foreign(name: str) -> bool:
    """Return whether a folder or file of this name is a system's, or hidden: no data."""
    return name.startswith(".") or name in _SYSTEMS


def numbered(folder: Path) -> dict[int, Path]:
    """Return the images whose names are numbers, by number; other files are no frames.

    Where there is none of these, they are the images whose names end in a number after one and the
    same beginning (``img00001.jpg``): the most frequent one.

    Raises:
        InputError: The folder cannot be listed, has no frame, or has two with one number.
    """
    try:
        paths = list(folder.iterdir())
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{folder}: no frames, cannot list the folder ({reason})") from error
    kinds: dict[str, list[tuple[int, Path]]] = {}
    count = 0
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or is_foreign(path.name):
            continue
        count += 1
        if match := re.fullmatch("(|.*[^0-9])([0-9]{1,15})", path.stem):
            kinds.setdefault(match[1], []).append((int(match[2]), path))
    if not kinds:
        raise InputError(f"{folder}: no frames, expected 0001.jpg ... (or {', '.join(SUFFIXES)})")
    kind = "" if "" in kinds else max(kinds, key=lambda name: (len(kinds[name]), name))
    found: dict[int, Path] = {}
    for number, path in kinds[kind]:
        if number in found:
            raise InputError(f"{path}: frame {number} is there twice, also as {found[number]}")
        found[number] = path
    if count > len(found):
        taken = set(found.values())
        others = [p.name for p in paths if p.suffix.lower() in SUFFIXES and p not in taken]
        first = min(name for name in others if not is_foreign(name))
        note(
            f"{folder}: {count - len(found)} images have no number {f'after {kind} ' * bool(kind)}"
            f"and are no frames: {first} ..."
        )
    return found


@functools.cache
def note(line: str) -> None:
    """Print a line on the terminal, once: several targets may have one folder."""
    tqdm.write(f"note: {line}", file=sys.stderr)


def consecutive(folder: Path, frames: Mapping[int, Path], first: int, last: int) -> ImageFiles:
    """Return the frames with the numbers ``first`` to ``last``, inclusive.

    Raises:
        InputError: A frame is missing.
    """
    for number in range(first, last + 1):
        if number not in frames:
            raise InputError(
                f"{folder}: frame {number} is missing (frames {first} to {last} are needed)"
            )
    return ImageFiles(tuple(frames[number] for number in range(first, last + 1)))


def all_frames(folder: Path) -> tuple[ImageFiles, int]:
    """Return all numbered frames of a folder, and the number of the first one.

    Raises:
        InputError: As ``numbered`` does, or a number between them is missing.
    """
    frames = numbered(folder)
    return consecutive(folder, frames, min(frames), max(frames)), min(frames)


def sequence(
    name: str,
    files: ImageFiles,
    boxes: Boxes,
    where: Path,
    first_frame: int = 1,
    *,
    sizes_only: bool = True,
) -> Sequence:
    """Return a sequence from 0-based boxes of all its frames, or of the first frame alone.

    Frames without a box, or with a box without area, become NaN: they are tracked but not scored.

    Raises:
        InputError: There are more or fewer boxes than frames, or the first frame has none.
    """
    count = len(files)
    if len(boxes) == 1 < count:  # as in the test set of a challenge
        boxes = np.concatenate([boxes, np.full((count - 1, 4), np.nan)])
    if len(boxes) != count:
        raise InputError(
            f"{where}: {len(boxes)} boxes, but {count} frames in {files.paths[0].parent}"
        )
    empty = np.asarray(~(boxes[:, 2:] > 0).all(axis=1))
    if empty[0]:
        raise InputError(f"{where}: the first frame has no box, so there is nothing to track")
    boxes = np.where(empty[:, None], np.nan, boxes)
    return Sequence(name, files, boxes, first_frame, sizes_only)


def hidden(boxes: Boxes, absent: npt.NDArray[np.bool_], where: Path) -> Boxes:
    """Return the boxes with NaN where the target is absent.

    Raises:
        InputError: There are more or fewer marks than boxes.
    """
    if len(absent) != len(boxes):
        raise InputError(f"{where}: {len(absent)} marks, but {len(boxes)} boxes")
    return np.where(absent[:, None], np.nan, boxes)


def listed_names(where: Path) -> list[str]:
    """Return the names in a list, each of which must be that of a folder beside it.

    Raises:
        InputError: It cannot be read, has too many names, or one that leads elsewhere.
    """
    lines = text.lines(where)
    if len(lines) > MOST_NAMES:
        raise InputError(f"{where}: {len(lines)} names are too many, at most {MOST_NAMES}")
    return [plain_name(line.strip(), where) for line in lines]


def plain_name(name: str, where: Path) -> str:
    """Return a name from a list, which must be that of a folder beside the list.

    Raises:
        InputError: The name leads elsewhere.
    """
    odd = Path(name).name != name or name == ".." or re.search(r"[\x00-\x1f\x7f]", name)
    if not name or odd or len(os.fsencode(name)) > LONGEST_NAME:
        raise InputError(f"{where}: {name[:60]!r} is not the name of a sequence")
    return name
