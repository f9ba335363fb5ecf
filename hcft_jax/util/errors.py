"""The exceptions for a user's mistake, and how commands report them."""

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec

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


def report(error: InputError) -> int:
    """Print an error as a command does, a setting with its flag; return the exit status 2."""
    dashes = "--" if isinstance(error, SettingError) else ""
    print(f"error: {dashes}{error}", file=sys.stderr)
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
                with _notes():
                    return function(argv, *args, **kwargs)
            except InputError as error:
                return report(error)
            except KeyboardInterrupt:
                print(interrupted, file=sys.stderr)
                return 130

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
