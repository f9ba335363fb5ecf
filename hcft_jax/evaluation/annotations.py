"""The annotations of the benchmark without its frames, by which results are judged.

::

    <folder>/anno/<Name>.txt        one row x, y, w, h per frame, 1-based
    <folder>/attributes.csv         name, startFrame, endFrame, TB50, CVPR13, the 11 attributes
    <folder>/initOmit/<Name>.txt    ranges of frames in which temporal robustness must not start

The evaluated frames are those of the table, narrowed by ``data.otb.RANGES`` (Tiger1).
"""

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from hcft_jax.data import layout, otb
from hcft_jax.evaluation import toolkit
from hcft_jax.evaluation.metrics import valid
from hcft_jax.evaluation.toolkit import Published
from hcft_jax.util import boxes, files, names, text
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError

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

    def subset(self, subset: str) -> list[str]:
        """Return the names of a subset's targets, in the order of the table."""
        return [name for name, target in self.targets.items() if subset in target.subsets]


def load(folder: str | Path) -> Benchmark:
    """Read the annotations in a folder.

    Raises:
        InputError: a file is missing or bad, or its number of rows is not that of the table.
    """
    folder = Path(folder)
    path = folder / "attributes.csv"
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
