"""What an experiment has so far: scores, the table for the terminal and the summary."""

import contextlib
import dataclasses
import functools
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tqdm.auto import tqdm

from hcft_jax.benchmark.tasks import UNRECORDED, Speed, Task
from hcft_jax.evaluation import metrics, protocols, results
from hcft_jax.evaluation.metrics import Scores
from hcft_jax.evaluation.protocols import Judged
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run.environment import device, versions
from hcft_jax.run.identity import maker
from hcft_jax.util.boxes import parse, to_file
from hcft_jax.util.errors import InputError, StorageError
from hcft_jax.weights.native import Weights

_SHOWN = 8  # sequences that a line names


@dataclasses.dataclass(frozen=True)
class Row:
    """A protocol on one sequence, all its runs together."""

    scores: Scores | None  # None: there is no ground truth to judge it by
    speed: Speed
    runs: int
    makers: list[dict[str, Any]]  # who made them (``run.identity.maker``), each once


class JudgedRun(NamedTuple):
    """A finished run."""

    judged: Judged | None  # None: no truth is known to judge it by
    speed: Speed
    maker: dict[str, Any]


@dataclasses.dataclass
class Outcome:
    """What an experiment has so far.

    Attributes:
        experiment: What is run.
        weights: With which network.
        folder: Where its results are.
        title: What lines on the terminal call it; empty where it is the only one.
        tasks: Its tasks, those of a group (``Task.group``) together.
        judged: The finished runs, by result file.
        failed: What is wrong, by sequence and protocol (``part``).
        device: The device that tracks it, as ``device`` describes it; None: this process's.
        notes: What the user should know of results that are there, and the runs that it is true of.
    """

    experiment: Experiment
    weights: Weights
    folder: Path
    title: str = ""
    tasks: list[Task] = dataclasses.field(default_factory=list)
    judged: dict[Path, JudgedRun] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    device: dict[str, Any] | None = None
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def settings(self) -> str:
        """The digest of the settings and weights."""
        return self.experiment.digest(self.weights.digest)

    @property
    def makers(self) -> list[dict[str, Any]]:
        """Who made the results (``run.identity.maker``), each once."""
        return _makers(run.maker for run in self.judged.values())

    def groups(self) -> list[list[Task]]:
        """Return the runs of each protocol on each sequence."""
        grouped = itertools.groupby(self.tasks, key=lambda task: task.group)
        return [list(tasks) for _, tasks in grouped]

    def tell(self) -> None:
        """Print a line for each of the notes, and forget them."""
        for note, names in self.notes.items():
            what = "1 result" if len(names) == 1 else f"{len(names)} results"
            verdict = "is kept" if len(names) == 1 else "are kept"
            if note != UNRECORDED:
                verdict = "is tracked anew" if len(names) == 1 else "are tracked anew"
            line = ": ".join(filter(None, ("note", self.title, f"{what} {verdict} ({note})")))
            tqdm.write(f"{line}: {_few(names)}", file=sys.stderr)
        self.notes.clear()

    def judge(self, task: Task) -> None:
        """Score a finished run from its files.

        Raises:
            InputError: a file of it cannot be read.
        """
        boxes, truth = parse(task.result), to_file(task.whole.boxes)
        if task.whole.sizes_only:
            boxes, truth = metrics.moved(boxes, truth)
        judged = None
        if protocols.scorable(task.run, truth):
            judged = protocols.judge(task.run, boxes, truth, unscale=self.experiment.sre_unscale)
        record = task.record
        speed = Speed.recorded(record, task.speed)
        self.judged[task.result] = JudgedRun(judged, speed, maker(record.get("made")))

    def rows(self, protocol: str) -> dict[str, Row]:
        """Return the sequences with all runs of the protocol finished, by name."""
        rows = {}
        for tasks in self.groups():
            _, sequence, of = tasks[0].group
            done = [self.judged[task.result] for task in tasks if task.result in self.judged]
            if of == protocol and len(done) == len(tasks):
                runs = [run.judged for run in done if run.judged is not None]
                # a protocol's mean is over all its runs, or none
                scores = protocols.pool(runs).scores if len(runs) == len(done) else None
                speed = Speed.total([run.speed for run in done])
                rows[sequence] = Row(scores, speed, len(done), _makers(run.maker for run in done))
        return rows


def part(sequence: str, protocol: str) -> str:
    """Return what a protocol on a sequence is called: ``Deer``, ``Deer tre``."""
    return sequence if protocol == "ope" else f"{sequence} {protocol}"


@contextlib.contextmanager
def attempt(outcomes: Sequence[Outcome], sequence: str, protocol: str = "ope") -> Iterator[None]:
    """Note and print, in one line, what is wrong with a sequence: the others continue.

    Args:
        outcomes: The outcomes of the experiments that this concerns.
        sequence: Its name.
        protocol: Under which protocol; what fails under OPE is called by the sequence alone.

    Raises:
        StorageError: It is not the sequence's fault, and the others would fail as well.
    """
    name = part(sequence, protocol)
    try:
        yield
    except StorageError:
        raise
    except InputError as error:
        for outcome in outcomes:
            outcome.failed[name] = str(error)
        title = outcomes[0].title if len(outcomes) == 1 else ""
        line = ": ".join(filter(None, ("error", title, name, str(error))))
        tqdm.write(line, file=sys.stderr)  # beside the bars, not into them


def rule(experiment: Experiment, protocol: str) -> str:
    """Return what was chosen where the toolkit leaves a choice; empty where it leaves none."""
    if protocol == "tre":
        if experiment.annotations is None:
            return (
                "TRE: starts in any frame with valid ground truth (no --annotations: no initOmit)"
            )
        return f"TRE: no starts in the frames that {experiment.annotations}/initOmit omits"
    if protocol == "sre":
        if experiment.sre_unscale:
            return "SRE: sizes divided by the factor of the start, boxes rounded (--sre_unscale)"
        return "SRE: boxes judged as they were tracked (without --sre_unscale)"
    return ""


def report(outcome: Outcome) -> str:
    """Return the tables of a run for the terminal."""
    parts = []
    for protocol in outcome.experiment.protocols:
        if rows := outcome.rows(protocol):
            listed = sorted(rows.items(), key=lambda item: item[0].lower())
            scored = [(n, row.scores, row.speed.fps) for n, row in listed if row.scores]
            others = [n for n, row in listed if not row.scores]
            lines = [rule(outcome.experiment, protocol)]
            if scored:
                mean = metrics.mean([scores for _, scores, _ in scored])
                lines.append(results.table(scored, mean))
            if others:
                lines.append(f"tracked, not scored (no ground truth to do so): {_few(others)}")
            parts.append("\n".join(filter(None, lines)))
    return "\n\n".join(parts) or "no sequence was finished"


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, ... ({len(names)})" if len(names) > _SHOWN else shown


def save(outcome: Outcome) -> None:
    """Write ``summary.json``.

    Raises:
        InputError: the folder cannot be written to.
    """
    results.write_json(outcome.folder / "summary.json", summary(outcome))


def summary(outcome: Outcome) -> dict[str, Any]:
    """Return the content of ``summary.json``; one-pass evaluation is at its top level."""
    tables = {protocol: _table(outcome, protocol) for protocol in protocols.PROTOCOLS}
    return {
        "config": outcome.experiment.label,
        "experiment": outcome.experiment.settings(),
        "weights": {"digest": outcome.weights.digest, **outcome.weights.metadata},
        "versions": versions(),
        "device": outcome.device or device(),
        "command": sys.argv,
        "failed": outcome.failed,
        **tables.pop("ope"),
        "protocols": {
            protocol: table | {"rule": rule(outcome.experiment, protocol)}
            for protocol, table in tables.items()
            if protocol in outcome.experiment.protocols
        },
    }


def _table(outcome: Outcome, protocol: str) -> dict[str, Any]:
    rows = outcome.rows(protocol)
    table: dict[str, Any] = {"sequences": {name: _numbers(row) for name, row in rows.items()}}
    if scored := {name: row for name, row in rows.items() if row.scores}:
        table["mean"] = _numbers(
            Row(
                metrics.mean([row.scores for row in scored.values() if row.scores]),
                Speed.total([row.speed for row in scored.values()]),
                sum(row.runs for row in scored.values()),
                _makers(maker for row in scored.values() for maker in row.makers),
            )
        )
    return table


def _makers(of: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each maker once."""
    return list({json.dumps(maker, sort_keys=True): maker for maker in of}.values())


def _numbers(row: Row) -> dict[str, Any]:
    scores: dict[str, Any] = dict.fromkeys(f.name for f in dataclasses.fields(Scores))
    if row.scores:
        scores = dataclasses.asdict(row.scores)
    return scores | {
        "fps": row.speed.fps,
        "compile_seconds": row.speed.compile_seconds,
        "runs": row.runs,
        "made": row.makers,
    }
