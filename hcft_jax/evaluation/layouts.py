"""Result folders of this and of other programs: read into one form, and written.

==========  =============================================  =====================================
``hcft``    ``<Tracker>/ope/<Sequence>.txt``               this program; or one such folder
``otb``     ``<Sequence>_<Tracker>.mat``                   OTB MATLAB toolkit
``plain``   ``<Tracker>/<Sequence>.txt``                   or the files of one tracker
``got10k``  ``OTB2015/<Tracker>/<Sequence>.txt``           GOT-10k toolkit, ExperimentOTB
``pysot``   ``OTB100/<Tracker>/<Sequence>.txt``            pysot
==========  =============================================  =====================================

The layout is recognised. Text has a row ``x, y, w, h`` a frame, 1-based, with any separator; NaN
stands for no box. ``load`` reads everything that can be read and says in one line each what cannot;
it never guesses, and leaves out a sequence that two files claim.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hcft_jax import boxes as conventions
from hcft_jax import names
from hcft_jax.boxes import Boxes
from hcft_jax.errors import InputError
from hcft_jax.evaluation import toolkit
from hcft_jax.evaluation.annotations import Benchmark, Target
from hcft_jax.evaluation.toolkit import Published
from hcft_jax.files import replacing

FORMATS = ("hcft", "otb", "plain", "got10k", "pysot")

# Folders that hold the trackers of one data set, beside those of others: OTB2015, OTB100, tb50.
_DATA_SET = re.compile(r"(otb|tb|cvpr)-?[0-9]+", re.IGNORECASE)
_DEPTH = 3  # <folder>/OTB100/<Tracker>/ope


class Problem(NamedTuple):
    """What is wrong with one file or target."""

    tracker: str | None  # None: the file does not say
    sequence: str | None  # None: the file is no sequence's
    line: str


@dataclasses.dataclass
class Results:
    """Everyone's boxes.

    Attributes:
        boxes: By tracker, then by the benchmark's name of the sequence: ``[T, 4]``, 1-based, of the
            evaluated frames; NaN where a tracker gave none.
        problems: What could not be used.
    """

    boxes: dict[str, dict[str, Boxes]] = dataclasses.field(default_factory=dict)
    problems: list[Problem] = dataclasses.field(default_factory=list)


class _Run(NamedTuple):
    """A tracker's files."""

    tracker: str
    origin: Path
    files: list[tuple[str | None, Path]]  # sequence and file


def load(folders: Sequence[str | Path], benchmark: Benchmark) -> Results:
    """Reads all results in ``folders``, in any layout.

    A tracker that occurs in several places is called by its path in each.

    Raises:
        InputError: a folder is missing, is given twice or holds no result.
    """
    runs, results = [], Results()
    for folder in map(Path, folders):
        try:
            found = list(_runs(folder, benchmark, results.problems))
        except OSError as error:
            raise InputError(f"{folder}: cannot list it ({error.strerror or error})") from error
        if not found:
            raise InputError(
                f"{folder}: no results there, expected <Tracker>/<Sequence>.txt, "
                "ope/<Sequence>.txt or <Sequence>_<Tracker>.mat of sequences that are annotated"
            )
        runs += found
    all_names = [run.tracker for run in runs]
    for run in runs:
        tracker = run.tracker if all_names.count(run.tracker) == 1 else str(run.origin)
        if tracker in results.boxes:
            raise InputError(f"{tracker}: given twice")
        results.boxes[tracker] = _load_run(run, tracker, benchmark, results.problems)
    return results


def _runs(
    folder: Path, benchmark: Benchmark, problems: list[Problem], depth: int = _DEPTH
) -> Iterator[_Run]:
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    subfolders = [path for path in entries if path.is_dir() and path.name != "times"]
    mats = [path for path in entries if path.suffix.lower() == ".mat"]
    texts = [path for path in entries if _is_text(path)]
    if (folder / "ope").is_dir():
        texts = sorted(path for path in (folder / "ope").iterdir() if _is_text(path))
        yield from _one(folder.resolve().name, folder, texts, benchmark, problems)
    elif mats:
        yield from _by_name(folder, mats, benchmark, problems)
    elif any(benchmark.name_of(path.stem) for path in texts) or (texts and not subfolders):
        yield from _one(folder.resolve().name, folder, texts, benchmark, problems)
    elif depth:
        data_sets = [path for path in subfolders if _DATA_SET.fullmatch(path.name)]
        for path in data_sets or subfolders:
            yield from _runs(path, benchmark, problems, depth - 1)


def _is_text(path: Path) -> bool:
    if path.name.startswith("."):  # what a killed process was writing
        return False
    return path.suffix.lower() == ".txt" and not path.stem.endswith("_time") and path.is_file()


def _one(
    tracker: str, origin: Path, texts: list[Path], benchmark: Benchmark, problems: list[Problem]
) -> Iterator[_Run]:
    files = [(benchmark.name_of(path.stem), path) for path in texts]
    if any(sequence for sequence, _ in files):
        yield _Run(tracker, origin, files)
    else:
        problems += [Problem(tracker, None, _foreign(path)) for _, path in files]


def _by_name(
    folder: Path, mats: list[Path], benchmark: Benchmark, problems: list[Problem]
) -> Iterator[_Run]:
    # Letter case is no part of a tracker's name either: the first spelling stands.
    trackers: dict[str, _Run] = {}
    for path in mats:
        if parts := names.split(path.stem, benchmark.spellings):
            sequence, tracker = parts
            run = trackers.setdefault(names.key(tracker), _Run(tracker, folder / tracker, []))
            run.files.append((sequence, path))
        else:
            problems.append(Problem(None, None, _foreign(path)))
    yield from trackers.values()


def _foreign(path: Path) -> str:
    return f"{path}: not used, its name is no annotated sequence's"


def _load_run(
    run: _Run, tracker: str, benchmark: Benchmark, problems: list[Problem]
) -> dict[str, Boxes]:
    claims: dict[str, list[Path]] = {}
    for sequence, path in run.files:
        if sequence is None:
            problems.append(Problem(tracker, None, _foreign(path)))
        else:
            claims.setdefault(sequence, []).append(path)
    boxes = {}
    for sequence, paths in claims.items():
        try:
            if len(paths) > 1:
                raise InputError(f"{paths[0]} and {paths[1].name}: both are {sequence}, remove one")
            boxes[sequence] = _read(paths[0], benchmark.targets[sequence])
        except InputError as error:
            problems.append(Problem(tracker, sequence, str(error)))
    return {name: boxes[name] for name in benchmark.targets if name in boxes}


def _read(path: Path, target: Target) -> Boxes:
    if path.suffix.lower() == ".mat":
        run = toolkit.read_mat(path)
    else:
        run = Published(conventions.parse(path, gaps=True), None)
    try:
        return target.align(run)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def export(
    boxes: Mapping[str, Mapping[str, Boxes]], benchmark: Benchmark, form: str, folder: str | Path
) -> None:
    """Writes everyone's boxes in a layout that ``load`` and the program it is named after read.

    GOT-10k's and pysot's evaluators want a row for each annotated frame: those before the evaluated
    ones (Tiger1) are NaN, which they count as failures. Times are not written.

    Args:
        boxes: As in ``Results``.
        benchmark: Whose sequences these are.
        form: One of ``FORMATS``.
        folder: Where to.

    Raises:
        InputError: an unknown format, a tracker's name that no file can have, or the folder cannot
            be written to.
    """
    if form not in FORMATS:
        raise InputError(f"{form!r}: not a format, known are {', '.join(FORMATS)}")
    folder = Path(folder)
    for label, sequences in boxes.items():
        tracker = Path(label).name  # a path where names repeat
        if [Path(other).name for other in boxes].count(tracker) > 1:
            raise InputError(f"{label}: another tracker is called {tracker} too, rename its folder")
        for sequence, rows in sequences.items():
            target = benchmark.targets[sequence]
            if form == "otb":
                toolkit.write_mat(
                    folder / f"{sequence}_{tracker}.mat",
                    rows,
                    start=target.first_frame,
                    annotated_from=target.annotated_from,
                )
                continue
            name = sequence
            if form == "got10k":
                name = _got10k_name(sequence, benchmark)
            if form in ("got10k", "pysot"):
                before = target.first_frame - target.annotated_from
                rows = np.concatenate([np.full((before, 4), np.nan), rows])
            place = {
                "hcft": folder / tracker / "ope",
                "plain": folder / tracker,
                "got10k": folder / "OTB2015" / tracker,
                "pysot": folder / "OTB100" / tracker,
            }[form]
            with replacing(place / f"{name}.txt") as temporary:
                np.savetxt(temporary, rows, fmt="%.10g", delimiter=",")


def _got10k_name(sequence: str, benchmark: Benchmark) -> str:
    """Jogging.1 for Jogging-1, and Human4 for Human4-2, the only one of its video."""
    video, dash, number = sequence.rpartition("-")
    if not dash or not number.isdigit():
        return sequence
    return video if benchmark.name_of(video) == sequence else f"{video}.{number}"
