"""The annotations of the benchmark without its frames, by which results are judged.

::

    <folder>/anno/<Name>.txt        one row x, y, w, h per frame, 1-based
    <folder>/attributes.csv         name, startFrame, endFrame, TB50, CVPR13, the 11 attributes
    <folder>/initOmit/<Name>.txt    ranges of frames in which temporal robustness must not start

The evaluated frames are those of the table, narrowed by ``data.otb.RANGES`` (Tiger1).

Ground truth of one's own needs no table: then it is a folder with ``anno/``, a folder of such
``<Name>.txt``, or a data set in any layout that is known. Its targets have no attributes.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path

from hcft_jax.data import datasets, layout, otb
from hcft_jax.data.layout import ListedTarget
from hcft_jax.evaluation import toolkit
from hcft_jax.evaluation.metrics import valid
from hcft_jax.evaluation.toolkit import Published
from hcft_jax.util import boxes, files, names, text
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError, InputWarning, SettingError

# In the order of the toolkit's files.
ATTRIBUTES = {
    "IV": "illumination variation",
    "OPR": "out-of-plane rotation",
    "SV": "scale variation",
    "OCC": "occlusion",
    "DEF": "deformation",
    "MB": "motion blur",
    "FM": "fast motion",
    "IPR": "in-plane rotation",
    "OV": "out of view",
    "BC": "background clutter",
    "LR": "low resolution",
}
SUBSETS = ("OTB100", "CVPR13", "TB50")  # all; the 51 of CVPR 2013; the TB-50 half
ALL = "all"  # the one subset of ground truth of one's own, and of sequences that were named


@dataclasses.dataclass(frozen=True)
class AnnotatedTarget:
    """A target of the benchmark and its annotations.

    Attributes:
        name: Its name as the table of attributes spells it.
        truth: Ground truth of the evaluated frames, float64 ``[T, 4]``, 1-based.
        first_frame: The file number of the first evaluated frame.
        annotated_from: The file number of the first annotated frame, at most ``first_frame``.
        attributes: Keys of ``ATTRIBUTES``.
        subsets: The members of ``SUBSETS`` that contain it.
        omit: First and last file number of each range in which TRE must not start.
    """

    name: str
    truth: Boxes
    first_frame: int
    annotated_from: int
    attributes: frozenset[str]
    subsets: frozenset[str]
    omit: tuple[tuple[int, int], ...]

    @property
    def omitted(self) -> list[tuple[int, int]]:
        """``omit`` as indices into ``truth``; a range may reach beyond it."""
        return [(first - self.first_frame, last - self.first_frame) for first, last in self.omit]

    def align(self, run: Published) -> Boxes:
        """Return the boxes of a run on the evaluated frames, ``[T, 4]``.

        Raises:
            InputError: the run covers other frames.
        """
        return toolkit.align(run, self.truth, self.first_frame, self.annotated_from)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """The targets of a benchmark by name."""

    targets: Mapping[str, AnnotatedTarget]

    @cached_property
    def spellings(self) -> dict[str, str]:
        """The names by ``names.key``."""
        return names.index(self.targets)

    def name_of(self, spelling: str) -> str | None:
        """Return the name that a spelling stands for; None if it is no target's."""
        return self.spellings.get(names.key(spelling))

    def only(self, wanted: Iterable[str]) -> "Benchmark":
        """Return the benchmark of some targets alone, which are then one subset, ``ALL``.

        Args:
            wanted: Their names, or those of their videos (``Jogging``), in any spelling.

        Raises:
            SettingError: A name is unknown; near ones are listed.
        """
        chosen: set[str] = set()
        for name in wanted:
            found = {
                own for own in self.targets if names.key(name) in (names.key(own), _video(own))
            }
            if not found and (own := self.name_of(name)):
                found = {own}
            if not found:
                raise SettingError(
                    "sequences",
                    f"no {name[:60]!r} in the annotations{names.near(name, self.targets)}",
                )
            chosen |= found
        kept = {name: target for name, target in self.targets.items() if name in chosen}
        one = frozenset({ALL})
        return Benchmark({n: dataclasses.replace(t, subsets=one) for n, t in kept.items()})

    def subset(self, subset: str) -> list[str]:
        """Return the names of a subset's targets, in the order of the table."""
        return [name for name, target in self.targets.items() if subset in target.subsets]


def load(folder: str | Path) -> Benchmark:
    """Read the annotations in a folder, or the ground truth of one's own that it holds.

    Raises:
        InputError: a file is missing or bad, or its number of rows is not that of the table.
    """
    folder = Path(folder)
    path = folder / "attributes.csv"
    if not files.exists(path):
        return _own(folder)
    needed = ["name", "startFrame", "endFrame", *SUBSETS[1:], *ATTRIBUTES]
    targets: dict[str, AnnotatedTarget] = {}
    for number, row in text.table(path, needed):
        target = _target(folder, path, number, row)
        if target.name in targets:
            raise InputError(f"{path}, line {number}: the target {target.name} occurs twice")
        targets[target.name] = target
    if not targets:
        raise InputError(f"{path}: the table has no target")
    return Benchmark(targets)


def _own(folder: Path) -> Benchmark:
    """Read ground truth without a table; an ``InputWarning`` names what cannot be used."""
    if not files.is_dir(folder):
        raise InputError(f"{folder}: no such folder")
    inside = folder / "anno" if files.is_dir(folder / "anno") else folder
    readers: dict[str, Callable[[], AnnotatedTarget]] = {}
    try:
        listed = [] if inside != folder else datasets.find(folder)
    except InputError:
        listed = []  # no data set: files alone
    for target in listed:
        readers[target.name] = functools.partial(_of_sequence, target)
    for path in sorted(inside.glob("*.txt")) if not listed else []:
        if not layout.is_foreign(path.name) and not path.stem.endswith("_time"):
            readers[path.stem] = functools.partial(_of_file, path, folder)
    targets, faults = dict[str, AnnotatedTarget](), list[InputError]()
    for name, read in readers.items():
        try:
            targets[name] = read()
        except InputError as error:
            faults.append(error)
    if not targets:
        if faults:
            raise faults[0]
        raise InputError(
            f"{folder}: no ground truth there; want attributes.csv with anno/, <Name>.txt with a "
            "row x,y,w,h per frame, or sequences of a data set"
        )
    for fault in faults:
        warnings.warn(InputWarning(f"{fault}; it is left out"), stacklevel=2)
    return Benchmark(targets)


def _of_file(path: Path, folder: Path) -> AnnotatedTarget:
    name = layout.plain_name(path.stem, path)
    return _without_table(name, path, boxes.parse(path, gaps=True), 1, folder)


def _of_sequence(target: ListedTarget) -> AnnotatedTarget:
    sequence = target.load()
    truth = boxes.to_file(sequence.boxes)
    return _without_table(target.name, target.where, truth, sequence.first_frame, None)


def _without_table(
    name: str, path: Path, truth: Boxes, first_frame: int, folder: Path | None
) -> AnnotatedTarget:
    if not valid(truth[:1]).all():
        raise InputError(f"{path}: the first frame has no valid ground truth")
    omitted = folder and folder / "initOmit" / f"{name}.txt"
    return AnnotatedTarget(
        name=name,
        truth=truth,
        first_frame=first_frame,
        annotated_from=first_frame,
        attributes=frozenset(),
        subsets=frozenset({ALL}),
        omit=tuple(otb.frame_ranges(omitted)) if omitted and files.exists(omitted) else (),
    )


def _video(name: str) -> str:
    """Return the ``names.key`` of a target's video: ``jogging`` of Jogging-1, else its own."""
    video, _, number = names.key(name).rpartition("-")
    return video if number.isdigit() and video else names.key(name)


def _target(folder: Path, table: Path, line: int, row: Mapping[str, str]) -> AnnotatedTarget:
    name = layout.plain_name(row["name"], table)
    numbers = {
        column: text.whole(table, line, row[column])
        for column in ("startFrame", "endFrame", *SUBSETS[1:], *ATTRIBUTES)
    }
    start, end = numbers["startFrame"], numbers["endFrame"]
    path = folder / "anno" / f"{name}.txt"
    omitted = folder / "initOmit" / f"{name}.txt"
    rows = boxes.parse(path)
    if len(rows) != end - start + 1:
        raise InputError(f"{path}: {len(rows)} rows, but the table says frames {start} to {end}")
    first, last = otb.RANGES.get(name.lower(), (start, end))
    truth = rows[max(first - start, 0) : last - start + 1]
    if not len(truth) or not valid(truth)[0]:
        raise InputError(f"{path}: the first evaluated frame, {first}, has no valid ground truth")
    return AnnotatedTarget(
        name=name,
        truth=truth,
        first_frame=max(first, start),
        annotated_from=start,
        attributes=frozenset(a for a in ATTRIBUTES if numbers[a]),
        subsets=frozenset({SUBSETS[0]} | {s for s in SUBSETS[1:] if numbers[s]}),
        omit=tuple(otb.frame_ranges(omitted)) if files.exists(omitted) else (),
    )
