"""How a command is ended, and what it may say to that."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .lives import Life, Moment

ROOM = 256 * 2**20  # bytes of the small disk, when there is to be room
PAGE = 4096  # bytes: what a tmpfs hands out
TWICE = 0.2  # seconds between two Ctrl-C, at most


@dataclass(frozen=True)
class Ending:
    """One of the ways to end a command.

    Attributes:
        name: What it is called.
        statuses: What the command may end with.
        act: Ends a life, or not; it has come to its moment. None: the disk does.
    """

    name: str
    statuses: frozenset[int]
    act: Callable[[Life, Path, random.Random], None] | None


def _kill(life: Life, _: Path, __: random.Random) -> None:
    life.process.kill()


def _terminate(life: Life, _: Path, __: random.Random) -> None:
    life.process.send_signal(signal.SIGTERM)


def _interrupt(life: Life, _: Path, rng: random.Random) -> None:
    life.process.send_signal(signal.SIGINT)
    time.sleep(rng.choice([0.0, rng.uniform(0, TWICE)]))
    if life.process.poll() is None:
        life.process.send_signal(signal.SIGINT)


def _delete(life: Life, trial: Path, rng: random.Random) -> None:
    """Delete the output folder, file by file or at one stroke."""
    out = trial / "out"
    if rng.random() < 0.5:
        with contextlib.suppress(OSError):
            out.rename(trial / "away")
        shutil.rmtree(trial / "away", ignore_errors=True)
        return
    for _ in range(20):
        shutil.rmtree(out, ignore_errors=True)
        if not out.exists():
            return


_BEFORE = frozenset({-signal.SIGINT, -signal.SIGTERM})  # while Python itself starts

KILL = Ending("SIGKILL", frozenset({-signal.SIGKILL}), _kill)
TERM = Ending("SIGTERM", frozenset({143}) | _BEFORE, _terminate)
DOUBLE = Ending("2 x SIGINT", frozenset({130}) | _BEFORE, _interrupt)
FULL = Ending("full disk", frozenset({1, 2}), None)
DELETED = Ending("deleted", frozenset({0, 1, 2}), _delete)
TWO = Ending("two at once", frozenset({0}), None)
ENDINGS = (KILL, TERM, DOUBLE, FULL, DELETED, TWO)


def no_disk(work: Path) -> str:
    """Return why there can be no small disk here; empty where there can."""
    place = work / "disk"
    place.mkdir(exist_ok=True)
    try:
        mount(place, 2**20)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no tmpfs can be mounted here ({error})"
    unmount(place)
    return ""


def mount(place: Path, size: int, *, again: bool = False) -> None:
    """Mount a tmpfs of a size in bytes, or give the one that is there another size.

    Raises:
        OSError: There is no program for that.
        subprocess.CalledProcessError: It may not be done here.
    """
    options = f"{'remount,' if again else ''}size={size}"
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
        check=True,
        stderr=subprocess.DEVNULL,
    )


def unmount(place: Path) -> None:
    """Unmount what ``mount`` has mounted."""
    subprocess.run(["umount", "-l", str(place)], check=False, stderr=subprocess.DEVNULL)


def used(place: Path) -> int:
    """Return how many bytes of a file system are taken."""
    about = os.statvfs(place)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


def complaint(ending: Ending, status: int | None, said: str, log: Path) -> str:
    """Return what is wrong with how a command has ended; empty: nothing.

    Args:
        ending: How it was ended.
        status: Its exit status; None: it hung.
        said: What it has printed.
        log: Where that is.
    """
    if status is None:
        return f"it hangs ({log})"
    if status and status not in ending.statuses:
        return f"its status is {status} ({log})"
    if "Traceback" in said and not _before_us(said):
        return f"it prints a traceback ({log})"
    if ending in (FULL, DELETED) and status and "error: " not in said:
        return f"it does not say what is wrong ({log})"
    return ""


def _before_us(said: str) -> bool:
    """Tell whether a traceback is Python's own, which had not come to the program yet."""
    files = re.findall(r'File "([^"]*)"', said)
    return all(name.startswith("<frozen") or "/site.py" in name for name in files)


def drawn(ending: Ending, rng: random.Random, draw: Callable[[], Moment], size: int) -> Moment:
    """Return when a life is ended; of a disk, after how many more bytes, as ``change``."""
    if ending is FULL:
        return Moment(rng.randint(0, max(1, size // PAGE * 2 // 3)), 0.0)
    return draw()
