"""How far the work is, on the terminal: a bar for each run, or one line for everything."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, Self

from tqdm.auto import tqdm

from hcft_jax.benchmark.tasks import Task
from hcft_jax.util import interrupts

SECONDS_APART = 30.0  # between the lines in a log file, where none replaces the one before


class Meter:
    """A count of runs, and an estimate of when the rest will be done.

    The rate is that of the frames tracked since the start, over all workers, with the time for
    compiling and waiting. Runs that are copied, fail or are skipped take their frames out of what
    remains and are no part of the rate.
    """

    def __init__(self, tasks: Sequence[Task], clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done, self.failed = len(tasks), 0, 0
        self.tracked = 0  # frames
        self.remaining = sum(task.frames for task in tasks)  # frames
        self.running: dict[Task, int] = {}  # and how many frames of it have been tracked
        self._clock, self._started = clock, clock()

    def begin(self, task: Task) -> None:
        """Count a task as running."""
        self.running[task] = 0
        self.show()

    def advance(self, task: Task, frames: int) -> None:
        """Count frames of a running task; end here where Ctrl-C was swallowed elsewhere."""
        interrupts.check()
        self.running[task] += frames
        self.tracked += frames
        self.remaining -= frames
        self.show()

    def end(self, task: Task, *, failed: bool = False) -> None:
        """Count a task as done or failed: nothing of it is left to do."""
        self.remaining -= task.frames - self.running.pop(task, 0)
        self.failed += failed
        self.done += not failed
        self.show()

    def back(self, task: Task) -> None:
        """Count a running task as not begun; the time that it took stays in the rate."""
        lost = self.running.pop(task)
        self.tracked -= lost
        self.remaining += lost
        self.show()

    def skip(self, task: Task) -> None:
        """Count a task as failed that is not begun, since another one of its group has failed."""
        self.end(task, failed=True)

    def show(self) -> None:
        """Show the count; called after every change."""

    def close(self) -> None:
        """End what is shown."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def rate(self) -> float:
        """Frames per second."""
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


class Runs(Meter):
    """A bar for each run that is tracked, one after the other: ``[3/20] Deer:  40%|...``."""

    _bar: "tqdm[NoReturn] | None" = None

    def advance(self, task: Task, frames: int) -> None:
        """Count frames; the bar appears with the first call, so what is copied has none."""
        super().advance(task, frames)
        if self._bar is None:
            title = f"[{self.done + self.failed + 1}/{self.total}] {task.title}"
            self._bar = tqdm(total=task.frames, desc=title, unit="frame")
        self._bar.update(frames)

    def end(self, task: Task, *, failed: bool = False) -> None:
        """Count a task as done or failed, and leave its bar as it is."""
        self.close()
        super().end(task, failed=failed)

    def close(self) -> None:
        """End the bar of the run that is tracked."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


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

    def close(self) -> None:
        """Bring the line up to date for the last time."""
        self._shown = -math.inf
        self.show()
        self._bar.close()

    def show(self) -> None:
        """Bring the line up to date, unless that has just been done."""
        now = self._clock()
        if now - self._shown >= self._apart:
            self._shown = now
            self._bar.n = self._frames - self.remaining
            self._bar.set_description_str(f"{self._title}: {self}")
