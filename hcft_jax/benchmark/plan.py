"""What is to be done for one experiment or many: their tasks, in the order of work, and shards."""

import dataclasses
import itertools
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from hcft_jax.backbones.backbone import Params
from hcft_jax.benchmark import baselines
from hcft_jax.benchmark.outcome import Outcome, attempt, part, save
from hcft_jax.benchmark.tasks import Done, Task
from hcft_jax.data import datasets, otb, sequence
from hcft_jax.data.contents import Contents
from hcft_jax.data.kept import Kept, Memory
from hcft_jax.data.layout import ListedTarget
from hcft_jax.data.synthetic import synthetic
from hcft_jax.evaluation import protocols
from hcft_jax.evaluation.protocols import PROTOCOLS, Run
from hcft_jax.experiment.settings import Experiment, folders
from hcft_jax.util.boxes import to_file
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.files import discard
from hcft_jax.util.memory import available_memory
from hcft_jax.weights.native import Weights

_MANY = 1000  # runs whose results take some seconds to read
_SHARE = 4  # of the memory that is available, one part is for frames
_UNTOLD = 4 * 2**30  # taken for available where the system does not tell


@dataclasses.dataclass(frozen=True)
class Planned:
    """The outcomes of experiments, and their tasks, done or not, in the order of work.

    Attributes:
        outcomes: One of each experiment.
        tasks: The tasks of all, whose sequences have ``Kept`` frames.
        memory: What these frames take.
    """

    outcomes: list[Outcome]
    tasks: list[Task]
    memory: Memory

    def params(self, task: Task) -> Params:
        """Return the parameters of a task's network, on the host."""
        return self.outcomes[task.number].weights.params

    def failed(self, task: Task) -> bool:
        """Return whether a run of its group has failed: no score could be formed any more."""
        return part(task.whole.name, task.run.protocol) in self.outcomes[task.number].failed

    def settle(self, done: Done) -> None:
        """Score what a task has left, or tell of its failure in one line; then save the summary.

        Raises:
            InputError: the summary cannot be written.
        """
        task, outcome = done.task, self.outcomes[done.task.number]
        with attempt([outcome], task.whole.name, task.run.protocol):
            # not yet there where a network file system takes its time; of another identity after an
            # error
            if done.error is None and task.result.exists():
                with attempt([outcome], task.whole.name, task.run.protocol):
                    outcome.judge(task)
                discard(task.partial, task.folder)
            if done.error is not None:
                raise done.error
        outcome.device = done.device or outcome.device
        save(outcome)

    def missing(self) -> list[Task]:
        """Return the tasks without a result; those with one are scored, unless they have been.

        A damaged result, or that of another sequence, is one line on the terminal. One of another
        identity is none; ``Outcome.notes`` tells of it.
        """
        without = []
        few = len(self.tasks) < _MANY
        for task in tqdm(self.tasks, desc="results", unit="run", leave=False, disable=few):
            outcome = self.outcomes[task.number]
            if task.result in outcome.judged or self.failed(task):
                continue
            with attempt([outcome], task.whole.name, task.run.protocol):
                standing = task.standing
                if standing.done:
                    outcome.judge(task)
                    discard(task.partial, task.folder)  # it was ended between the two
                else:
                    without.append(task)
                if standing.note:
                    outcome.notes.setdefault(standing.note, []).append(task.name)
        return [task for task in without if not self.failed(task)]

    def confirm(self, done: Sequence[Task]) -> bool:
        """Return whether every result that is scored, or has been made, is there at the end.

        One that is not is told of in one line: somebody has deleted it meanwhile.

        Args:
            done: The tasks that have been done here.
        """
        whole = True
        made = set(done)
        for task in self.tasks:
            outcome = self.outcomes[task.number]
            if (
                task in made and not task.speed.exists()
            ):  # its boxes alone would be of unknown frames
                discard(task.result, task.folder)
            judged = outcome.judged.get(task.result)
            if self.failed(task) or not (judged or task in made) or (judged and _there(task)):
                continue
            whole = False
            outcome.judged.pop(task.result, None)
            with attempt([outcome], task.whole.name, task.run.protocol):
                raise InputError(
                    f"{task.result}: it is gone, deleted while this command ran; the same command "
                    "tracks it anew"
                )
        return whole

    def todo(self, index: int, count: int) -> list[Task]:
        """Return the tasks without a result in part ``index`` (from 1) of ``count``."""
        missing = set(self.missing())
        for outcome in self.outcomes:
            outcome.tell()
        return [task for task in shard(self.tasks, index, count) if task in missing]

    def share(self, tasks: Sequence[Task]) -> None:
        """Keep, of the frames of tasks that are about to be done, those that are read repeatedly.

        Args:
            tasks: All that are to be done; nothing is kept for others.
        """
        of_frames: dict[Kept, list[Task]] = {kept_frames(task): [] for task in self.tasks}
        for task in tasks:
            of_frames[kept_frames(task)].append(task)
        for kept, own in of_frames.items():
            if own:
                kept.keep_only(_reads(own) > 1)
            else:
                kept.forget()

    def forget(self) -> None:
        """Give back the memory of all frames, which are not kept any more."""
        self.share([])

    def longest_first(self) -> "Planned":
        """Return the order of sweeps: long sequences first, so that all workers end together."""
        tasks = sorted(self.tasks, key=lambda task: -len(task.whole))
        return dataclasses.replace(self, tasks=tasks)


def make(experiments: Sequence[Experiment], weights: Sequence[Weights] | None = None) -> Planned:
    """Plan experiments; nothing has been tracked, judged or written yet.

    Data that experiments share are read once. The tasks are in the order sequence, protocol, run,
    experiment: those that share compiled programs and frames are neighbours. A sequence that cannot
    be used is one line on the terminal and in ``failed`` of each outcome.

    Args:
        experiments: In any order; validated here.
        weights: The network's weights of each. None: those that the experiments name.

    Raises:
        InputError: a setting, the data folder or the weights are at fault.
    """
    sources: dict[Hashable, list[int]] = {}
    for number, e in enumerate(experiments):
        e.validate()
        source = (e.data_dir, e.dataset, e.sequences, e.synthetic, e.annotations, e.protocols)
        sources.setdefault(source, []).append(number)
    # a wrong folder or name should not wait for the weights
    targets = [find(experiments[numbers[0]]) for numbers in sources.values()]
    weights = weights or baselines.weights_of(experiments)
    pairs = zip(experiments, weights, strict=True)
    places = folders([(e, of.digest) for e, of in pairs])
    outcomes = [
        Outcome(e, of, place, e.label if len(experiments) > 1 else "")
        for e, of, place in zip(experiments, weights, places, strict=True)
    ]
    planned = Planned(outcomes, [], Memory(_frame_memory(experiments)))
    for numbers, listed in zip(sources.values(), targets, strict=True):
        for target in listed:
            _add(planned, numbers, target)
    return planned


def _there(task: Task) -> bool:
    try:
        return task.result.exists()
    except OSError:
        return False


def kept_frames(task: Task) -> Kept:
    """Return the frames of a planned task's sequence."""
    assert isinstance(task.whole.frames, Kept)
    return task.whole.frames


def _reads(tasks: Sequence[Task]) -> npt.NDArray[np.int64]:
    """Return how often each frame of a sequence will be read for tasks on it, at most."""
    counts = np.zeros(len(tasks[0].whole), np.int64)
    # of equal runs, one is tracked and the others are copied
    scans = {(task.reader, task.run.first, task.run.last, task.run.box) for task in tasks}
    for _, first, last, _ in scans:
        counts[first : last + 1] += 1
    # before runs are put into lanes, the size of the image is looked up
    counts[0] += len({task.number for task in tasks if task.laned})
    return counts


def _frame_memory(experiments: Sequence[Experiment]) -> int:
    """Return the bytes that frames may take: the least that an experiment sets."""
    set_ones = [e.frame_bytes for e in experiments if e.frame_bytes is not None]
    if set_ones:
        return min(set_ones)
    available = available_memory()
    return (_UNTOLD if available is None else available) // _SHARE


def _add(planned: Planned, numbers: Sequence[int], target: ListedTarget) -> None:
    """Plan the tasks on a target, of experiments that have the same runs."""
    outcomes = [planned.outcomes[number] for number in numbers]
    experiment = outcomes[0].experiment
    with attempt(outcomes, target.name):
        whole = target.load()
        paths = sequence.files(whole.frames)
        contents = None if paths is None else Contents(paths)
        whole = dataclasses.replace(whole, frames=Kept(whole.frames, planned.memory))
        # one-pass results serve others also where that protocol is not asked for
        runs = {"ope": _runs(experiment, whole, "ope")}
        wanted = [protocol for protocol in PROTOCOLS if protocol in experiment.protocols]
        for protocol in wanted:
            with attempt(outcomes, target.name, protocol):
                runs[protocol] = _runs(experiment, whole, protocol)
        every = list(itertools.chain.from_iterable(runs.values()))
        for run in (run for run in every if run.protocol in wanted):
            equal = tuple(other for other in every if other is not run and _alike(other, run))
            for number, outcome in zip(numbers, outcomes, strict=True):
                task = Task(
                    experiment=outcome.experiment,
                    number=number,
                    setting=outcome.title,
                    weights=outcome.weights.digest,
                    settings=outcome.settings,
                    folder=outcome.folder,
                    whole=whole,
                    run=run,
                    equal=equal,
                    contents=contents,
                )
                outcome.tasks.append(task)
                planned.tasks.append(task)


def _alike(one: Run, other: Run) -> bool:
    """Return whether both track the same frames from the same box: so will their results be."""
    return (one.first, one.last, one.box) == (other.first, other.last, other.box)


def find(experiment: Experiment) -> list[ListedTarget]:
    """Return the targets of an experiment, none of them read yet.

    Raises:
        InputError: a video of one's own; no data folder, nothing in it, or an unknown name; or one
            for a drawn sequence; or no folder of annotations where one is named.
    """
    if experiment.own is not None:
        raise SettingError("video", "hcft_jax.main tracks in one's own video, one at a time")
    if experiment.annotations is not None:
        otb.omitted_folder(experiment.annotations)
    if experiment.synthetic is not None:
        if experiment.data_dir is not None or experiment.sequences:
            raise SettingError(
                "config",
                f"{experiment.name} draws its own sequence: leave out data_dir and sequences, or "
                "take the configuration otb",
            )
        drawn = synthetic(experiment.synthetic)
        return [ListedTarget(drawn.name, drawn.name, Path(), Path(), lambda: drawn)]
    if experiment.data_dir is None:
        raise SettingError("data_dir", "name the folder that holds the sequences")
    folder, dataset = experiment.data_dir, experiment.dataset
    found = datasets.find(folder, dataset, experiment.sequences or None)
    for line in datasets.not_read(folder, found, dataset) if not experiment.sequences else ():
        tqdm.write(f"note: {line}", file=sys.stderr)
    return found


def _runs(experiment: Experiment, whole: sequence.Sequence, protocol: str) -> list[Run]:
    """Return the runs of a protocol on a sequence; SRE decodes the first frame for its size.

    Raises:
        InputError: TRE has no frame to start in, a list of omitted frames or the first frame
            cannot be read.
    """
    omitted: list[tuple[int, int]] = []
    size = None
    if protocol == "tre" and experiment.annotations is not None:
        omitted = otb.omitted(experiment.annotations, whole)
    if protocol == "sre":
        size = whole.frames.read(0).shape[:2]
    truth = to_file(whole.boxes)
    return protocols.plan(protocol, truth, omitted=omitted, size=size)


def shard(tasks: Sequence[Task], index: int, count: int) -> list[Task]:
    """Return part ``index`` (from 1) of ``count``: as many frames in each, neighbours together.

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
