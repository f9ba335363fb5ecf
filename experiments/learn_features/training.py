"""A training that may be killed at any time: optax steps, orbax checkpoints, TensorBoard logs.

The data of a step depend on the seed and the step's number alone, so a training that continues
from a checkpoint ends with the same parameters as one that was never stopped.
"""

import contextlib
import logging
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from tqdm.auto import tqdm

from hcft_jax.util import interrupts
from hcft_jax.util.errors import InputError, StorageError, of_storage
from hcft_jax.util.files import locked, replacing

_OF_ORBAX = ("absl", "asyncio")  # loggers

Params = Any


class Trained(NamedTuple):
    """The state of a training after some steps."""

    params: Params
    optimiser: Any  # optax's state
    step: int


Step = Callable[[Params, int], tuple[tuple[jax.Array, Mapping[str, jax.Array]], Params]]


def schedule(rate: float, steps: int) -> optax.Schedule:
    """Return a rate that rises over the first twentieth of the steps, then falls as a cosine."""
    return optax.warmup_cosine_decay_schedule(
        rate / 50, rate, max(1, steps // 20), max(2, steps), end_value=rate / 50
    )


def adam(rate: float, steps: int, decay: float = 1e-4) -> optax.GradientTransformation:
    """Return AdamW under ``schedule``, with gradients clipped to norm 1."""
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule(rate, steps), weight_decay=decay),
    )


def run(
    folder: Path,
    params: Params,
    optimiser: optax.GradientTransformation,
    step: Step,
    steps: int,
    *,
    every: int = 200,
    title: str = "training",
) -> Params:
    """Train, from the newest checkpoint in ``folder`` if there is one; return the parameters.

    A process that trains there as well is waited for: what it has done need not be done again. The
    folder gets ``checkpoints/``, one after ``every`` steps, and ``logs/`` (``tensorboard
    --logdir``). ``step`` maps parameters and a step's number, from 0, to (loss, parts by name) and
    a gradient; ``steps`` is the number of steps in all.

    Raises:
        InputError: orbax or tensorboardX is not installed, or the checkpoints are of another
            network.
    """
    try:
        import orbax.checkpoint as ocp
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise InputError(f"training needs {error.name}: pip install 'hcft_jax[learn]'") from error

    @jax.jit
    def applied(params: Params, state: Any, gradient: Params) -> tuple[Params, Any]:
        with jax.numpy_dtype_promotion("standard"):  # optax promotes its step counter
            updates, state = optimiser.update(gradient, state, params)
            return optax.apply_updates(params, updates), state

    now = Trained(params, optimiser.init(params), 0)
    place = (folder / "checkpoints").resolve()
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    waiting = f"note: {folder}: another process is training there; this one waits for it"
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(folder / "training.lock", waiting))
        for unfinished in place.glob("*.orbax-checkpoint-tmp*"):  # of one that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        with interrupts.deferred(), unheard():
            manager = stack.enter_context(ocp.CheckpointManager(place, options=options))
        if (latest := manager.latest_step()) is not None:
            like = jax.tree.map(np.asarray, now._asdict())
            try:
                with interrupts.deferred(), unheard():
                    kept = manager.restore(latest, args=ocp.args.StandardRestore(like))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{folder}: its checkpoints are of another training; give another --output_dir"
                ) from error
            now = Trained(**jax.tree.map(jax.numpy.asarray, kept))
        params, state, first = now.params, now.optimiser, int(now.step)
        logs = Logs(folder / "logs")
        bar = tqdm(total=steps, initial=first, desc=title, unit="step", mininterval=2.0)
        stack.enter_context(bar)
        for index in range(first, steps):
            (value, parts), gradient = step(params, index)
            params, state = applied(params, state, gradient)
            if index % 20 == 0:
                if not np.isfinite(value):
                    raise InputError(
                        f"step {index}: the loss is {value}; try a lower --learning_rate"
                    )
                bar.set_postfix_str(f"loss {float(value):.4f}", refresh=False)
                logs.add(index, {"loss": value, **parts})
            bar.update()
            if (index + 1) % every == 0 or index + 1 == steps:
                logs.save(index + 1)
                made = Trained(params, state, index + 1)._asdict()
                try:
                    # Orbax's threads would go on without the first
                    with interrupts.deferred(), unheard():
                        manager.save(index + 1, args=ocp.args.StandardSave(made))
                except (OSError, ValueError) as error:
                    raise _unsaved(place, error) from error
    return params


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Let Orbax's threads and tasks print nothing: what fails is raised, and told in one line.

    After a failure they stay silent: a task that nobody asks any more tells of its exception when
    it is forgotten.
    """
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in _OF_ORBAX}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    before, sys.stderr = sys.stderr, _OfTheMainThread(sys.stderr)
    try:
        yield
    except BaseException:
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        raise
    sys.stderr = before
    for logger, level in levels.items():
        logger.setLevel(level)


class _OfTheMainThread:
    """A standard error that drops what TensorStore's threads print, past all hooks of Python's."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread() is threading.main_thread():
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _unsaved(place: Path, error: Exception) -> InputError:
    """Return the error of a checkpoint that Orbax could not save."""
    message = f"{place}: cannot save a checkpoint"
    if "RESOURCE_EXHAUSTED" in str(error):  # TensorStore's ValueError
        return StorageError(f"{message} (no space left, or no quota)")
    if isinstance(error, OSError):
        return of_storage(error, message)
    return InputError(f"{message} ({' '.join(str(error).split())[:200]})")


class Logs:
    """What TensorBoard shows, in a file for the steps before each checkpoint, whole or absent.

    The steps after the newest checkpoint are done again when a training goes on, and logged then.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder of the files."""
        self._folder = folder
        self._events: list[bytes] = []

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Log numbers by name."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in values.items():
            event = Event(wall_time=time.time(), step=step, summary=scalar(name, float(value)))
            self._events.append(event.SerializeToString())

    def save(self, step: int) -> None:
        """Write what was logged since the last time, up to a step.

        Raises:
            InputError: It cannot be written.
        """
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter

        if not self._events:
            return
        with replacing(self._folder / f"events.out.tfevents.{step:010d}") as temporary:
            file = RecordWriter(str(temporary))
            first = Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()
            with contextlib.closing(file):
                for event in (first, *self._events):
                    file.write(event)
        self._events.clear()
