"""The Python and console blocks of the documents, and how a test runs them as a reader would."""

import contextlib
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from absl import flags

from hcft_jax.__main__ import parts
from hcft_jax.util import entry

ROOT = Path(__file__).parents[2]
RUN = ("python", "sh")  # other languages of the documents (text, ini) are no code to run


@dataclass(frozen=True)
class Block:
    """A fenced block of a document."""

    page: str
    line: int
    language: str
    code: str
    reason: str | None  # why it is not run
    test: str | None  # the test that runs it, if it is another than tests/docs

    @property
    def where(self) -> str:
        """The file and line, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The path that its first line names (``# my/config.py``): it is to be such a file."""
        match = re.match(r"# ([\w/]+\.py)$", self.code.partition("\n")[0])
        return match[1] if match else None

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without comments."""
        lines = self.code.replace("\\\n", " ").splitlines()
        split = (shlex.split(line, comments=True) for line in lines)
        return [words for words in split if words]


def pages() -> list[str]:
    """The documents that have such blocks."""
    found = [ROOT / name for name in ("README.md", "WORKSPACE.md", "CONTRIBUTING.md")]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [str(p.relative_to(ROOT)) for p in found if blocks(str(p.relative_to(ROOT)))]


def blocks(page: str) -> list[Block]:
    """The Python and console blocks of a page, in their order."""
    found: list[Block] = []
    language, start, inside = "", 0, list[str]()
    marks = dict[str, str | None].fromkeys(("not run", "run by"))
    for number, line in enumerate((ROOT / page).read_text(encoding="utf-8").splitlines(), 1):
        fence = re.match(r"```(\S*)", line)
        if not language and fence:
            language, start, inside = fence[1] or "text", number, []
        elif language and line == "```":
            if language in RUN:
                code, of = "\n".join(inside), marks.values()
                found.append(Block(page, start, language, code, *of))
            language, marks = "", dict.fromkeys(marks)
        elif language:
            inside.append(line)
        elif line.strip():
            mark = re.fullmatch(r"<!-- (not run|run by): (.+) -->", line)
            marks = dict.fromkeys(marks) | ({mark[1]: mark[2]} if mark else {})
    assert not language, f"{page}: a block is not closed"
    return found


@contextlib.contextmanager
def own_flags() -> Iterator[None]:
    """A process's flags as at its start; those of the tests come back afterwards."""
    state: dict[str, Any] = flags.FLAGS.__dict__
    kept = dict(state)
    state.clear()
    state.update(flags.FlagValues().__dict__)
    try:
        yield
    finally:
        state.clear()
        state.update(kept)


class Parsed(Exception):
    """The arguments of a command were understood; no more was asked for."""


def module(words: Sequence[str]) -> tuple[str, list[str]]:
    """The module of a command, ``python -m module ...`` or ``hcft part ...``, and its arguments."""
    if words[0] == "hcft":
        return parts()[words[1]], list(words[2:])
    return words[2], list(words[3:])


def is_ours(words: Sequence[str]) -> bool:
    """Whether a command is one that ``execute`` runs."""
    return words[:2] == ["python", "-m"] or words[0] == "hcft"


def execute(words: Sequence[str], *more: str, only_parse: bool = False) -> int:
    """Run ``python -m module ...`` or ``hcft part ...`` in this process.

    Args:
        words: The command.
        *more: Further flags, which go over the command's own.
        only_parse: Whether it ends when its flags are understood.

    Returns:
        The exit status.
    """
    name, given = module(words)
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{name}.__main__")
    assert spec is not None, f"no module {name}"
    assert spec.loader is not None
    code = spec.loader.get_code(spec.name)  # type: ignore[attr-defined]
    space = {"__name__": "__main__", "__package__": spec.parent, "__spec__": spec}

    def run(main: Any, define: Any) -> None:
        define(flags.FLAGS)
        flags.FLAGS.set_gnu_getopt()
        rest = flags.FLAGS(sys.argv)
        raise Parsed if only_parse else SystemExit(main(rest))

    with pytest.MonkeyPatch.context() as patch, own_flags():
        patch.setattr(sys, "argv", [name, *given, *more])
        patch.setattr(entry, "run", run)
        try:
            exec(code, space)
        except Parsed:
            return 0
        except SystemExit as end:
            return int(end.code or 0)
    return 0
