"""The command that makes all exhibits."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags

from experiments.exhibits import __main__ as exhibits
from experiments.exhibits import catalogue
from hcft_jax.data import otb
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.util.boxes import from_file
from hcft_jax.util.errors import InputError
from tests.experiments.exhibits.conftest import Write, off


class Noise:
    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Frame:
        return np.random.default_rng(index).integers(0, 255, (80, 120, 3), np.uint8)

    def label(self, index: int) -> str:
        return f"frame {index}"


def run(given: dict[str, Any], **more: Any) -> int:
    values = flags.FlagValues()
    exhibits.define_flags(values)
    both = given | more
    values(
        ["exhibits", *(f"--{flag}={value}" for flag, value in both.items() if value is not None)]
    )
    return catalogue.run(values)


@pytest.fixture
def given(small: Benchmark, folder: Path, write: Write, tmp_path: Path) -> dict[str, Any]:
    """Write results of three configurations on all targets, and frames of two sequences."""
    write("p", off(small, 3))
    write("q", off(small, 0), eta=0.005)
    results = write("r", off(small, 9), layers=["conv5_4"], gamma=[1.0]).parent
    for name in ("One", "Human4-2"):
        target = small.targets[name]
        boxes = from_file(target.truth)
        frames = Noise(len(boxes))
        otb.write(Sequence(name, frames, boxes, target.first_frame), tmp_path / "data")
    return {
        "results": results,
        "annotations": folder,
        "data_dir": tmp_path / "data",
        "output_dir": tmp_path / "out",
        "resamples": 50,
    }


Stderr = pytest.CaptureFixture[str]


def test_all_that_is_possible_is_made(given: dict[str, Any], capsys: Stderr) -> None:
    status = run(
        given,
        only="table1,figure5,figure6,figure7,figure8,figure9,remedies",
        attributes="OCC",
        figure8="One,human4.2:12:15",
        figure9="Human4-2",
        slow_update="One,Two-1",
        first_layer="One",
    )
    assert capsys.readouterr().err.splitlines() == [
        "error: remedies: no results of first_layer: python -m hcft_jax.main --config=first_layer; "
        "no results of hcft_plus: python -m hcft_jax.main --config=hcft_plus"
    ]
    assert status == 1
    names = {path.name for path in given["output_dir"].iterdir()}
    table, picture = ("md", "tex", "csv"), ("png", "pdf")
    subsets, kinds = ("OTB100", "CVPR13", "TB50"), ("success", "precision")
    assert names == {
        *(f"{stem}.{e}" for stem in ("table1", "figure7", "remedy_slow_update") for e in table),
        *(f"{stem}.{e}" for stem in ("figure7", "figure8", "figure9") for e in picture),
        *(f"remedy_slow_update.{e}" for e in picture),
        *(f"figure5_{s}.{e}" for s in subsets for e in picture),
        *(f"figure6_{s}_{k}.{e}" for s in subsets for k in kinds for e in picture),
    }


def test_what_is_missing_is_a_note_unless_it_was_asked_for(
    given: dict[str, Any], capsys: Stderr
) -> None:
    status = run(given, data_dir=None, weights="random", trackers="q,p", attributes="OCC")
    assert status == 0
    notes = capsys.readouterr().err.splitlines()
    assert [note.split(": ")[:2] for note in notes] == [
        ["note", name] for name in ("figure4", "figure8", "figure9", "remedies")
    ]
    assert "not made without --data_dir" in notes[0]
    rows = (given["output_dir"] / "table1.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["q", "p"]
    assert (given["output_dir"] / "figure2.png").exists()


def test_figure_4_needs_no_results(given: dict[str, Any]) -> None:
    assert run(given, results=None, only="figure4", figure4="Human4-2:12", weights="random") == 0
    assert (given["output_dir"] / "figure4.pdf").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"only": "figure3"}, "--only: no 'figure3', there are table1"),
        ({"only": "table1", "results": None}, "--results: must be given for table1"),
        ({"only": "figure8", "data_dir": None}, "--data_dir: must be given for figure8"),
        ({"output_dir": None}, "--output_dir: must be given"),
        ({"trackers": "KCF"}, "--trackers: no 'KCF', there are p, q, r"),
        ({"attributes": "rain"}, "'rain': not an attribute"),
        ({"resamples": "0"}, "--resamples: 0"),
        ({"results": "absent"}, "absent: cannot list it"),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(
    changes: dict[str, Any], message: str, given: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=message):
        run(given, **changes)
    assert not given["output_dir"].exists()


def test_a_mistake_is_one_line_and_status_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments.exhibits", "--only=table2", "--output_dir=out"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: --only: no 'table2'")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("One:first", "'One:first': want SEQUENCE"),
        ("One:9", "One: frame 9 is not one of 1 to 4"),
        ("Bolt", "no sequence 'Bolt'"),
    ],
)
def test_frames_that_are_not_there_are_named(
    value: str, message: str, given: dict[str, Any], capsys: Stderr
) -> None:
    assert run(given, only="figure8", figure8=value) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: figure8: ")
    assert message in err


def test_damaged_results_are_an_error_and_the_others_go_on(
    given: dict[str, Any], capsys: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(catalogue.EXHIBITS, "figure2")  # a whole network's pass
    (given["results"] / "p" / "summary.json").write_text("{")
    (given["results"] / "q" / "ope" / "One.txt").write_text("1,2\n")
    given["data_dir"] = None
    assert run(given, trackers="r", attributes="LR") == 1
    err = capsys.readouterr().err
    assert "q/ope/One.txt, line 1" in err
    assert "error: figure7: " in err
    assert (given["output_dir"] / "figure5_OTB100.png").exists()
