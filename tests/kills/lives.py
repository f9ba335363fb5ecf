"""One life of a command: it is started, its folder watched, and its end brought about."""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PAUSE = 0.002  # seconds between two looks at the folder
PATIENCE = 600.0  # seconds that a command may take, where other work is going on
_MARK = "HCFT_TEST_LIFE"  # of the environment of everything that a command starts


@dataclass(frozen=True)
class Moment:
    """When a life ends: after a change of its folder, or some time after its start.

    A change is that something appears in the output folder or below, gets another name or is
    removed; a file that is written under a temporary name changes it twice.
    """

    change: int | None  # after this one, from 1
    seconds: float  # after that, or after the start

    def __str__(self) -> str:
        if self.change is None:
            return f"{self.seconds:.3f} s after the start"
        return f"{1000 * self.seconds:.1f} ms after change {self.change}"


class Watch:
    """Counts how often a folder and those below it change, by their times."""

    def __init__(self, folder: Path) -> None:
        """Begin to count."""
        self._folder, self.changes = folder, -1
        self._times: dict[str, int] = {}
        self.look()
        self.changes = 0

    def look(self) -> int:
        """Look once; return the number of changes up to now."""
        changed = [name for name in self._times if self._changed(name)]
        if not self._times:
            changed = [str(self._folder)] if self._folder.is_dir() else []
        for name in changed:
            self._enter(name)
        self.changes += bool(changed)
        return self.changes

    def _changed(self, name: str) -> bool:
        try:
            return os.stat(name).st_mtime_ns != self._times[name]
        except OSError:
            return True

    def _enter(self, name: str) -> None:
        try:
            self._times[name] = os.stat(name).st_mtime_ns
            below = [entry.path for entry in os.scandir(name) if entry.is_dir()]
        except OSError:
            self._times.pop(name, None)
            return
        for path in below:
            if path not in self._times:
                self._enter(path)


class Life:
    """A command that runs in a folder, with the output folder ``out`` in it."""

    def __init__(
        self, command: list[str], trial: Path, log: Path, environment: Mapping[str, str]
    ) -> None:
        """Start it; what it prints goes to a file."""
        self.log, self._mark = log, f"{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"
        self.watch = Watch(trial / "out")
        self._file: IO[bytes] = log.open("wb")
        self.started, self.lasted = time.monotonic(), 0.0
        self.process = subprocess.Popen(
            command,
            cwd=trial,
            env=os.environ | environment | {_MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )

    def until(self, moment: Moment) -> bool:
        """Wait for a moment; return False where the command has ended before."""
        while moment.change is not None and self.watch.look() < moment.change:
            if self.process.poll() is not None or self._late():
                return False
            time.sleep(PAUSE)
        since = self.started if moment.change is None else time.monotonic()
        while time.monotonic() < since + moment.seconds:
            if self.process.poll() is not None:
                return False
            time.sleep(min(PAUSE, moment.seconds))
        return self.process.poll() is None

    def _late(self) -> bool:
        return time.monotonic() > self.started + PATIENCE

    def end(self) -> int | None:
        """Wait for the end of the command and all that it has started; None: it hangs."""
        status: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(max(1.0, self.started + PATIENCE - time.monotonic()))
        if status is None:
            self.process.kill()
            self.process.wait()
        self.lasted = time.monotonic() - self.started
        self._file.close()
        self._see_out()
        return status

    def count(self) -> tuple[int, float]:
        """Let it end; return how often its folder has changed, and when it first did, in s."""
        first = 0.0
        while self.process.poll() is None and not self._late():
            if self.watch.look() and not first:
                first = time.monotonic() - self.started
            time.sleep(PAUSE)
        return self.watch.look(), first

    def _see_out(self) -> None:
        """Wait until its children have ended, which may take a while when it was killed."""
        until = time.monotonic() + 60
        while left := _marked(self._mark):
            if time.monotonic() > until:
                for number in left:
                    with contextlib.suppress(OSError):
                        os.kill(number, signal.SIGKILL)
            time.sleep(0.05)

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")


def _marked(mark: str) -> list[int]:
    """Return the processes that have a mark in their environment."""
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(int(name))
    return found


def moments(rng: random.Random, changes: int, start: float) -> Callable[[], Moment]:
    """Return what draws the moments of a chain of lives.

    Three in four are at a change of the folder, so that several fit into what a command does; the
    others are while it starts, or soon afterwards.

    Args:
        rng: Draws them.
        changes: How often the folder changes in an undisturbed life.
        start: Seconds until the first of them.
    """

    def draw() -> Moment:
        if rng.random() < 0.25:
            return Moment(None, rng.uniform(0.05, 1.3 * start))
        delay = rng.choice([0.0, rng.uniform(0, 0.005), rng.uniform(0, 0.05), rng.uniform(0, 0.3)])
        return Moment(rng.randint(1, max(1, changes // 2)), delay)

    return draw
