"""How far the work is, on the terminal: a bar a run, or one line for everything."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NoReturn, Protocol

from tqdm import tqdm

from hcft_jax.benchmark.plan import Task
from hcft_jax.util.errors import InputError

Advance = Callable[[int], None]  # frames that have been tracked; 0: it begins

SECONDS_APART = 30.0  # of the lines in a log file, where none replaces the one before


class Progress(Protocol):
    """What those who do the work report to."""

    def tracking(self, task: Task) -> AbstractContextManager[Advance]:
        """Around a task; an ``InputError`` in it means that it failed."""
        ...

    def skip(self, task: Task) -> None:
        """A task that is not begun, since another of its group failed."""
        ...


class Runs:
    """A bar for each run that is tracked: ``[3/20] Deer:  40%|...``."""

    def __init__(self, total: int) -> None:
        self._total, self._number = total, 0

    def skip(self, task: Task) -> None:
        """Its number is left out."""
        self._number += 1

    @contextmanager
    def tracking(self, task: Task) -> Iterator[Advance]:
        """The bar appears when tracking begins: what is copied has none."""
        self._number += 1
        title = f"[{self._number}/{self._total}] {task.title}"
        with ExitStack() as stack:
            bars: list[tqdm[NoReturn]] = []

            def advance(frames: int) -> None:
                if not bars:
                    bar = tqdm(total=task.frames, desc=title, unit="frame")
                    bars.append(stack.enter_context(bar))
                bars[0].update(frames)

            yield advance


class Meter:
    """Counts runs, and estimates when the rest will be done.

    The rate is that of the frames tracked since the start, compiling and waiting included, over all
    workers. Runs that are copied, fail or are skipped take their frames out of what remains and
    are no part of the rate.
    """

    def __init__(self, tasks: Sequence[Task], clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done, self.failed = len(tasks), 0, 0
        self.tracked = 0  # frames
        self.remaining = sum(task.frames for task in tasks)  # frames
        self.running: dict[Task, int] = {}  # and how many frames of it have been tracked
        self._clock, self._started = clock, clock()

    def begin(self, task: Task) -> None:
        """A worker has it."""
        self.running[task] = 0
        self.show()

    def advance(self, task: Task, frames: int) -> None:
        """Frames of a running task have been tracked."""
        self.running[task] += frames
        self.tracked += frames
        self.remaining -= frames
        self.show()

    def end(self, task: Task, *, failed: bool = False) -> None:
        """Nothing of it is left to do."""
        self.remaining -= task.frames - self.running.pop(task, 0)
        self.failed += failed
        self.done += not failed
        self.show()

    def back(self, task: Task) -> None:
        """A running task has to be done again; the time that it took stays in the rate."""
        lost = self.running.pop(task)
        self.tracked -= lost
        self.remaining += lost
        self.show()

    def show(self) -> None:
        """Called after every change."""

    @property
    def rate(self) -> float:
        """Frames a second."""
        seconds = self._clock() - self._started
        return self.tracked / seconds if seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds until all is done; None while nothing is known."""
        if not self.remaining:
            return 0.0
        return self.remaining / self.rate if self.rate else None

    def __str__(self) -> str:
        left = "?" if self.left is None else tqdm.format_interval(round(self.left))
        return (
            f"{self.done}/{self.total} done, {len(self.running)} running, {self.failed} failed, "
            f"{self.rate:.1f} frames/s, {left} left"
        )


class Line(Meter):
    """One line for all runs: how many are done, running, failed, and the time left."""

    def __init__(self, title: str, tasks: Sequence[Task]) -> None:
        super().__init__(tasks)
        self._frames = self.remaining
        self._bar = tqdm(
            total=max(self._frames, 1),
            desc=f"{title}: {self}",
            bar_format="{percentage:3.0f}%|{bar:20}| {desc}",
        )
        self._title = title
        self._apart = 0.2 if sys.stderr.isatty() else SECONDS_APART
        self._shown = self._started

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self._shown = -math.inf
        self.show()
        self._bar.close()

    def show(self) -> None:
        """Brings the line up to date, unless that has just been done."""
        now = self._clock()
        if now - self._shown >= self._apart:
            self._shown = now
            self._bar.n = self._frames - self.remaining
            self._bar.set_description_str(f"{self._title}: {self}")

    def skip(self, task: Task) -> None:
        """It counts as failed."""
        self.end(task, failed=True)

    @contextmanager
    def tracking(self, task: Task) -> Iterator[Advance]:
        """Around a task that is done here."""
        self.begin(task)
        try:
            yield lambda frames: self.advance(task, frames)
        except InputError:
            self.end(task, failed=True)
            raise
        self.end(task)
