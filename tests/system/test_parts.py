"""One command with parts: what it lists, what it passes on, and what the parts' flags mean."""

import importlib
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
from absl import flags

from hcft_jax import __main__ as hcft
from hcft_jax.util import entry
from hcft_jax.util.flag_groups import meaning_of, plain
from tests.commands import call

PARTS = hcft.parts()

pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # of other tests here

# Every --help and --version in one process; then what of the heavy packages is loaded.
ASKED = """
import contextlib, io, runpy, sys
from hcft_jax import __main__ as hcft

said = {}
for words in [[], ["--help"], ["--version"], *([p, f] for p in hcft.parts() for f in FLAGS)]:
    sys.argv = ["hcft", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        hcft.run()
    assert out.getvalue(), words
print(*sorted({"jax", "flax", "cv2", "matplotlib", "av", "h5py"} & set(sys.modules)))
"""


def module_of(part: str) -> Any:
    name = PARTS[part]
    package = importlib.util.find_spec(name)
    inside = package is not None and package.submodule_search_locations is not None
    return importlib.import_module(f"{name}.__main__" if inside else name)


def flags_of(part: str) -> flags.FlagValues:
    values = flags.FlagValues()
    module_of(part).define_flags(values)
    values.set_gnu_getopt()
    return values


def examples(part: str) -> list[str]:
    """The commands in a part's docstring."""
    joined = re.sub(r"\\\n\s*", "", plain(module_of(part).__doc__ or ""))
    return re.findall(r"^    (hcft .*)", joined, re.MULTILINE)


def started(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Start the command in this process; the status, output and error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hcft", *words])
        with pytest.raises(SystemExit) as end:
            hcft.run()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_the_parts_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = started(capsys)
    assert status == 0
    assert started(capsys, "--help")[1] == out
    for part in ("track", "video", "evaluate", "download", "weights", "sweep", "throughput"):
        assert re.search(rf"^  {part} +[A-Z][^`]{{20,}}\.$", out, re.MULTILINE), part


def test_no_help_and_no_version_loads_what_takes_time() -> None:
    code = ASKED.replace("FLAGS", '("--help", "--version")')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("part", PARTS)
def test_the_help_of_a_part_has_its_flags_in_groups_and_two_examples(
    part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = started(capsys, part, "--help")
    assert status == 0
    defined = flags_of(part)
    for title, group in defined.flags_by_module_dict().items():
        assert f"\n{title}\n" in out
        for flag in group:
            assert re.search(rf"^  --(\[no\])?{flag.name}\b", out, re.MULTILINE)
    assert len([line for line in examples(part) if line.startswith(f"hcft {part}")]) >= 2
    assert "``" not in out
    assert "::" not in out


@pytest.mark.parametrize("part", PARTS)
def test_the_examples_of_a_part_are_understood(part: str) -> None:
    for line in examples(part):
        _, name, *words = shlex.split(line, comments=True)
        flags_of(name)(["hcft", *words])


def test_a_flag_has_one_meaning_whatever_command_has_it() -> None:
    seen: dict[str, dict[str, str]] = {}
    for part in PARTS:
        defined = flags_of(part)
        for name in defined:
            flag = defined[name]
            seen.setdefault(name, {})[f"{flag.flag_type()}: {meaning_of(flag)}"] = part
    assert {name: of for name, of in seen.items() if len(of) > 1} == {}


@pytest.mark.parametrize("words", [["--version"], ["track", "--version"], ["--config=x", "--help"]])
def test_the_version_and_help_stand_anywhere(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = started(capsys, *words)
    assert (status, err) == (0, "")
    assert out == f"{entry.version()}\n" if words[-1] == "--version" else "--data_dir" in out


def test_a_part_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = "error: 'trak': no such part (did you mean track?); hcft --help lists them\n"
    assert started(capsys, "trak") == (2, "", line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["compare", "stray"], "error: 'stray': only flags (--name=value) are understood\n"),
        (["weights"], "error: give one of fetch, convert SOURCE DEST, check FILE\n"),
        (["weights", "check"], "error: check: give FILE, not none\n"),
        (["weights", "fetch", "x"], "error: fetch: give no files, not x\n"),
        (["download", "got10k"], "error: 'got10k': there is one data set, otb\n"),
    ],
)
def test_words_that_are_not_understood_are_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(module_of(words[0]), *words[1:]) == 2
    assert capsys.readouterr().err == line
