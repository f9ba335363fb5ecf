"""Tasks done in this process: one by one, settings side by side on one run, or runs in lanes.

A run has the same files whichever way it is tracked (``record``). When a task fails, the others
continue.
"""

import collections
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.backbones.backbone import Params as HostParams
from hcft_jax.benchmark import record
from hcft_jax.benchmark.plan import Planned, kept_frames
from hcft_jax.benchmark.progress import Meter
from hcft_jax.benchmark.tasks import Done, Speed, Task
from hcft_jax.core.sampling import Geometry
from hcft_jax.core.target import Bucket, buckets, place
from hcft_jax.data import sequence
from hcft_jax.data.kept import Kept
from hcft_jax.experiment.settings import METHOD
from hcft_jax.run.batch import track_many
from hcft_jax.run.streaming import Floats
from hcft_jax.run.together import track_together
from hcft_jax.util import compilation, interrupts
from hcft_jax.util.errors import InputError, StorageError

KEPT_EXECUTABLES = 256  # each size of a first box compiles anew, and JAX keeps all of them
BUCKETS = 2  # of targets in lanes: two executables each, padded to the largest of them
_NOTHING = np.zeros((0, 4), np.float32)
_Given = TypeVar("_Given")


def work(planned: Planned, tasks: Sequence[Task], progress: Meter) -> Generator[Done]:
    """Do tasks of a plan, and yield each one as it ends.

    Close it (``contextlib.closing``): what is under way when the caller is interrupted is then
    kept, as when this is.

    The tasks of an experiment with ``lanes`` go through these. Of the others, neighbours that look
    at the same patches are tracked side by side, so that the network sees each patch only once. A
    task is skipped when another one of its group has failed by then: no score could be formed.

    Raises:
        StorageError: No further result can be written.
    """
    return _Execution(planned, progress).work(tasks)


class Parameters:
    """The network's parameters on the device, each kept once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Params] = {}

    def of(self, task: Task, read: Callable[[], HostParams]) -> Params:
        """Return a task's parameters, placed as the device computes best; a baseline has none."""
        experiment = task.experiment
        if experiment.method != METHOD:
            return {}
        config = experiment.tracker
        key = task.weights, config.precision
        if key not in self._known:
            placed = registry.get(config.backbone).placed(read(), config.precision)
            self._known[key] = placed
        return self._known[key]


def obtain(task: Task, params: Params) -> Generator[int]:
    """Make the files of a run: from an equal one (TRE's first is mostly OPE's), or by tracking.

    A run that has its files is left alone: another process may have made them meanwhile.

    Yields:
        How many more frames have been tracked, first 0; nothing where the files were there.

    Raises:
        InputError: the run cannot be tracked, read or written; it names the run.
    """
    with _naming(task):
        if not record.found(task):
            yield from record.track(task, params)


@contextlib.contextmanager
def _naming(task: Task) -> Iterator[None]:
    """Turn whatever fails inside into an ``InputError`` that names the run.

    A full disk is no fault of the run's, and stays what it is.
    """
    try:
        yield
    except StorageError:
        raise
    except (InputError, jax.errors.JaxRuntimeError) as error:
        text = str(error)
        if not isinstance(error, InputError):  # mostly: out of memory
            interrupts.check()
            text = f"the device failed: {text.splitlines()[0]}"
        label = task.run.label
        raise InputError(f"{label}: {text}" if label else text) from error
    finally:
        compilation.clear_beyond(KEPT_EXECUTABLES)


class _Execution:
    """The work on a plan."""

    def __init__(self, planned: Planned, progress: Meter) -> None:
        self._planned, self._progress, self._known = planned, progress, Parameters()
        self._left: Counter[Kept] = Counter()  # tasks, by the frames that they are on

    def _params(self, task: Task) -> Params:
        return self._known.of(task, lambda: self._planned.params(task))

    def work(self, tasks: Sequence[Task]) -> Generator[Done]:
        self._planned.share(tasks)
        self._left.update(map(kept_frames, tasks))
        try:
            yield from self._all(tasks)
        finally:
            self._planned.forget()

    def _all(self, tasks: Sequence[Task]) -> Iterator[Done]:
        laned: dict[int, list[Task]] = {}
        rest = []
        for task in tasks:
            if task.laned:
                laned.setdefault(task.number, []).append(task)
            else:
                rest.append(task)
        for own in laned.values():
            yield from self._in_lanes(own)
        for _, neighbours in itertools.groupby(rest, key=lambda task: task.patches):
            todo = [task for task in neighbours if not self._skipped(task)]
            if len(todo) == 1:
                yield self._alone(todo[0])
            elif todo:
                yield from self._side_by_side(todo)

    def _skipped(self, task: Task) -> bool:
        if failed := self._planned.failed(task):
            self._progress.skip(task)
            self._leave(task)
        return failed

    def _ended(self, task: Task, error: InputError | None) -> Done:
        self._progress.end(task, failed=error is not None)
        self._leave(task)
        return Done(task, error)

    def _leave(self, task: Task) -> None:
        """Forget the frames of a sequence after the last task on it."""
        kept = kept_frames(task)
        self._left[kept] -= 1
        if not self._left[kept]:
            kept.forget()

    def _tracked(self, task: Task, boxes: Floats, how: Speed | Exception) -> Done:
        """End a task with its files: of the whole run, or of what came before a failure."""
        _, error = _tried(_write, task, boxes, how)
        return self._ended(task, error)

    def _alone(self, task: Task) -> Done:
        self._progress.begin(task)
        error = None
        try:
            with contextlib.closing(obtain(task, self._params(task))) as tracking:
                for frames in tracking:
                    self._progress.advance(task, frames)
        except StorageError:
            raise
        except InputError as named:
            error = named
        return self._ended(task, error)

    def _side_by_side(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Track settings on one run: each gets the boxes that it would have alone."""
        underway = []
        for task in tasks:
            self._progress.begin(task)
            there, error = _tried(record.found, task)
            if there or error:
                yield self._ended(task, error)
            else:
                underway.append(task)
        if underway:
            seen: list[Floats] = []
            try:
                yield from self._together(underway, seen)
            except (KeyboardInterrupt, GeneratorExit):
                for i, task in enumerate(underway):
                    record.interrupted(task, _boxes(seen, i))
                raise

    def _together(self, underway: Sequence[Task], seen: list[Floats]) -> Iterator[Done]:
        """Track settings on one run; the boxes of each frame are added to those seen."""
        configs = [task.experiment.tracker for task in underway]
        params = self._params(underway[0])
        failure = None
        before, started = compilation.total(), time.perf_counter()
        for task in underway:
            task.identity.begin()
            self._progress.advance(task, 0)
        try:
            for frame in track_together(params, configs, underway[0].given):
                seen.append(frame.boxes)
                for task in underway:
                    self._progress.advance(task, 1)
        except (InputError, jax.errors.JaxRuntimeError) as error:
            failure = error
        compiled = (compilation.total() - before).seconds
        # a setting's share of the time
        share = (time.perf_counter() - started - compiled) / len(underway)
        speed = Speed(len(seen) - 1, share, compiled / len(underway))
        for i, task in enumerate(underway):
            yield self._tracked(task, _boxes(seen, i), failure or speed)

    def _in_lanes(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Track runs of one experiment, many at once, in buckets of targets of similar sizes."""
        waiting: dict[Task, Geometry] = {}
        later: list[Task] = []  # equal to one that waits
        sizes: dict[int, tuple[int, int]] = {}  # of images, by sequence
        results = set()
        for task in tasks:
            if self._skipped(task):
                continue
            if any(other.result in results for other in task.others()):
                later.append(task)
                continue
            geometry, error = _tried(_geometry, task, sizes)
            if geometry is None:
                self._progress.begin(task)
                yield self._ended(task, error)
            else:
                waiting[task] = geometry
                results.add(task.result)
        if waiting:
            known = buckets(waiting.values(), [task.frames for task in waiting], BUCKETS)
            of_bucket: dict[Bucket, list[Task]] = {bucket: [] for bucket in known}
            for task, geometry in waiting.items():
                of_bucket[next(b for b in known if b.holds(geometry))].append(task)
            for bucket, own in of_bucket.items():
                yield from self._through(bucket, sorted(own, key=_late))
        if later:  # whose result is there by now, unless it failed
            yield from self._in_lanes(later)

    def _through(self, bucket: Bucket, tasks: Sequence[Task]) -> Iterator[Done]:
        """Track runs whose targets a bucket holds; a lane's share of the time counts as a run's."""
        experiment, devices = tasks[0].experiment, jax.local_devices()
        lanes = -(-min(experiment.lanes, len(tasks)) // len(devices)) * len(devices)
        underway: dict[int, Task] = {}
        sequences = self._taken(tasks, underway)
        before = compilation.total()
        try:
            for track in track_many(
                self._params(tasks[0]),
                experiment.tracker,
                sequences,
                bucket=bucket,
                lanes=lanes,
                devices=devices,
                frame_memory=experiment.frame_bytes,
                decode=experiment.decode,
                progress=lambda index, frames: self._progress.advance(underway[index], frames),
                unfinished=lambda index, boxes: record.interrupted(underway[index], boxes),
            ):
                compiled, before = (compilation.total() - before).seconds, compilation.total()
                speed = Speed(len(track.boxes) - 1, track.seconds / lanes, compiled)
                yield self._tracked(underway.pop(track.index), track.boxes, track.error or speed)
        except jax.errors.JaxRuntimeError as error:  # mostly: out of memory
            failure = error
        else:
            return
        collections.deque(sequences, maxlen=0)  # what has not been begun fails as well
        for task in underway.values():
            yield self._tracked(task, _NOTHING, failure)

    def _taken(
        self, tasks: Sequence[Task], underway: dict[int, Task]
    ) -> Iterator[sequence.Sequence]:
        """Yield the sequences of tasks, which are under way, by their number, from then on."""
        count = itertools.count()
        for task in tasks:
            if not self._skipped(task):
                underway[next(count)] = task
                task.identity.begin()
                self._progress.begin(task)
                self._progress.advance(task, 0)
                yield task.given


def _boxes(seen: Sequence[Floats], number: int) -> Floats:
    """Return the boxes of one of several settings, frame by frame."""
    return np.array([boxes[number] for boxes in seen])


def _late(task: Task) -> tuple[int, str, int]:
    """Return what orders tasks in lanes: the long ones first, so that the last lanes end together.

    Runs of a sequence stay together, so that the frames of few sequences are kept at any time.
    """
    return -len(task.whole), task.whole.name, -task.frames


def _tried(
    do: Callable[..., _Given], task: Task, *more: Any
) -> tuple[_Given | None, InputError | None]:
    """Return what a function of a task gives, or the error that it ends in.

    Raises:
        StorageError: No further task can write its files.
    """
    try:
        with _naming(task):
            return do(task, *more), None
    except StorageError:
        raise
    except InputError as error:
        return None, error


def _write(task: Task, boxes: Floats, how: Speed | Exception) -> None:
    if isinstance(how, Exception):
        record.write_partial(task, boxes)
        raise how
    record.write(task, boxes, how)


def _geometry(task: Task, sizes: dict[int, tuple[int, int]]) -> Geometry | None:
    """Return the sizes that follow from a first box; None where the run has its files."""
    if record.found(task):
        return None
    if id(task.whole) not in sizes:
        height, width, _ = task.whole.frames.read(0).shape
        sizes[id(task.whole)] = height, width
    config = task.experiment.tracker
    geometry, _ = place(task.box, sizes[id(task.whole)], config.layout)
    return geometry
