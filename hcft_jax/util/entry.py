"""The way into every command: flags that are refused in one line, and streams that cannot stop it.

What a command has done must not be lost because nobody reads its last line. So a reader who leaves
(``| head``), a full disk, a closed stream and a terminal without the characters of a path do not
end the work: the line is dropped, or printed with escapes, and the status says what matters.
"""

import contextlib
import difflib
import errno
import io
import itertools
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from absl import app, flags

from hcft_jax.util.errors import InputError, report
from hcft_jax.util.flag_groups import help_of
from hcft_jax.util.version import __version__

HELP = ("--help", "-help", "-h", "-?", "--helpshort", "--helpfull")
VERSION = "--version"

# JAX reports every accelerator that is absent, Matplotlib the fonts that it has found, fontTools
# every glyph of a PDF
_LOUD = ("jax", "matplotlib", "fontTools")
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}
_UNREADABLE = (
    "invalid literal|could not convert|Exceeds the limit|Non-boolean"  # of Python and absl
)
_NEAR = 0.55  # how alike a flag must be to be meant: --results_dir is --output_dir
_SHOWN = 60  # characters of a value
_LINE = 300  # characters of what a library says


def run(main: Callable[[list[str]], int], define: Callable[[flags.FlagValues], None]) -> NoReturn:
    """Run the main function of a command with its flags parsed, and exit with its status.

    For ``--help`` and ``--version`` the function is not called, so that it can import what takes
    time.

    Args:
        main: Takes the arguments that are no flags, after the program's name (``errors.command``).
        define: Defines the command's flags.
    """
    guarded(lambda: _run(main, define))


def asked(arguments: Sequence[str], *flags_: str) -> bool:
    """Return whether one of some flags is among the arguments of a command.

    Args:
        arguments: After the name of the command.
        *flags_: The flags, with their dashes.
    """
    return any(a in flags_ for a in itertools.takewhile(lambda a: a != "--", arguments))


def version() -> str:
    """Return what ``--version`` prints."""
    return f"hcft_jax {__version__}"


def _run(main: Callable[[list[str]], int], define: Callable[[flags.FlagValues], None]) -> int:
    if asked(sys.argv[1:], VERSION):
        print(version())
    elif asked(sys.argv[1:], *HELP):
        values = flags.FlagValues()
        define(values)
        print(help_of(sys.modules[main.__module__].__doc__ or "", values))
    else:
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.WARNING)
        define(flags.FLAGS)
        flags.FLAGS.set_gnu_getopt()  # flags may stand after words
        app.run(main, flags_parser=_parsed)
    return 0


def guarded(function: Callable[[], object]) -> NoReturn:
    """Call a function with safe standard streams, and exit with the status that it returns.

    The status is 1 instead of 0 where the standard output could not be written, unless its reader
    has left.
    """
    output = _secured()
    try:
        status: object = function()
    except SystemExit as end:
        status = end.code
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    if output is not None and output.fault not in (None, errno.EPIPE):
        report(InputError(f"standard output: not written ({os.strerror(output.fault or 0)})"))
        status = status or 1
    sys.exit(status)  # type: ignore[arg-type]


class _Outlet(io.FileIO):
    """A standard stream that takes everything: from its first fault on it drops what it gets."""

    fault: int | None = None

    def write(self, content: Any, /) -> int:
        if self.fault is None:
            try:
                return super().write(content)
            except OSError as error:
                self.fault = error.errno
        return memoryview(content).nbytes


def _secured() -> _Outlet | None:
    """Put streams that cannot fail in the place of the standard ones; return the output's."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file would get its number, and what is printed
            os.open(os.devnull, os.O_RDWR)
    output, _ = _secure("stdout", 1), _secure("stderr", 2)
    return output


def _secure(name: str, number: int) -> _Outlet | None:
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        return None  # a program that runs us catches it
    terminal, encoding = False, "utf-8"
    if stream is not None:
        terminal, encoding = stream.isatty(), stream.encoding
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    outlet = _Outlet(number, "w", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=encoding,
        errors="backslashreplace",
        line_buffering=terminal or name == "stderr",
    )
    setattr(sys, name, text)
    setattr(sys, f"__{name}__", text)
    return outlet


def parsed(
    arguments: Sequence[str], define: Callable[[flags.FlagValues], None]
) -> tuple[list[str], flags.FlagValues]:
    """Parse the flags of a command that is called from Python; return what is left over, and them.

    Args:
        arguments: The program's name and the words after it; nothing is no word.
        define: Defines the command's flags.

    Raises:
        InputError: A flag is unknown or has no possible value.
    """
    values = flags.FlagValues()
    define(values)
    try:
        return list(values(at_home(arguments or ["hcft"]))), values
    except flags.Error as error:
        raise InputError(refusal(error, values)) from error


def _parsed(arguments: Sequence[str]) -> list[str]:
    """Parse the flags, or exit with one line in the words of this program."""
    try:
        return list(flags.FLAGS(at_home(arguments)))
    except flags.Error as error:
        sys.exit(report(InputError(refusal(error, flags.FLAGS))))


def at_home(arguments: Iterable[str]) -> list[str]:
    """Return arguments with the user's folder for ``~``, which no shell puts after ``=``.

    Args:
        arguments: Of a command; a value may be several, with commas between them.
    """
    return [re.sub(r"(^|=|,)(~[^/,]*)(?=/|,|$)", _home, argument) for argument in arguments]


def _home(match: re.Match[str]) -> str:
    return match[1] + os.path.expanduser(match[2])


def refusal(error: flags.Error, known: flags.FlagValues) -> str:
    """Return what is wrong with flags, in one line that begins with the flag.

    Args:
        error: What absl has found.
        known: The flags that there are.
    """
    said = " ".join(str(error).split())
    if isinstance(error, flags.UnrecognizedFlagError):
        return _unknown(str(error.flagname), known)
    if match := re.fullmatch(r"flag --(\w+)=(.*?): (.*)", said):
        name, value, reason = match.groups()
        kind = _KINDS.get(known[name].flag_type()) if name in known else None
        if reason.endswith("must have a value other than None."):
            return f"--{name}: must be given"
        if kind is not None and re.search(_UNREADABLE, reason):
            return f"--{name}: {value[:_SHOWN]!r} is not {kind}"
        return f"--{name}: {value[:_SHOWN]!r}: {reason}"[:_LINE]
    if match := re.search(r"[Mm]issing value for flag -{0,2}(\w+)", said):
        return f"--{match[1]}: the value is missing (--{match[1]}=...)"
    if match := re.search(r"flag -{0,2}(\w+)", said):
        return f"--{match[1]}: {said}"[:_LINE]
    return said.removeprefix("ERROR:: ")[:_LINE]


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, _NEAR)
    hint = f"did you mean --{close[0]}?" if close else "--help lists the flags"
    return f"--{name[:_SHOWN]}: unknown flag; {hint}"
