"""Sends cases to a worker, watches its time and memory, and counts what became of them."""

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.hostile import surroundings
from tests.hostile.kinds import Door, Planned
from tests.hostile.worker import MADE, READY, Outcome

SECONDS = 20.0  # that a case may take
MEMORY = 2 << 30  # bytes by which a case may make the worker, with its processes, grow
MODULE = ("-m", "tests.hostile.worker")
STARTING = 180.0  # seconds
CASES_EACH = 1500  # of a worker, before a fresh one takes over
COLUMNS = ("refused", "accepted", "unchecked", "undetectable", "wrong")

_TURN = 0.2  # seconds between two looks at the memory; the worker knows its own peak


class Worker:
    """A process that opens cases; it is started when there is a first one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._place = tempfile.mkdtemp(prefix="hostile-")
        self._left = 0
        self._pending = b""

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        _remove(Path(self._place))

    def run(self, planned: Planned, folder: Path, seconds: float = SECONDS) -> Outcome:
        """Have a case opened in a folder; whatever happens is an outcome."""
        if self._left <= 0:
            self.end()
            self._start()
        self._left -= 1
        process = self._process
        assert process is not None
        assert process.stdin is not None
        question = {**dataclasses.asdict(planned), "folder": str(folder)}
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        answer, peak = self._answer(seconds)
        if isinstance(answer, str):
            self.end()
            return Outcome("wrong", answer, peak)
        outcome = Outcome(**answer)
        if max(peak, outcome.peak) > MEMORY:
            outcome = Outcome("wrong", f"it took {max(peak, outcome.peak) >> 20} MiB")
        return dataclasses.replace(outcome, peak=max(peak, outcome.peak))

    def _answer(self, seconds: float) -> tuple[Any, int]:
        """Return what the worker says, else, as a text, why it does not; and how it grew.

        The clock runs while the case is opened, not while it is made, nor while the process only
        waits for a processor of a busy machine.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        begun, seconds_now, peak = time.monotonic(), STARTING, 0
        before, waited = _resident(process.pid), _waited(process.pid)
        while True:
            ready, _, _ = select.select([process.stdout], [], [], _TURN)
            if ready:
                block = os.read(process.stdout.fileno(), 1 << 16)
                self._pending += block
                if not block:
                    return f"the process ended {_how(process.wait())}", peak
                while b"\n" in self._pending:
                    line, _, self._pending = self._pending.partition(b"\n")
                    if (answer := json.loads(line)) != MADE:
                        return answer, peak
                    begun, seconds_now, peak = time.monotonic(), seconds, 0
                    before, waited = _resident(process.pid), _waited(process.pid)
            peak = max(peak, _resident(process.pid) - before)
            if peak > MEMORY:
                return f"it takes more than {MEMORY >> 20} MiB", peak
            passed = time.monotonic() - begun
            if passed > seconds_now and passed - (_waited(process.pid) - waited) > seconds_now:
                return f"it hangs: no answer after {seconds_now:g} s", peak

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("HOSTILE_STDERR") else None,
            env=surroundings.environment() | {"HOSTILE_PLACE": self._place, "TMPDIR": self._place},
            start_new_session=True,
        )
        self._left, self._pending = CASES_EACH, b""
        answer, _ = self._answer(SECONDS)
        if answer != READY:
            raise RuntimeError(f"the worker does not start: {answer}; HOSTILE_STDERR=1 shows why")

    def end(self) -> None:
        """End the process and those that it has started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        self._process, self._left = None, 0


def _how(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def _resident(process: int) -> int:
    """Return the bytes of memory that a process and those below it have; 0 where unknown."""
    size = 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        size = pages * os.sysconf("SC_PAGE_SIZE")
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            size += sum(map(_resident, map(int, children.read_text().split())))
    return size


def _waited(process: int) -> float:
    """Return the seconds that a process, and those below it, were ready and had no processor."""
    seconds = 0.0
    with contextlib.suppress(OSError, ValueError, IndexError):
        delays = []
        for task in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(OSError):
                delays.append(int((task / "schedstat").read_text().split()[1]))
                children = (task / "children").read_text().split()
                seconds += sum(map(_waited, map(int, children)))
        seconds += max(delays, default=0) / 1e9
    return seconds


@dataclasses.dataclass(frozen=True)
class Wrong:
    """A case that went wrong, and where its files are."""

    planned: Planned
    outcome: Outcome
    folder: Path

    def __str__(self) -> str:
        one = self.planned
        again = f"python -m tests.hostile --again={one.door}/{one.kind}/{one.seed}"
        text = self.outcome.detail.strip()
        return f"{one.door} / {one.kind}: {text}\n  files: {self.folder}\n  again: {again}"


def shared_out(doors: Sequence[Door], cases: int) -> dict[str, int]:
    """Return how many of the cases each door gets."""
    total = sum(door.share for door in doors)
    return {door.name: max(1, round(cases * door.share / total)) for door in doors}


def run(planned: Iterable[Planned], worker: Worker, folder: Path) -> Iterator[tuple[Planned, Any]]:
    """Yield each case with its ``Outcome``, or ``Wrong``, whose files are kept in the folder."""
    for one in planned:
        place = folder / f"{one.door}-{one.kind}-{one.seed}".replace("/", "_").replace(" ", "_")
        outcome = worker.run(one, place)
        if outcome.kind == "wrong":
            yield one, Wrong(one, outcome, place)
        else:
            _remove(place)
            yield one, outcome


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def table(counts: dict[str, Counter[str]], peaks: dict[str, int], times: dict[str, float]) -> str:
    """Return the table of doors."""
    rows: list[tuple[str, ...]] = [("door", "tried", *COLUMNS, "MiB", "s")]
    total: Counter[str] = sum(counts.values(), Counter())
    largest = max(peaks.values(), default=0)
    every = [*counts.items(), ("all", total)]
    for name, count in every:
        peak, seconds = peaks.get(name, largest), times.get(name, sum(times.values()))
        numbers = [str(count[column]) for column in COLUMNS]
        rows.append((name, str(count.total()), *numbers, str(peak >> 20), f"{seconds:.0f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
