"""The flags of commands: in groups, as ``--help`` lists them, and each name with one meaning.

A command's ``define_flags`` makes groups and adds flags to them. It loads neither JAX nor OpenCV
nor matplotlib, since ``--help`` and ``--version`` answer at once.
"""

import inspect
import os
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from absl import flags

MEANINGS = {
    "annotations": "folder of annotations: anno/, attributes.csv, initOmit/; or any ground truth",
    "batch": "clips per step",
    "config": "the tracker and what goes with it: a shipped configuration's name, or a file.py",
    "data_dir": "folder of sequences, in any known layout",
    "drawn": "number of drawn sequences",
    "learning_rate": "highest learning rate of the optimiser",
    "max_frames": "the most frames of each sequence or video",
    "most": "photos that are used at most",
    "output": "the file to write",
    "output_dir": "folder to write to",
    "photos": "folder of photos, with its subfolders",
    "resamples": "bootstrap resamples",
    "results": "folders of results, in any layout that the evaluation reads",
    "seed": "seed of everything random",
    "sequences": "only these sequences; by default all",
    "sre_unscale": "judge SRE's boxes with the size divided by the factor they started with",
    "steps": "steps of the optimiser",
    "trackers": "names of the trackers to show, in this order",
    "url": "address of a mirror",
    "weights": "network weights file, or 'random'",
}
"""What flags mean that several commands have. A flag of one command has its meaning there."""

_VALUES = {"string": "TEXT", "int": "NUMBER", "float": "NUMBER", "enum": "NAME"}
_INDENT, _LEAST, _WIDEST = 26, 60, 100  # columns


class FlagGroup:
    """Flags that a command's help lists below one title."""

    def __init__(self, into: flags.FlagValues, title: str) -> None:
        """Take the title.

        Args:
            into: Where the flags go.
            title: Of the group.
        """
        self._more: dict[str, Any] = {"flag_values": into, "module_name": title}

    def text(
        self, name: str, default: str | None = None, *, meaning: str = "", shown: str = ""
    ) -> None:
        """Add a flag whose value is a text."""
        text = _help(name, meaning, shown or default)
        flags.DEFINE_string(name, default, text, **self._more)

    def whole(
        self, name: str, default: int | None = None, *, meaning: str = "", shown: str = ""
    ) -> None:
        """Add a flag whose value is a whole number."""
        text = _help(name, meaning, shown or default)
        flags.DEFINE_integer(name, default, text, **self._more)

    def real(
        self, name: str, default: float | None = None, *, meaning: str = "", shown: str = ""
    ) -> None:
        """Add a flag whose value is a number."""
        text = _help(name, meaning, shown or default)
        flags.DEFINE_float(name, default, text, **self._more)

    def switch(
        self, name: str, default: bool | None = False, *, meaning: str = "", shown: str = ""
    ) -> None:
        """Add a flag that is on or off: ``--name`` or ``--noname``."""
        text = _help(name, meaning, shown or ("on" if default else None))
        flags.DEFINE_bool(name, default, text, **self._more)

    def many(
        self,
        name: str,
        default: Sequence[str] | None = (),
        *,
        meaning: str = "",
        shown: str = "",
    ) -> None:
        """Add a flag whose values are separated by commas."""
        text = _help(name, meaning, shown or ",".join(default or ()))
        value = None if default is None else list(default)
        flags.DEFINE_list(name, value, text, **self._more)

    def one_of(
        self, name: str, default: str | None, choices: Sequence[str], *, meaning: str = ""
    ) -> None:
        """Add a flag whose value is one of ``choices``."""
        text = _help(name, meaning, default)
        flags.DEFINE_enum(name, default, choices, text, **self._more)

    def folders(self, name: str, *, meaning: str = "", shown: str = "") -> None:
        """Add a flag whose values are files or folders, separated by commas; see ``paths``."""
        text = _help(name, meaning, shown)
        flags.DEFINE(
            _Paths(), name, None, text, serializer=flags.CsvListSerializer(","), **self._more
        )


class _Paths(flags.ArgumentParser[list[str]]):
    """The value of a flag that names files or folders."""

    syntactic_help = "a comma separated list of files or folders"

    def parse(self, argument: Any) -> list[str]:
        return paths(argument) if isinstance(argument, str) else list(argument)

    def flag_type(self) -> str:
        return "comma separated list of paths"


def paths(text: str) -> list[str]:
    """Split a text at its commas into paths, but not at the commas that a path has itself.

    The folders of results have commas in their names (``hcft,eta=0.02-1f0c2a9b``): as many pieces
    are taken together as make a path that exists.

    Args:
        text: Paths, separated by commas.
    """
    pieces, found = text.split(","), list[str]()
    while pieces:
        joined = (",".join(pieces[:n]) for n in range(len(pieces), 1, -1))
        path = next(filter(os.path.exists, joined), pieces[0])
        found.append(path)
        pieces = pieces[path.count(",") + 1 :]
    return [path for path in map(str.strip, found) if path]


def meaning_of(flag: flags.Flag) -> str:
    """Return what a flag means: its help without the default."""
    return str(flag.help).rsplit(" [", 1)[0] if str(flag.help).endswith("]") else str(flag.help)


def plain(document: str) -> str:
    """Return a docstring without the marks of reStructuredText for code.

    Args:
        document: The docstring.
    """
    return inspect.cleandoc(document).replace("\n::\n", "").replace("::\n", ":\n").replace("``", "")


def help_of(document: str, defined: flags.FlagValues) -> str:
    """Return the help of a command.

    Args:
        document: The docstring of its module: what it does, with examples.
        defined: Its flags.
    """
    width = min(max(shutil.get_terminal_size().columns, _LEAST), _WIDEST)
    lines = [plain(document), "", "Flags, with their defaults in brackets:"]
    for title, group in defined.flags_by_module_dict().items():
        lines += ["", title]
        for flag in group:
            lines += _lines(flag, width)
    return "\n".join(lines)


def _lines(flag: flags.Flag, width: int) -> list[str]:
    """Return the lines of one flag: its name, and its help beside it or below."""
    kind = flag.flag_type()
    value = _VALUES.get(kind, "NAME" if "enum" in kind else "A,B,...")
    name = f"  --[no]{flag.name}" if kind == "bool" else f"  --{flag.name}={value}"
    body = textwrap.wrap(str(flag.help), width - _INDENT, break_on_hyphens=False)
    if len(name) > _INDENT - 2:
        return [name, *(" " * _INDENT + line for line in body)]
    return [name.ljust(_INDENT) + body[0], *(" " * _INDENT + line for line in body[1:])]


def _help(name: str, meaning: str, shown: Any) -> str:
    """Return the meaning of a flag and its default.

    Raises:
        ValueError: The flag has no meaning, or another one than in other commands.
    """
    text = MEANINGS.get(name, meaning)
    if not text or meaning not in ("", text):
        raise ValueError(f"--{name}: {meaning!r}; all commands have the meaning {text!r}")
    return text if shown in (None, "") else f"{text} [{shown}]"
