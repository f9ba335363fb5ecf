"""Ctrl-C and the SIGTERM of schedulers: both end a command in the same orderly way.

A command goes through three phases. While its modules are imported there is nothing to tidy up,
and it ends at once. While it works, a signal raises ``KeyboardInterrupt`` in the main thread; since
libraries may swallow that where it hits them, whoever works in a loop calls ``check``. A further
signal within ``PATIENCE`` is the same wish once more and does not break into the tidying up.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

PATIENCE = 5.0  # seconds
_LINE = b"interrupted\n"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEFAULT = (signal.default_int_handler, signal.SIG_DFL)

_received: int | None = None  # the signal that is not answered yet
_held: list[int] = []  # the signals that ``working`` handles
_when = -PATIENCE
_deferring = False


class Terminated(KeyboardInterrupt):
    """What SIGTERM raises: the same as Ctrl-C, but for the status of the command."""


def starting() -> None:
    """Let signals end this process at once: its modules are being imported.

    Only for the main thread of a process that this package's command owns.
    """
    for number in _SIGNALS:
        _replace(number, _end)


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Let signals raise ``KeyboardInterrupt`` inside the block; afterwards they are as before.

    Signals that the process ignores, and those that somebody else handles, stay as they are; so do
    all where this is not the main thread.
    """
    global _received, _deferring
    _received, _deferring = None, False
    former = {number: _replace(number, _raise) for number in _SIGNALS}
    _held[:] = [number for number, handler in former.items() if handler is not None]
    hook = sys.unraisablehook
    sys.unraisablehook = _told_of(hook)
    try:
        yield
    finally:
        _deferring = True  # what comes now comes too late to interrupt anything
        sys.unraisablehook = hook
        _held.clear()
        for number, handler in former.items():
            if handler is not None:
                signal.signal(number, handler)
        _received, _deferring = None, False


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let a signal that comes inside the block raise at its end, and not in a library's middle.

    For short work that must not be broken into, as saving. Whoever repeats Ctrl-C after
    ``PATIENCE`` ends it all the same.

    Raises:
        KeyboardInterrupt: There was Ctrl-C, or SIGTERM.
    """
    global _deferring
    former, _deferring = _deferring, True
    try:
        yield
    finally:
        _deferring = former
    check()


def check() -> None:
    """Raise what a signal has raised already, where nobody has come to know of it.

    Raises:
        KeyboardInterrupt: There was Ctrl-C, or SIGTERM.
    """
    if _received is not None:
        raise _interrupt(_received)


def retake() -> None:
    """Take signals back from a library that has taken them, as Ray takes SIGTERM."""
    if threading.current_thread() is threading.main_thread():
        for number in _held:
            signal.signal(number, _raise)


def answered() -> None:
    """Forget a signal that has been acted upon, where the work goes on."""
    global _received
    _received = None


def status(error: KeyboardInterrupt) -> int:
    """Return the exit status of a command that ends for a signal: 128 and its number.

    Args:
        error: What the signal raised; some libraries, as Ray, raise an error of their own in its
            place.
    """
    if _received is not None:
        return 128 + _received
    return 128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


def _interrupt(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _replace(number: int, handler: Callable[[int, FrameType | None], None]) -> Any:
    """Set a handler where the default is set, or ours; return that one, else None."""
    if threading.current_thread() is not threading.main_thread():
        return None
    former = signal.getsignal(number)
    if former not in (*_DEFAULT, _end, _raise):
        return None
    signal.signal(number, handler)
    return former


def _end(number: int, _: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, _LINE)
    os._exit(128 + number)


def _raise(number: int, _: FrameType | None) -> None:
    global _received, _when
    now = time.monotonic()
    if _received is not None and now - _when < PATIENCE:
        return
    again = _received is not None
    _received, _when = number, now
    if again or not _deferring:
        raise _interrupt(number)


def _told_of(hook: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return a hook that says nothing of an interrupt which a library's callback has swallowed."""

    def told(raised: Any) -> None:
        if not issubclass(raised.exc_type, KeyboardInterrupt):
            hook(raised)

    return told
