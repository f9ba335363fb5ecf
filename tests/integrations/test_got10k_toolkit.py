"""Our tracker in the unchanged GOT-10k toolkit (PyPI: got10k)."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.data import datasets, otb
from hcft_jax.data.layout import ListedTarget
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import metrics
from hcft_jax.util import boxes
from hcft_jax.util.names import key
from tests.conftest import LATER, shared

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("got10k") is None,
    reason="the GOT-10k toolkit is not installed (extra got10k; make test-slow installs it)",
)

CHEAP = """from hcft_jax.experiment.settings import derive


def get_config():
    return derive("hcft", layers=("conv2_2",), gamma=(1.0,), input_size=64)
"""

# The program that a user of the toolkit writes. Its warnings are not tested.
PROGRAM = """import sys
from got10k.experiments import ExperimentOTB
from hcft_jax.integrations.got10k_toolkit import HCFT

root, config, weights = sys.argv[1:]
experiment = ExperimentOTB(root, version=2015, result_dir="results", report_dir="reports")
experiment.run(HCFT(config, weights=weights))
experiment.report(["HCFT"])
"""


def names_of_the_benchmark() -> list[str]:
    """Return all folders that the toolkit looks for."""
    text = "from got10k.datasets import OTB; print(*OTB._OTB__otb15_seqs)"
    return run([sys.executable, "-c", text]).split()


def run(command: list[str], cwd: Path | None = None) -> str:
    environment = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def experiment(tmp_path: Path, sequences: Path, config: str, weights: str) -> dict[str, Any]:
    """Run ExperimentOTB on the sequences of a folder and return its report by sequence.

    The toolkit downloads the benchmark unless each of its sequences has a folder, and then takes
    those that have a ground truth: empty folders stand for the others.
    """
    root = tmp_path / "OTB"
    for name in names_of_the_benchmark():
        (root / name).mkdir(parents=True)
        if (sequences / name).is_dir():
            (root / name).rmdir()
            (root / name).symlink_to(sequences / name)
    run([sys.executable, "-c", PROGRAM, str(root), config, weights], cwd=tmp_path)
    report = tmp_path / "reports" / "OTB2015" / "HCFT" / "performance.json"
    seq_wise: dict[str, Any] = json.loads(report.read_text())["HCFT"]["seq_wise"]
    return seq_wise


def boxes_of(tmp_path: Path, name: str) -> boxes.Boxes:
    return boxes.parse(tmp_path / "results" / "OTB2015" / "HCFT" / f"{name}.txt")


def assert_agree(tmp_path: Path, report: dict[str, Any], targets: list[ListedTarget]) -> None:
    """Compare its report with ours of its result files, except for its known differences."""
    assert {key(name) for name in report} == {key(target.name) for target in targets}
    found = {key(name): name for name in report}
    for target in targets:
        name = found[key(target.name)]
        theirs = report[name]
        curves = metrics.curves(boxes_of(tmp_path, name), boxes.to_file(target.load().boxes))
        np.testing.assert_allclose(theirs["precision_curve"], curves.precision, atol=1e-12)
        # linspace rounds 5 of the 21 thresholds differently, and some frames are exactly on one
        np.testing.assert_allclose(theirs["success_curve"], curves.success, atol=0.04)
        assert abs(theirs["success_score"] - curves.auc) < 0.002
        # the threshold 0.5 and the frames at most 20 px away are the same in both
        assert theirs["success_rate"] == pytest.approx(curves.os50, abs=1e-12)
        assert theirs["precision_score"] == pytest.approx(curves.dp20, abs=1e-12)


def benchmark(tmp_path: Path, sequences: Path, config: str, weights: str, names: str) -> Path:
    """Track the same sequences by our own command and return the folder of its boxes."""
    command = [sys.executable, "-m", "hcft_jax.main", f"--config={config}"]
    command += [f"--data_dir={sequences}", f"--weights={weights}", f"--sequences={names}"]
    run([*command, f"--output_dir={tmp_path / 'ours'}"])
    (folder,) = (tmp_path / "ours").glob("*/ope")
    return folder


@pytest.mark.slow
def test_a_drawn_sequence_has_the_benchmarks_boxes(tmp_path: Path) -> None:
    drawn = synthetic(Synthetic(frames=12, height=64, width=80, target=(20, 20), motion=12.0))
    folder = otb.write(drawn, tmp_path / "data", image_format="jpg")
    folder.rename(tmp_path / "data" / "Deer")
    (tmp_path / "cheap.py").write_text(CHEAP)
    config = str(tmp_path / "cheap.py")
    report = experiment(tmp_path, tmp_path / "data", config, "random")
    targets = datasets.find(tmp_path / "data")
    assert_agree(tmp_path, report, targets)
    ours = boxes.parse(
        benchmark(tmp_path, tmp_path / "data", config, "random", "Deer") / "Deer.txt"
    )
    np.testing.assert_allclose(boxes_of(tmp_path, "Deer")[1:], ours[1:], atol=1e-3)


@pytest.mark.slow
def test_the_report_on_17_targets_agrees_with_ours(tmp_path: Path) -> None:
    sequences, weights = tmp_path / "data", str(shared("weights", "vgg19_imagenet.npz"))
    sequences.mkdir()
    for folder in shared("otb").iterdir():
        if folder.is_dir() and folder.name not in LATER:
            (sequences / folder.name).symlink_to(folder)
    (tmp_path / "cheap.py").write_text(CHEAP)
    config = str(tmp_path / "cheap.py")
    report = experiment(tmp_path, sequences, config, weights)
    targets = datasets.find(sequences)
    assert len(targets) == 17
    assert_agree(tmp_path, report, targets)
    folder = benchmark(tmp_path, sequences, config, weights, "Deer,Jogging")
    for ours, theirs in {
        "Deer": "Deer",
        "Jogging-1": "Jogging.1",
        "Jogging-2": "Jogging.2",
    }.items():
        tracked = boxes_of(tmp_path, theirs)
        np.testing.assert_allclose(tracked[1:], boxes.parse(folder / f"{ours}.txt")[1:], atol=1e-3)


@pytest.mark.slow
def test_the_whole_tracker_on_two_sequences(tmp_path: Path) -> None:
    weights = str(shared("weights", "vgg19_imagenet.npz"))
    for name in ("Deer", "Football1"):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(shared("otb", name))
    report = experiment(tmp_path, tmp_path / "data", "hcft", weights)
    assert_agree(tmp_path, report, datasets.find(tmp_path / "data"))
    assert report["Football1"]["precision_score"] == 1.0


@pytest.mark.slow
def test_a_tracker_of_the_toolkit_runs_in_our_benchmark(tmp_path: Path) -> None:
    drawn = synthetic(Synthetic(frames=6, height=64, width=80, target=(20, 20), motion=12.0))
    otb.write(drawn, tmp_path / "data")
    command = [sys.executable, "-m", "hcft_jax.main", f"--data_dir={tmp_path / 'data'}"]
    command += ["--tracker=got10k:got10k.trackers:IdentityTracker"]
    run([*command, f"--output_dir={tmp_path / 'out'}"])
    (path,) = tmp_path.glob("out/got10k_got10k.trackers_IdentityTracker-*/ope/synthetic-0.txt")
    still = np.broadcast_to(boxes.to_file(drawn.boxes[0]), (6, 4))
    np.testing.assert_allclose(boxes.parse(path), still, atol=1e-3)
