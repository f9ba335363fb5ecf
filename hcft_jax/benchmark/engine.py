"""Tasks done in this process: one by one, settings side by side on one run, or runs in lanes.

Whatever way a run is tracked, its files are the same (``recording``). A task that fails ends in one
line, and the others go on.
"""

import collections
import contextlib
import itertools
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params as HostParams
from hcft_jax.benchmark import recording
from hcft_jax.benchmark.jobs import Unit
from hcft_jax.benchmark.outcome import Speed, save
from hcft_jax.benchmark.plan import Task
from hcft_jax.benchmark.progress import Advance, Progress
from hcft_jax.core.sampling import Geometry
from hcft_jax.core.target import Bucket, buckets, place
from hcft_jax.core.tracker import Params
from hcft_jax.data import sequence
from hcft_jax.experiment.settings import METHOD, Experiment
from hcft_jax.run.batch import track_many
from hcft_jax.run.streaming import Floats
from hcft_jax.run.together import track_together
from hcft_jax.util import compilation
from hcft_jax.util.errors import InputError

KEPT_EXECUTABLES = 256  # each size of a first box compiles anew, and JAX keeps all of them
BUCKETS = 2  # of targets in lanes: two executables each, padded to the largest of them


def work(tasks: Sequence[Task], progress: Progress) -> None:
    """Does tasks and settles each (``settling``).

    Those of an experiment with ``lanes`` go through these. Of the others, neighbours that look at
    the same patches are tracked side by side, so that the network sees a patch once for all.

    Raises:
        InputError: a summary cannot be written.
    """
    params = _Parameters()
    laned: dict[int, list[Task]] = {}
    rest = []
    for task in tasks:
        if task.experiment.lanes > 1 and task.shareable:
            laned.setdefault(id(task.outcome), []).append(task)
        else:
            rest.append(task)
    for own in laned.values():
        _in_lanes(own, params.of(own[0]), progress)
    for _, neighbours in itertools.groupby(rest, key=lambda task: task.patches):
        todo = [task for task in neighbours if not _skipped(task, progress)]
        if len(todo) == 1:
            _alone(todo[0], params.of(todo[0]), progress)
        elif todo:
            _side_by_side(todo, params.of(todo[0]), progress)


class _Parameters:
    """The network's parameters on the device, each kept once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Params] = {}

    def of(self, task: Task) -> Params:
        weights = task.outcome.weights
        key = weights.digest, task.experiment.tracker.precision
        if key not in self._known:
            self._known[key] = on_device(task.experiment, weights.params)
        return self._known[key]


def _skipped(task: Task, progress: Progress) -> bool:
    """Whether another run of its group has failed: no score could be formed."""
    if task.failed:
        progress.skip(task)
    return task.failed


@contextlib.contextmanager
def settling(task: Task) -> Iterator[None]:
    """Around a task: what it left is scored and in the summary, or its failure is one line.

    That is also so after Ctrl-C, which may come just when the result has been written.
    """
    with task.attempt():
        try:
            yield
        finally:
            if task.unit.result.exists():
                with task.attempt():
                    task.outcome.judge(task.unit)
                task.unit.partial.unlink(missing_ok=True)
            save(task.outcome)


def on_device(experiment: Experiment, params: HostParams) -> Params:
    """The network's parameters where the tracker has them, and as the device computes best.

    A baseline has none.
    """
    if experiment.method != METHOD:
        return {}
    config = experiment.tracker
    return registry.get(config.backbone).placed(params, config.precision)


def obtain(
    experiment: Experiment, params: Params, unit: Unit, others: Iterable[Unit], advance: Advance
) -> None:
    """Makes the files of a run: from an equal one (TRE's first is mostly OPE's), or by tracking.

    A run that has its files is left alone: another process may have made them meanwhile.

    Args:
        experiment: Whose run it is.
        params: The network's parameters.
        unit: The run.
        others: Equal runs of the experiment.
        advance: Is told how many frames have been tracked, first 0.

    Raises:
        InputError: what cannot be tracked, read or written; it names the run.
    """
    with _naming(unit):
        if not _found(experiment, unit, others):
            recording.track(experiment, params, unit, advance)


def _found(experiment: Experiment, unit: Unit, others: Iterable[Unit]) -> bool:
    """Whether a run has its files now: there before, or copied from an equal one.

    Raises:
        InputError: what cannot be read or written.
    """
    if unit.finished(experiment):
        return True
    for other in others:
        if other.finished(experiment):
            unit.take(other, experiment)
            return True
    return False


@contextlib.contextmanager
def _naming(unit: Unit) -> Iterator[None]:
    """What fails inside is an ``InputError`` that names the run."""
    try:
        yield
    except (InputError, jax.errors.JaxRuntimeError) as error:
        text = str(error)
        if not isinstance(error, InputError):  # mostly: out of memory
            text = f"the device failed: {text.splitlines()[0]}"
        raise InputError(f"{unit.run.label}: {text}" if unit.run.label else text) from error
    finally:
        compilation.clear_beyond(KEPT_EXECUTABLES)


class _Open(contextlib.AbstractContextManager["_Open"]):
    """A task under way beside others; it ends by itself (``ending``), or with all of them."""

    def __init__(self, task: Task, progress: Progress) -> None:
        self.task, self._progress = task, progress
        self.ending = contextlib.ExitStack()

    def __enter__(self) -> "_Open":
        self.ending.enter_context(settling(self.task))
        self.advance = self.ending.enter_context(self._progress.tracking(self.task))
        self.ending.enter_context(_naming(self.task.unit))
        return self

    def __exit__(self, *error: Any) -> bool | None:
        return self.ending.__exit__(*error)

    def found(self) -> bool:
        """Whether it has ended without tracking."""
        with self.ending:
            if not _found(self.task.experiment, self.task.unit, self.task.others):
                self.ending = self.ending.pop_all()
                return False
        return True


def _alone(task: Task, params: Params, progress: Progress) -> None:
    with settling(task), progress.tracking(task) as advance:
        obtain(task.experiment, params, task.unit, task.others, advance)


def _side_by_side(tasks: Sequence[Task], params: Params, progress: Progress) -> None:
    """Settings on one run: each gets the boxes that it would have alone, and its share of time."""
    with contextlib.ExitStack() as stack:
        underway = [stack.enter_context(_Open(task, progress)) for task in tasks]
        underway = [one for one in underway if not one.found()]
        if underway:
            _track_together(underway, params)


def _track_together(underway: Sequence[_Open], params: Params) -> None:
    configs = [one.task.experiment.tracker for one in underway]
    seen: list[Floats] = []
    failure = None
    before, started = compilation.total(), time.perf_counter()
    for one in underway:
        one.advance(0)
    try:
        for frame in track_together(params, configs, recording.given(underway[0].task.unit)):
            seen.append(frame.boxes)
            for one in underway:
                one.advance(1)
    except (InputError, jax.errors.JaxRuntimeError) as error:
        failure = error
    compiled = (compilation.total() - before).seconds
    share = (time.perf_counter() - started - compiled) / len(underway)
    speed = Speed(len(seen) - 1, share, compiled / len(underway))
    for i, one in enumerate(underway):
        boxes = np.array([boxes[i] for boxes in seen])
        with one.ending:
            if failure is not None:
                recording.write_partial(one.task.unit, boxes)
                raise failure
            recording.write(one.task.unit, boxes, speed)


def _in_lanes(tasks: Sequence[Task], params: Params, progress: Progress) -> None:
    """Runs of one experiment, many at once, in buckets of targets of similar sizes."""
    waiting, geometries, later = _placed(tasks, progress)
    known: list[Bucket] = []
    if waiting:
        known = buckets(geometries, [task.frames for task in waiting], BUCKETS)
    of_bucket: dict[Bucket, list[Task]] = {bucket: [] for bucket in known}
    for task, geometry in zip(waiting, geometries, strict=True):
        of_bucket[next(bucket for bucket in known if bucket.holds(geometry))].append(task)
    for bucket, own in of_bucket.items():
        # long ones first, so that the last lanes end at the same time
        _through(bucket, sorted(own, key=lambda task: -task.frames), params, progress)
    for task in later:
        if not _skipped(task, progress):
            _alone(task, params, progress)


def _through(bucket: Bucket, tasks: Sequence[Task], params: Params, progress: Progress) -> None:
    """Runs whose targets a bucket holds; a lane's share of the time counts as a run's."""
    experiment, devices = tasks[0].experiment, jax.local_devices()
    lanes = -(-min(experiment.lanes, len(tasks)) // len(devices)) * len(devices)
    underway: dict[int, _Open] = {}
    before = compilation.total()
    with contextlib.ExitStack() as stack:
        sequences = _opened(tasks, progress, stack, underway)
        try:
            for track in track_many(
                params,
                experiment.tracker,
                sequences,
                bucket=bucket,
                lanes=lanes,
                devices=devices,
                progress=lambda index, frames: underway[index].advance(frames),
            ):
                compiled, before = (compilation.total() - before).seconds, compilation.total()
                one = underway.pop(track.index)
                with one.ending:
                    if track.error is not None:
                        recording.write_partial(one.task.unit, track.boxes)
                        raise track.error
                    speed = Speed(len(track.boxes) - 1, track.seconds / lanes, compiled)
                    recording.write(one.task.unit, track.boxes, speed)
        except jax.errors.JaxRuntimeError as error:  # mostly: out of memory
            failure = error
        else:
            return
        collections.deque(sequences, maxlen=0)  # what has not been begun fails as well
        for one in underway.values():
            with one.ending:
                raise failure


def _placed(
    tasks: Sequence[Task], progress: Progress
) -> tuple[list[Task], list[Geometry], list[Task]]:
    """The tasks to be tracked and the sizes of their targets; those that equal one of them.

    What needs no tracking, or cannot be tracked, is settled.
    """
    waiting: list[Task] = []
    geometries, later = [], []
    sizes: dict[int, tuple[int, int]] = {}  # of images, by sequence
    for task in tasks:
        if _skipped(task, progress):
            continue
        if any(other is one.unit for other in task.others for one in waiting):
            later.append(task)
            continue
        failure, geometry = None, None
        unit, config = task.unit, task.experiment.tracker
        try:
            with _naming(unit):
                if not _found(task.experiment, unit, task.others):
                    if id(unit.whole) not in sizes:
                        height, width, _ = unit.whole.frames.read(0).shape
                        sizes[id(unit.whole)] = height, width
                    geometry, _ = place(unit.box, sizes[id(unit.whole)], config.grid)
        except InputError as error:
            failure = error
        if geometry is not None:
            waiting.append(task)
            geometries.append(geometry)
            continue
        with settling(task), progress.tracking(task):
            if failure is not None:
                raise failure
    return waiting, geometries, later


def _opened(
    tasks: Sequence[Task],
    progress: Progress,
    stack: contextlib.ExitStack,
    underway: dict[int, _Open],
) -> Iterator[sequence.Sequence]:
    """The sequences of tasks, which are under way, by their number, from then on."""
    count = itertools.count()
    for task in tasks:
        if not _skipped(task, progress):
            one = underway[next(count)] = stack.enter_context(_Open(task, progress))
            one.advance(0)
            yield recording.given(task.unit)
