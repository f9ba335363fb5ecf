"""The exceptions for a user's mistake, and how commands report them."""

import functools
import re
import sys
from collections.abc import Callable
from typing import Concatenate, ParamSpec

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


def report(error: InputError) -> int:
    """Print an error as a command does, a setting with its flag; return the exit status 2."""
    dashes = "--" if isinstance(error, SettingError) else ""
    # a path may have line ends, and what else a terminal would obey
    line = re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda match: repr(match[0])[1:-1], str(error))
    if len(line) > 2 * _END:  # a value of any length may be in it
        line = f"{line[:_END]} ... {line[-_END:]}"
    print(f"error: {dashes}{line}", file=sys.stderr)
    return 2


def command(interrupted: str = "interrupted") -> Callable[[_Main[_Given]], _Main[_Given]]:
    """Make a function of ``argv`` the main function of a command that understands flags only.

    It returns the exit status: the function's own; that of ``report`` for an ``InputError``; 130
    after the line ``interrupted``, which says what is kept, for Ctrl-C.
    """

    def of(function: _Main[_Given]) -> _Main[_Given]:
        @functools.wraps(function)
        def main(argv: list[str], *args: _Given.args, **kwargs: _Given.kwargs) -> int:
            try:
                if argv[1:]:
                    raise InputError(f"{argv[1]!r}: only flags (--name=value) are understood")
                return function(argv, *args, **kwargs)
            except InputError as error:
                return report(error)
            except OSError as error:  # of the system, wherever nobody has expected it
                place = error.filename or "the system"
                return report(InputError(f"{place}: {error.strerror or error}"))
            except KeyboardInterrupt:
                print(interrupted, file=sys.stderr)
                return 130

        return main

    return of
