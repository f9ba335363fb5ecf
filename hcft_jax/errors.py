"""The one exception for a user's mistake, and how commands report it."""

import functools
import sys
from collections.abc import Callable
from typing import Concatenate, ParamSpec

_Given = ParamSpec("_Given")
_Main = Callable[Concatenate[list[str], _Given], int]


class InputError(Exception):
    """Bad input: a file, a folder, a flag or a value that the caller can mend.

    The message is one line that names the file, line or flag and says what to do. The command
    lines print it without a traceback and exit with status 2.
    """


def command(interrupted: str = "interrupted") -> Callable[[_Main[_Given]], _Main[_Given]]:
    """Makes a function of ``argv`` the main function of a command that understands flags only.

    It returns the exit status: the function's own; 2 and one line for an ``InputError``; 130 and
    the line ``interrupted``, which says what is kept, for Ctrl-C.
    """

    def of(function: _Main[_Given]) -> _Main[_Given]:
        @functools.wraps(function)
        def main(argv: list[str], *args: _Given.args, **kwargs: _Given.kwargs) -> int:
            try:
                if argv[1:]:
                    raise InputError(f"{argv[1]!r}: only flags (--name=value) are understood")
                return function(argv, *args, **kwargs)
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            except KeyboardInterrupt:
                print(interrupted, file=sys.stderr)
                return 130

        return main

    return of
