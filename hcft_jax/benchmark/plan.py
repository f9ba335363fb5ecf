"""What is to be done for one experiment or many: their runs, in the order of work, and shards."""

import itertools
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import jax
from tqdm import tqdm

from hcft_jax.benchmark import jobs
from hcft_jax.benchmark.jobs import Group, Job, Unit
from hcft_jax.benchmark.outcome import Outcome, attempt, part
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.experiment.settings import METHOD, Experiment, folders
from hcft_jax.run import together
from hcft_jax.weights.native import Weights

_MANY = 1000  # runs whose results take some seconds to read


@dataclass(frozen=True, eq=False)
class Task:
    """One run of one experiment: what is tracked, resumed, retried and sent to workers."""

    outcome: Outcome
    group: Group
    unit: Unit
    others: tuple[Unit, ...]  # equal runs of the experiment, whose results may serve

    @property
    def experiment(self) -> Experiment:
        """Whose run it is."""
        return self.outcome.experiment

    @property
    def title(self) -> str:
        """What progress calls it: ``Deer tre/01 hcft,eta=0.02``."""
        return f"{self.unit.title} {self.outcome.title}".rstrip()

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.unit.run.frames

    @property
    def failed(self) -> bool:
        """Whether a run of its group has: no score could be formed any more."""
        return part(self.group.sequence, self.group.protocol) in self.outcome.failed

    @property
    def executable(self) -> Hashable:
        """Equal for tasks that share compiled programs: image, size of the box, static settings."""
        _, _, w, h = self.unit.run.box
        return self.unit.whole.name, w, h, jax.tree.structure(self.experiment.tracker)

    @property
    def shareable(self) -> bool:
        """Whether it may be tracked beside others: it leaves no more than our tracker's boxes."""
        return self.experiment.method == METHOD and not self.unit.extras(self.experiment)

    @property
    def patches(self) -> Hashable:
        """Equal for tasks that look at the same patches of the same network, and may share them."""
        if not self.shareable:
            return id(self)
        run = self.unit.run
        frames = id(self.unit.whole), run.protocol, run.label
        return *frames, self.outcome.weights.digest, together.patches(self.experiment.tracker)

    def attempt(self) -> AbstractContextManager[None]:
        """Notes and prints, in one line, what is wrong with it."""
        return attempt([self.outcome], self.group.sequence, self.group.protocol)


def make(
    settings: Sequence[tuple[Experiment, Weights]],
) -> tuple[list[Outcome], list[Task]]:
    """The outcomes of experiments, all empty, and their runs, done or not.

    Data that experiments share are read once. The tasks are in the order sequence, protocol, run,
    experiment: those that share compiled programs and frames are neighbours. A sequence that cannot
    be used is one line on the terminal and in ``failed`` of each outcome.

    Raises:
        InputError: a setting or the data folder is at fault.
    """
    several = len(settings) > 1
    places = folders((experiment.validate(), weights.digest) for experiment, weights in settings)
    outcomes = [
        Outcome(experiment, weights, folder, experiment.label if several else "")
        for (experiment, weights), folder in zip(settings, places, strict=True)
    ]
    sources: dict[Hashable, list[Outcome]] = {}
    for one in outcomes:
        e = one.experiment
        source = (e.data_dir, e.dataset, e.sequences, e.synthetic, e.annotations, e.protocols)
        sources.setdefault(source, []).append(one)
    tasks = []
    for sharing in sources.values():
        for job in jobs.find(sharing[0].experiment):
            tasks += _of(job, sharing)
    return outcomes, tasks


def _of(job: Job, outcomes: list[Outcome]) -> list[Task]:
    """The tasks on a sequence, of experiments that have the same runs."""
    experiment = outcomes[0].experiment
    tasks: list[list[Task]] = []  # by experiment
    with attempt(outcomes, job.name):
        sequence = job.load()
        runs = {"ope": jobs.runs(experiment, sequence, "ope")}
        wanted = [protocol for protocol in PROTOCOLS if protocol in experiment.protocols]
        for protocol in wanted:
            with attempt(outcomes, job.name, protocol):
                runs[protocol] = jobs.runs(experiment, sequence, protocol)
        for outcome in outcomes:
            groups = [
                Group(protocol, job.name, [Unit(sequence, run, outcome.folder) for run in of])
                for protocol, of in runs.items()
            ]
            # one-pass results serve others also where that protocol is not asked for
            units = [unit for group in groups for unit in group.units]
            groups = [group for group in groups if group.protocol in wanted]
            outcome.groups += groups
            tasks.append(
                [
                    Task(outcome, group, unit, tuple(u for u in units if _equal(u, unit)))
                    for group in groups
                    for unit in group.units
                ]
            )
    return list(itertools.chain.from_iterable(zip(*tasks, strict=True)))


def _equal(one: Unit, other: Unit) -> bool:
    return one is not other and one.equals(other)


def missing(tasks: Sequence[Task]) -> list[Task]:
    """The tasks without a result; those with one are scored, unless they have been.

    A damaged result, or that of another sequence, is one line on the terminal.
    """
    without = []
    for task in tqdm(tasks, desc="results", unit="run", leave=False, disable=len(tasks) < _MANY):
        with task.attempt():
            if task.unit.result in task.outcome.judged or task.failed:
                continue
            if task.unit.finished(task.experiment):
                task.outcome.judge(task.unit)
            else:
                without.append(task)
    return [task for task in without if not task.failed]


def longest_first(tasks: Sequence[Task]) -> list[Task]:
    """The order of sweeps: long sequences first, so that the last workers end at the same time."""
    return sorted(tasks, key=lambda task: -len(task.unit.whole))


def shard(tasks: Sequence[Task], index: int, count: int) -> list[Task]:
    """Part ``index`` (from 1) of ``count``: as many frames in each, and neighbours together.

    The frames of all tasks, done or not, are laid end to end and cut into ``count`` equal lengths;
    a task belongs to the part in which its middle lies. So each task is in exactly one part,
    whoever computes it, and a part compiles little of what another one does too.
    """
    total = sum(task.frames for task in tasks)
    before = itertools.accumulate((task.frames for task in tasks), initial=0)
    return [
        task
        for task, start in zip(tasks, before, strict=False)
        if (2 * start + task.frames) * count // (2 * total) == index - 1
    ]
