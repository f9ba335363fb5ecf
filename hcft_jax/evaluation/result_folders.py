"""Result folders of this and of other programs, which are read into one form and written.

==========  =============================================  =====================================
``hcft``    ``<Tracker>/ope/<Sequence>.txt``               this program; or one such folder
``otb``     ``<Sequence>_<Tracker>.mat``                   OTB MATLAB toolkit
``plain``   ``<Tracker>/<Sequence>.txt``                   or the files of one tracker
``got10k``  ``OTB2015/<Tracker>/<Sequence>.txt``           GOT-10k toolkit, ExperimentOTB
``pysot``   ``OTB100/<Tracker>/<Sequence>.txt``            pysot
==========  =============================================  =====================================

The first two also hold temporal and spatial robustness (``protocols``): one file per run,
``<Tracker>/tre/<Sequence>/<NN>.txt`` and ``<Tracker>/sre/<Sequence>/<shift>.txt``; and the
toolkit's ``.mat`` files of 20 or 12 results, in a folder whose name contains the protocol, as the
toolkit's do (``results_TRE_CVPR13``). Everything else is one-pass evaluation.

The layout is recognised. Text has one row ``x, y, w, h`` per frame, 1-based, with any separator;
NaN stands for no box. ``load`` reads everything that it can and reports everything else with one
line each; it never guesses, and it leaves out a sequence that two files claim.
"""

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from hcft_jax.data.layout import is_foreign
from hcft_jax.evaluation import protocols, toolkit
from hcft_jax.evaluation.annotations import AnnotatedTarget, Benchmark
from hcft_jax.evaluation.protocols import PROTOCOLS, SRE, Run
from hcft_jax.evaluation.toolkit import Published
from hcft_jax.util import names
from hcft_jax.util.boxes import Boxes, parse
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import is_dir, replacing

# The folder of a tracker's results of one-pass evaluation; otb has files, not folders.
_PLACES = {"hcft": "{}/ope", "plain": "{}", "got10k": "OTB2015/{}", "pysot": "OTB100/{}"}
FORMATS = ("hcft", "otb", "plain", "got10k", "pysot")

# Folders that hold the trackers of one data set, beside those of others: OTB2015, OTB100, tb50.
_DATA_SET = re.compile(r"(otb|tb|cvpr)-?[0-9]+", re.IGNORECASE)
_DEPTH = 3  # <folder>/OTB100/<Tracker>/ope

# The name of a folder of the toolkit's files that contains their protocol: results_TRE_CVPR13.
_PROTOCOL = re.compile(r"(?<![a-z])(" + "|".join(PROTOCOLS) + r")(?![a-z])", re.IGNORECASE)

_OF_NONE = "not used, because its name is no annotated sequence's"  # the end of a problem's line

_T = TypeVar("_T")
Runs = list[tuple[Run, Boxes]]  # all runs of a protocol on one sequence, in the toolkit's order


class Problem(NamedTuple):
    """A problem of one file or target."""

    tracker: str | None  # None if the file does not tell
    sequence: str | None  # None if the file is no sequence's
    line: str
    protocol: str = "ope"


@dataclasses.dataclass
class Results:
    """The boxes of all trackers.

    Attributes:
        boxes: One-pass evaluation, by tracker and by the benchmark's name of the sequence: boxes of
            the evaluated frames ``[T, 4]``, 1-based; NaN where a tracker gave none.
        problems: The files and targets that could not be used.
        runs: The boxes of the other protocols, by protocol, tracker and sequence.
        origins: The folder of each tracker's results; for ``.mat`` files, their folder joined with
            the tracker's name.
        files: The files of ``boxes``, by tracker and sequence.
    """

    boxes: dict[str, dict[str, Boxes]] = dataclasses.field(default_factory=dict)
    problems: list[Problem] = dataclasses.field(default_factory=list)
    runs: dict[str, dict[str, dict[str, Runs]]] = dataclasses.field(default_factory=dict)
    origins: dict[str, Path] = dataclasses.field(default_factory=dict)
    files: dict[str, dict[str, Path]] = dataclasses.field(default_factory=dict)

    def only(self, benchmark: Benchmark) -> "Results":
        """Return the results of a benchmark's targets alone, and only their problems.

        Args:
            benchmark: Some targets of the one that these results were loaded for.
        """
        wanted = benchmark.targets
        return Results(
            {t: {n: b for n, b in of.items() if n in wanted} for t, of in self.boxes.items()},
            [
                p
                for p in self.problems
                if p.sequence in wanted or (p.sequence is None and not p.line.endswith(_OF_NONE))
            ],
            {
                protocol: {t: {n: r for n, r in of.items() if n in wanted} for t, of in by.items()}
                for protocol, by in self.runs.items()
            },
            self.origins,
            {t: {n: f for n, f in of.items() if n in wanted} for t, of in self.files.items()},
        )


class _Found(NamedTuple):
    """The files of a tracker and one protocol."""

    tracker: str
    origin: Path
    protocol: str
    files: list[tuple[str | None, Path]]  # sequence and file, or folder of one file per run


def load(folders: Sequence[str | Path], benchmark: Benchmark) -> Results:
    """Read all results in ``folders``, in any layout.

    A tracker with results of one protocol in several places gets its paths as names; results of
    different protocols may lie apart.

    Raises:
        InputError: a folder is missing, is given twice or has no result.
    """
    everything, results = list[_Found](), Results()
    for folder in map(Path, folders):
        try:
            found = list(_find(folder, benchmark, results.problems))
        except OSError as error:
            raise InputError(f"{folder}: cannot list it ({error.strerror or error})") from error
        if not found:
            raise InputError(
                f"{folder}: the folder has no results, expected <Tracker>/<Sequence>.txt, "
                "ope/<Sequence>.txt or <Sequence>_<Tracker>.mat of annotated sequences"
            )
        everything += found
    claims = Counter((found.tracker, found.protocol) for found in everything)
    shared = {tracker for (tracker, _), times in claims.items() if times > 1}
    for one in everything:
        tracker = str(one.origin) if one.tracker in shared else one.tracker
        results.origins.setdefault(tracker, one.origin)
        if one.protocol == "ope":
            boxes = _load(one, tracker, _read, benchmark, results.problems)
            _add(results.boxes, tracker, boxes)
            files = {sequence: path for sequence, path in one.files if sequence is not None}
            results.files[tracker] = {name: files[name] for name in boxes}
        else:
            read = functools.partial(_read_runs, one.protocol)
            runs = _load(one, tracker, read, benchmark, results.problems)
            _add(results.runs.setdefault(one.protocol, {}), tracker, runs)
    return results


def _add(held: dict[str, _T], tracker: str, value: _T) -> None:
    if tracker in held:
        raise InputError(f"{tracker}: given twice")
    held[tracker] = value


def _find(
    folder: Path, benchmark: Benchmark, problems: list[Problem], depth: int = _DEPTH
) -> Iterator[_Found]:
    entries = sorted(path for path in folder.iterdir() if not is_foreign(path.name))
    subfolders = [path for path in entries if is_dir(path) and path.name != "times"]
    mats = [path for path in entries if path.suffix.lower() == ".mat"]
    texts = [path for path in entries if _is_text(path)]
    name = folder.resolve().name
    if held := [protocol for protocol in PROTOCOLS if is_dir(folder / protocol)]:
        for protocol in held:
            wanted = _is_text if protocol == "ope" else is_dir
            paths = sorted(path for path in (folder / protocol).iterdir() if wanted(path))
            yield from _one(name, folder, paths, benchmark, problems, protocol)
    elif mats and (not texts or any(names.split(p.stem, benchmark.spellings) for p in mats)):
        yield from _by_name(folder, mats, benchmark, problems)
        problems += [
            Problem(None, None, f"{path}: not used, because there are .mat files beside it")
            for path in texts
            if benchmark.name_of(path.stem)
        ]
    elif any(benchmark.name_of(path.stem) for path in texts) or (texts and not subfolders):
        yield from _one(name, folder, texts, benchmark, problems)
        problems += [Problem(name, None, _foreign(path)) for path in mats]
    elif depth:
        above = (folder.resolve(), *folder.resolve().parents)  # a link may lead back
        subfolders = [path for path in subfolders if path.resolve() not in above]
        data_sets = [path for path in subfolders if _DATA_SET.fullmatch(path.name)]
        for path in data_sets or subfolders:
            try:
                yield from _find(path, benchmark, problems, depth - 1)
            except OSError as error:
                problems.append(
                    Problem(None, None, f"{path}: cannot list it ({error.strerror or error})")
                )


def _is_text(path: Path) -> bool:
    if path.name.startswith("."):  # the temporary file of a killed process
        return False
    return path.suffix.lower() == ".txt" and not path.stem.endswith("_time") and not path.is_dir()


def _one(
    tracker: str,
    origin: Path,
    paths: list[Path],
    benchmark: Benchmark,
    problems: list[Problem],
    protocol: str = "ope",
) -> Iterator[_Found]:
    files = [(benchmark.name_of(p.stem if protocol == "ope" else p.name), p) for p in paths]
    if any(sequence for sequence, _ in files):
        yield _Found(tracker, origin, protocol, files)
    else:
        problems += [Problem(tracker, None, _foreign(path), protocol) for _, path in files]


def _by_name(
    folder: Path, mats: list[Path], benchmark: Benchmark, problems: list[Problem]
) -> Iterator[_Found]:
    named = _PROTOCOL.search(folder.resolve().name)
    protocol = named[1].lower() if named else "ope"
    # Trackers' names that differ in letter case are one name, too: the first spelling counts.
    trackers: dict[str, _Found] = {}
    for path in mats:
        if parts := names.split(path.stem, benchmark.spellings):
            sequence, tracker = parts
            new = _Found(tracker, folder / tracker, protocol, [])
            trackers.setdefault(names.key(tracker), new).files.append((sequence, path))
        else:
            problems.append(Problem(None, None, _foreign(path), protocol))
    yield from trackers.values()


def _foreign(path: Path) -> str:
    return f"{path}: {_OF_NONE}"


def _load(
    found: _Found,
    tracker: str,
    read: Callable[[Path, AnnotatedTarget], _T],
    benchmark: Benchmark,
    problems: list[Problem],
) -> dict[str, _T]:
    claims: dict[str, list[Path]] = {}
    for sequence, path in found.files:
        if sequence is None:
            problems.append(Problem(tracker, None, _foreign(path), found.protocol))
        else:
            claims.setdefault(sequence, []).append(path)
    boxes = {}
    for sequence, paths in claims.items():
        try:
            if len(paths) > 1:
                raise InputError(
                    f"{paths[0]} and {paths[1].name}: both are of {sequence}, remove one"
                )
            boxes[sequence] = read(paths[0], benchmark.targets[sequence])
        except InputError as error:
            problems.append(Problem(tracker, sequence, str(error), found.protocol))
    return {name: boxes[name] for name in benchmark.targets if name in boxes}


def _read(path: Path, target: AnnotatedTarget) -> Boxes:
    if path.suffix.lower() == ".mat":
        run = toolkit.read_mat(path)
    else:
        run = Published(parse(path, gaps=True), None)
    try:
        return target.align(run)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_runs(protocol: str, path: Path, target: AnnotatedTarget) -> Runs:
    """Read all runs of TRE or SRE on a sequence, from its ``.mat`` file or its folder of texts.

    The starts of TRE follow from the annotations. The first box of an SRE run is the first in its
    file, because no annotation has the size of the image, which ``protocols.sre_box`` needs; the
    run is judged by its label alone.

    Raises:
        InputError: the runs are not one per start, or one covers other frames.
    """
    starts = dict.fromkeys(SRE, 0)
    if protocol == "tre":
        firsts = protocols.tre_starts(target.truth, target.omitted)
        starts = {f"{number:02d}": first for number, first in enumerate(firsts, 1)}
    if path.is_dir():
        files = {file.stem: file for file in path.iterdir() if _is_text(file)}
        if odd := sorted(files.keys() ^ starts.keys()):
            what = "is none" if odd[0] in files else "is missing"
            raise InputError(f"{path}: {odd[0]}.txt {what} of the {len(starts)} runs of {protocol}")
        tracked = [(files[label], parse(files[label], gaps=True)) for label in starts]
    else:
        tracked = [(path, run.boxes) for run in toolkit.read_runs(path)]
        if len(tracked) != len(starts):
            raise InputError(
                f"{path}: {len(tracked)} results, but {protocol} has {len(starts)} runs"
            )
    runs: Runs = []
    for (label, first), (file, rows) in zip(starts.items(), tracked, strict=True):
        try:
            boxes = toolkit.align(
                Published(rows, None), target.truth[first:], target.first_frame + first
            )
        except InputError as error:
            hint = "; it starts elsewhere, was it tracked without initOmit?"
            raise InputError(
                f"{file}: run {label}: {error}{hint if protocol == 'tre' else ''}"
            ) from error
        x, y, w, h = (float(v) for v in boxes[0])
        run = Run(protocol, len(runs) + 1, label, first, len(target.truth) - 1, (x, y, w, h))
        runs.append((run, boxes))
    return runs


def export(
    boxes: Mapping[str, Mapping[str, Boxes]], benchmark: Benchmark, form: str, folder: str | Path
) -> None:
    """Write all one-pass boxes in a layout that ``load`` and the program of that name read.

    The evaluators of GOT-10k and pysot expect one row per annotated frame: rows before the
    evaluated frames (Tiger1) are NaN, which they count as failures. Times are not written.

    Args:
        boxes: The boxes, as in ``Results``.
        benchmark: The benchmark of the sequences.
        form: One of ``FORMATS``.
        folder: The folder to write to.

    Raises:
        InputError: the format is unknown, two trackers have one name, or the folder cannot be
            written to.
    """
    if form not in FORMATS:
        raise InputError(f"{form!r} is not a format, there are {', '.join(FORMATS)}")
    folder = Path(folder)
    for label, sequences in boxes.items():
        tracker = Path(label).name  # the label is a path if names repeat
        if [Path(other).name for other in boxes].count(tracker) > 1:
            raise InputError(
                f"{label}: another tracker is called {tracker}, too; rename its folder"
            )
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
            name = _got10k_name(sequence, benchmark) if form == "got10k" else sequence
            if form in ("got10k", "pysot"):
                before = target.first_frame - target.annotated_from
                rows = np.concatenate([np.full((before, 4), np.nan), rows])
            with replacing(folder / _PLACES[form].format(tracker) / f"{name}.txt") as temporary:
                np.savetxt(temporary, rows, fmt="%.10g", delimiter=",")


def _got10k_name(sequence: str, benchmark: Benchmark) -> str:
    """Return Jogging.1 for Jogging-1, and Human4 for Human4-2, the only target of its video."""
    video, dash, number = sequence.rpartition("-")
    if not dash or not number.isdigit():
        return sequence
    return video if benchmark.name_of(video) == sequence else f"{video}.{number}"
