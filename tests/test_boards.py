"""Benchmarks, sweeps and evaluations from Python have the commands' results and no flags."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hcft_jax
from hcft_jax import boards
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation.results import write_boxes
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.errors import InputError
from tests.small import SMALL

TINY = Experiment("tiny", SMALL)
NAMES = ["synthetic-0", "synthetic-1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for seed in range(2):
        drawn = Synthetic(seed=seed, frames=5, height=64, width=80, target=(20, 20), motion=6.0)
        otb.write(synthetic(drawn), folder)
    return folder


def test_a_benchmark_has_the_numbers_of_its_summary(data: Path, tmp_path: Path) -> None:
    board = boards.run_benchmark(TINY, data, output_dir=tmp_path)
    assert list(board) == [*NAMES, "mean"]
    assert board.folder is not None
    content = json.loads((board.folder / "summary.json").read_text())
    for name, row in [*content["sequences"].items(), ("mean", content["mean"])]:
        assert board[name]["DP@20 (%)"] == 100 * row["dp20"]
        assert board[name]["AUC"] == row["auc"]
        assert board[name]["frames/s"] == row["fps"]
    first = board.folder / "ope" / "synthetic-0.txt"
    stamp = first.stat().st_mtime_ns
    again = boards.run_benchmark(
        TINY, data, output_dir=tmp_path, sequences="synthetic-0,synthetic-1"
    )
    assert again.rows == board.rows
    assert first.stat().st_mtime_ns == stamp  # kept


def test_what_fails_is_said_in_the_board(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    (broken / "synthetic-0").mkdir(parents=True)
    for path in (data / "synthetic-0").rglob("*.*"):
        copy = broken / path.relative_to(data)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    next((broken / "synthetic-0" / "img").glob("0003.*")).write_bytes(b"no image")
    board = boards.run_benchmark(TINY, broken, output_dir=tmp_path / "out")
    assert not len(board)
    assert "0003" in board.failed["synthetic-0"]


def test_a_sweep_is_set_against_its_first_setting(data: Path, tmp_path: Path) -> None:
    settings = hcft_jax.product(TINY, eta=(0.01, 0.9))
    board = boards.run_sweep(settings, data, output_dir=tmp_path)
    assert list(board) == ["tiny", "tiny,eta=0.9"]
    content = json.loads((tmp_path / "sweep.json").read_text())["protocols"]["ope"]["measures"]
    for setting in board:
        assert board[setting]["AUC"] == content[setting]["auc"]["mean"]
    low, high = content["tiny,eta=0.9"]["auc"]["difference_interval"]
    row = board["tiny,eta=0.9"]
    assert (row["AUC, from"], row["AUC, to"]) == (low, high)


def test_an_evaluation_is_of_what_all_trackers_have(tmp_path: Path) -> None:
    (tmp_path / "anno").mkdir()
    header = "name,startFrame,endFrame,frames,TB50,CVPR13,IV,SV,OCC,DEF,MB,FM,IPR,OPR,OV,BC,LR"
    lines = [header]
    truth = np.tile([20.0, 20, 10, 10], (4, 1))
    for name in ("One", "Two"):
        np.savetxt(tmp_path / "anno" / f"{name}.txt", truth + 1, "%d", delimiter=",")
        lines.append(f"{name},1,4,4,1,1" + ",0" * 11)
    (tmp_path / "attributes.csv").write_text("\n".join(lines) + "\n")
    for name in ("One", "Two"):
        write_boxes(tmp_path / "results" / "whole" / f"{name}.txt", truth)
    write_boxes(tmp_path / "results" / "half" / "One.txt", truth + np.array([0.0, 40, 0, 0]))
    board = boards.evaluate(tmp_path / "results", tmp_path)
    assert (board["whole"]["n"], board["whole"]["DP@20 (%)"]) == (1, 100)
    assert (board["half"]["n"], board["half"]["DP@20 (%)"]) == (1, 25)  # the first frame is given
    with pytest.raises(InputError, match="sequences: half has no result of Two"):
        boards.evaluate(tmp_path / "results", tmp_path, sequences="One,Two")
    with pytest.raises(InputError, match=r"has no 'Onne'.*One"):
        boards.evaluate(tmp_path / "results", tmp_path, sequences="Onne")


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (lambda: boards.run_benchmark("no_such"), "no_such"),
        (lambda: boards.run_benchmark(3), "config: it must be a name, a file or an Experiment"),  # type: ignore[arg-type]
        (lambda: boards.run_benchmark("video"), "config: video tracks a video"),
        (lambda: boards.run_benchmark(TINY, "none", etta=1), "etta"),
        (lambda: boards.run_benchmark(TINY, protocol="opp"), "protocol: no 'opp'"),
        (lambda: boards.run_sweep([3], "none"), "sweep: it must be"),  # type: ignore[list-item]
        (lambda: boards.evaluate("none", "none"), "none"),
    ],
)
def test_mistakes_are_one_line(call: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


KERNEL = """
import sys, nbformat
from nbclient import NotebookClient
cells = [
    "import hcft_jax; from tests.test_boards import TINY",
    f"hcft_jax.run_benchmark(TINY, {sys.argv[1]!r}, output_dir={sys.argv[2]!r})",
    "from tests.test_answers import TRACK; TRACK.plot()",
    "from hcft_jax import main; main.main([]), main.main(['hcft', '--etta=1'])",
]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
(shown,) = [o for o in notebook.cells[1].outputs if o.output_type == "execute_result"]
print(shown.data["text/html"])
print([o.text if o.output_type == "stream" else o.data for o in notebook.cells[3].outputs])
print([o.data.keys() for o in notebook.cells[2].outputs])
print({kind for o in notebook.cells[1].outputs if "data" in o for kind in o.data})
"""


def test_a_notebook_runs_a_benchmark_and_shows_its_table(data: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KERNEL, str(data), str(tmp_path)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "<td>synthetic-1</td>" in done.stdout
    assert "application/vnd.jupyter.widget-view+json" in done.stdout  # its progress
    assert "--data_dir: name the folder" in done.stdout
    assert "--etta: unknown flag; did you mean --eta?" in done.stdout
    assert "'image/png'" in done.stdout  # the figure
    assert "'(2, 2)'" in done.stdout
