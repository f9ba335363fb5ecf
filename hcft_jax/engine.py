"""Tasks done in this process: one by one, or several settings side by side on one run.

Whatever way a run is tracked, its files are the same (``recording``). A task that fails ends in one
line, and the others go on.
"""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from hcft_jax import compilation, recording
from hcft_jax.backbones import registry
from hcft_jax.backbones.weights import Params as HostParams
from hcft_jax.config import Experiment
from hcft_jax.errors import InputError
from hcft_jax.jobs import Unit
from hcft_jax.outcome import Speed, save
from hcft_jax.plan import Task
from hcft_jax.progress import Advance, Progress
from hcft_jax.streaming import Floats
from hcft_jax.together import track_together
from hcft_jax.tracker import Params

KEPT_EXECUTABLES = 256  # each size of a first box compiles anew, and JAX keeps all of them


def work(tasks: Sequence[Task], progress: Progress) -> None:
    """Does tasks and settles each (``settling``).

    Neighbours that look at the same patches are tracked side by side, so that the network sees a
    patch once for all of them.

    Raises:
        InputError: a summary cannot be written.
    """
    params: dict[str, Params] = {}
    for _, neighbours in itertools.groupby(tasks, key=lambda task: task.patches):
        todo = []
        for task in neighbours:
            if task.failed:  # another run of its group has: no score could be formed
                progress.skip(task)
            else:
                todo.append(task)
        if not todo:
            continue
        weights = todo[0].outcome.weights
        if weights.digest not in params:
            params[weights.digest] = on_device(todo[0].experiment, weights.params)
        if len(todo) == 1:
            (task,) = todo
            with settling(task), progress.tracking(task) as advance:
                obtain(task.experiment, params[weights.digest], task.unit, task.others, advance)
        else:
            _side_by_side(todo, params[weights.digest], progress)


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
    """The network's parameters where the tracker has them, and as the device computes best."""
    return registry.get(experiment.tracker.backbone).placed(params)


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
