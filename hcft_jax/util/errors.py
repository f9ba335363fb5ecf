"""The exceptions for a user's mistake, and how commands report them."""

import contextlib
import errno
import functools
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec

from hcft_jax.util import interrupts

_END = 600  # characters at each end of a long line
_Given = ParamSpec("_Given")
_Main = Callable[Concatenate[list[str], _Given], int]


class InputError(ValueError):
    """An error in the input: a file, folder, setting or value that the caller can correct.

    The message is one line that names the file, line or field and says what to do. Commands print
    it without a traceback and exit with status 2.
    """


class SettingError(InputError):
    """An error in a setting: the message names the field, and a command prints the flag.

    Attributes:
        field: The name of the field (``eta``).
        problem: What is wrong with it and what to do.
    """

    def __init__(self, field: str, problem: str) -> None:
        """Take the field's name and the problem."""
        super().__init__(field, problem)
        self.field, self.problem = field, problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class InputWarning(UserWarning):
    """A warning of input that is used, but may not be what was meant; one line, as of an error.

    Commands print each of them once, as a note.
    """


class StorageError(InputError):
    """An error of the place that results go to: every further file would fail as well.

    The disk or the quota is full, or the file system has become read-only. It ends a command, where
    another ``InputError`` is that of one sequence.
    """


_OF_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def of_storage(error: Exception, message: str) -> InputError:
    """Return the ``InputError``, or ``StorageError``, for a file that could not be written.

    Args:
        error: What the system or a library says.
        message: The line for the user, without the reason.
    """
    kind = StorageError if getattr(error, "errno", None) in _OF_STORAGE else InputError
    return kind(f"{message} ({getattr(error, 'strerror', None) or error})")


@contextlib.contextmanager
def foreign(problem: Callable[[str], InputError]) -> Iterator[None]:
    """Turn whatever a user's own code raises into an ``InputError``; Ctrl-C stays what it is.

    ``sys.exit()`` is one, too: it would end the command as if all were done.

    Args:
        problem: Makes the error from one line that says what was raised.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt):
        raise
    except BaseException as error:
        try:
            said = str(error)
        except Exception:
            said = "its message cannot be read"
        text = " ".join(f"{type(error).__name__}: {said}".split()).rstrip(":")
        raise problem(text) from error


def report(error: InputError) -> int:
    """Print an error as a command does, a setting with its flag; return the exit status 2."""
    dashes = "--" if isinstance(error, SettingError) else ""
    # a path may have line ends, and what else a terminal would obey
    line = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], str(error))
    if len(line) > 2 * _END:  # a value of any length may be in it
        line = f"{line[:_END]} ... {line[-_END:]}"
    print(f"error: {dashes}{line}", file=sys.stderr)
    return 2


def finish(work: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Do the work of a command and return its exit status.

    That is the status of the work; or that of ``report`` for an ``InputError``; or, after the line
    ``interrupted``, 130 for Ctrl-C and 143 for SIGTERM.

    Args:
        work: What is done; it returns a status.
        interrupted: What to say of an interrupted command: what is kept.
    """
    with interrupts.working():
        try:
            return work()
        except InputError as error:
            return report(error)
        except OSError as error:  # of the system, wherever nobody has expected it
            place = error.filename or "the system"
            return report(InputError(f"{place}: {error.strerror or error}"))
        except KeyboardInterrupt as error:
            print(interrupted, file=sys.stderr)
            return interrupts.status(error)


def command(interrupted: str = "interrupted") -> Callable[[_Main[_Given]], _Main[_Given]]:
    """Make a function of ``argv`` the main function of a command that understands flags only.

    It ends as ``finish`` says, with the line ``interrupted`` where it was.
    """

    def of(function: _Main[_Given]) -> _Main[_Given]:
        @functools.wraps(function)
        def main(argv: list[str], *args: _Given.args, **kwargs: _Given.kwargs) -> int:
            def work() -> int:
                if argv[1:]:
                    raise InputError(f"{argv[1]!r}: only flags (--name=value) are understood")
                with _notes():
                    return function(argv, *args, **kwargs)

            return finish(work, interrupted)

        return main

    return of


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Have each ``InputWarning`` printed once, as a note."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", InputWarning)
        others, said = warnings.showwarning, set[str]()

        def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, InputWarning):
                others(message, category, *where, **more)
            elif str(message) not in said:
                said.add(str(message))
                print(f"note: {message}", file=sys.stderr)

        warnings.showwarning = show
        yield
