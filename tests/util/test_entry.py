"""How a command is entered and left, whatever its flags and streams are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from hcft_jax.util.entry import at_home, refusal

PROGRAM = """import pathlib, sys
from absl import flags
from hcft_jax.util import entry
from hcft_jax.util.errors import command

@command()
def main(argv):
    print("first line")
    print(flags.FLAGS.path)
    print("note: said", file=sys.stderr)
    pathlib.Path(flags.FLAGS.done).write_text("done")
    return flags.FLAGS.status

def define(into):
    flags.DEFINE_string("path", "plain", "", flag_values=into)
    flags.DEFINE_string("done", "done", "", flag_values=into)
    flags.DEFINE_integer("status", 0, "", flag_values=into)
    flags.DEFINE_float("eta", 0.0, "", flag_values=into)
    flags.DEFINE_float("share", 0.0, "", lower_bound=0.0, upper_bound=1.0, flag_values=into)
    flags.DEFINE_enum("kind", "a", ["a", "b"], "", flag_values=into)
    flags.DEFINE_bool("overlay", False, "", flag_values=into)
    flags.DEFINE_string("output_dir", None, "", flag_values=into)

entry.run(main, define)
"""


def run(folder: Path, *words: str, shell: str = "", **environment: str) -> tuple[int, str, str]:
    """Run the program, in a shell where it is redirected; the status, output and error."""
    (folder / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py", *words]
    if shell:
        command = ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *command]
    done = subprocess.run(command, cwd=folder, capture_output=True, env=os.environ | environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("--results_dir=x", "--results_dir: unknown flag; did you mean --output_dir?"),
        ("--zzz", "--zzz: unknown flag; --help lists the flags"),
        ("--status=1.5", "--status: '1.5' is not a whole number"),
        ("--status=" + "1" * 5000, f"--status: '{'1' * 60}' is not a whole number"),
        ("--eta=\n", "--eta: ' ' is not a number"),
        ("--overlay=maybe", "--overlay: 'maybe' is not true or false"),
        ("--share=1.5", "--share: '1.5': 1.5 is not a number in the range [0.0, 1.0]"),
        ("--kind=c", "--kind: 'c': value should be one of <a|b>"),
        ("--path", "--path: the value is missing (--path=...)"),
        ("--flagfile=absent", "Unable to open flagfile: [Errno 2] No such file or directory: "),
        ("stray", "'stray': only flags (--name=value) are understood"),
    ],
)
def test_a_wrong_flag_is_one_line_that_begins_with_it(flag: str, line: str, tmp_path: Path) -> None:
    status, output, said = run(tmp_path, flag)
    assert (status, output) == (2, "")
    assert said.startswith(f"error: {line}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("shell", "status", "said"),
    [
        ("| true", 0, "note: said\n"),
        (">&-", 0, "note: said\n"),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        (
            ">/dev/full",
            1,
            "note: said\nerror: standard output: not written (No space left on device)\n",
        ),
        ("> /dev/full 2>&1", 1, ""),
    ],
)
def test_no_stream_stops_the_work(shell: str, status: int, said: str, tmp_path: Path) -> None:
    if "full" in shell and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    got = run(tmp_path, shell=shell)
    assert (got[0], got[2]) == (status, said)
    assert (tmp_path / "done").read_text() == "done"


def test_what_fails_fails_also_where_nobody_reads(tmp_path: Path) -> None:
    assert run(tmp_path, "--status=3", shell="| true")[0] == 3


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {},
    ],
)
def test_a_terminal_without_the_characters_gets_escapes(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path = os.fsdecode("/\u6a21\u578b/".encode() + b"\xff")
    status, output, said = run(tmp_path, f"--path={path}", **environment)
    assert (status, said) == (0, "note: said\n")
    assert output.splitlines()[1].endswith("/\\udcff")


def test_a_flag_that_is_needed_is_named() -> None:
    known = flags.FlagValues()
    flags.DEFINE_string("data_dir", None, "", flag_values=known, required=True)
    with pytest.raises(flags.Error) as raised:
        known(["program"])
    assert refusal(raised.value, known) == "--data_dir: must be given"


def test_the_folder_of_the_user_is_found_after_an_equals_sign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    given = [
        "main",
        "--data_dir=~/OTB",
        "--results=~/a,b,~/c",
        "--x=~",
        "~/y",
        "--z=a~/b,~a~b",
        "~~",
    ]
    assert at_home(given) == [
        *("main", "--data_dir=/home/me/OTB", "--results=/home/me/a,b,/home/me/c", "--x=/home/me"),
        *("/home/me/y", "--z=a~/b,~a~b", "~~"),
    ]
