"""The quickest of the commands is ended and given again; and what is wrong would be found."""

from pathlib import Path

import pytest

from . import chains
from .__main__ import main
from .chains import Cell, Tally
from .endings import ENDINGS, FULL, KILL, Ending, no_disk
from .jobs import Job


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("ending", ENDINGS, ids=[ending.name for ending in ENDINGS])
def test_a_download_that_is_ended_goes_on(
    ending: Ending, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if ending is FULL and (why := no_disk(tmp_path)):
        pytest.skip(why)
    assert main(["--jobs=download", f"--endings={ending.name}", "--points=2"]) == 0
    table = capsys.readouterr().out
    assert "2 tried, 2 ended with equal files, 0 wrong" in table


def tried(how: str, ending: Ending, tmp_path: Path, points: int = 8) -> Tally:
    job = Job("careless", "tests.kills.careless", (f"--how={how}",))
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    clean = chains.undisturbed(job, tmp_path, environment)
    return Cell(job, ending, clean, tmp_path, environment, seed=0).run(points)


def test_a_careful_command_is_equal(tmp_path: Path) -> None:
    tally = tried("in order", KILL, tmp_path)
    assert (tally.tried, tally.wrong) == (8, 0)


@pytest.mark.parametrize(
    ("how", "found"),
    [("in place", "half-written: "), ("again", "made again: "), ("left over", "left over")],
)
def test_a_careless_command_is_found(how: str, found: str, tmp_path: Path) -> None:
    tally = tried(how, KILL, tmp_path)
    assert any(found in line for line in tally.told)
