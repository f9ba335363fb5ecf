"""The quickest of the commands is ended and given again; and what is wrong would be found."""

from importlib import import_module
from pathlib import Path

import pytest

from hcft_jax.util import entry

from . import chains
from .__main__ import main
from .chains import Cell, Tally
from .endings import ENDINGS, KILL
from .jobs import Job, prepared


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_download_that_is_ended_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--jobs=download", "--points=1"]) == 0
    table = capsys.readouterr().out
    count = len(ENDINGS) - table.count("not tried: full disk")
    assert f"{count} tried, {count} ended with equal files, 0 wrong" in table


def test_every_job_has_flags_that_its_command_has(tmp_path: Path) -> None:
    with prepared(tmp_path) as jobs:
        for job in jobs:
            module = import_module(job.module)
            if not hasattr(module, "define_flags"):  # a package
                module = import_module(f"{job.module}.__main__")
            define = module.define_flags
            entry.parsed(["hcft", *job.arguments, "--output_dir=out"], define)


def tried(how: str, tmp_path: Path) -> Tally:
    job = Job("careless", "tests.kills.careless", (f"--how={how}",))
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    clean = chains.undisturbed(job, tmp_path, environment)
    return Cell(job, KILL, clean, tmp_path, environment, seed=0).run(8)


def test_a_careful_command_is_equal(tmp_path: Path) -> None:
    tally = tried("in order", tmp_path)
    assert (tally.tried, tally.wrong) == (8, 0)


@pytest.mark.parametrize(
    ("how", "found"),
    [("in place", "half-written: "), ("again", "made again: "), ("left over", "left over")],
)
def test_a_careless_command_is_found(how: str, found: str, tmp_path: Path) -> None:
    tally = tried(how, tmp_path)
    assert any(found in line for line in tally.told)
