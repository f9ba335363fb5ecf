import json
from pathlib import Path

import pytest

from hcft_jax.benchmark import benchmark, plan
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic
from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup

SMALL = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32)
DRAWN = Synthetic(frames=11, height=64, width=80, target=(20, 20), motion=12.0)


def test_experiments_without_a_folder_say_so() -> None:
    with pytest.raises(InputError, match="data_dir: name the folder"):
        plan.find(Experiment("x"))


@pytest.mark.parametrize("field", ["data_dir", "sequences"])
def test_a_drawn_sequence_needs_no_data(field: str) -> None:
    experiment = Experiment("demo", SMALL, synthetic=DRAWN, **{field: ("x",)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="config: demo draws its own sequence"):
        plan.find(experiment)


def test_results_are_where_the_summary_says(tmp_path: Path) -> None:
    experiment = Experiment("x", SMALL, synthetic=DRAWN, output_dir=str(tmp_path))
    outcome = benchmark.run(experiment, lookup.random())
    (folder,) = tmp_path.iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary["sequences"]) == set(outcome.rows("ope")) == {"synthetic-0"}
    row = summary["sequences"]["synthetic-0"]
    assert {"dp20", "os50", "auc", "cle", "fps", "frames", "compile_seconds"} <= set(row)
    assert summary["mean"]["dp20"] == row["dp20"]
    assert summary["device"]["platform"] == "cpu"
    assert summary["versions"]["jax"]
    assert summary["experiment"]["tracker"]["eta"] == 0.01
    assert len((folder / "ope" / "synthetic-0.txt").read_text().splitlines()) == 11


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("alex", "conv5 conv4 conv3"),
        ("alex_c5", "conv5"),
        ("alex_c4", "conv4"),
        ("alex_c3", "conv3"),
        ("alex_c5_c4", "conv5 conv4"),
        ("alex_c543", "conv5 conv4 conv3"),
    ],
)
def test_the_ablations_on_alexnet_run(tmp_path: Path, name: str, layers: str) -> None:
    drawn = Synthetic(frames=4, height=64, width=80, target=(20, 20), motion=12.0)
    changes = {"input_size": 67, "synthetic": drawn, "output_dir": str(tmp_path)}
    experiment = settings.override(settings.load(name), changes)
    assert experiment.tracker.layers == tuple(layers.split())
    assert experiment.tracker.hypercolumn == (name == "alex_c543")
    outcome = benchmark.run(experiment, lookup.random("alexnet"))
    summary = json.loads((outcome.folder / "summary.json").read_text())
    assert not outcome.failed
    assert summary["sequences"]["synthetic-0"]["frames"] == 4
    assert summary["sequences"]["synthetic-0"]["dp20"] == 1.0
    assert summary["experiment"]["tracker"]["backbone"] == "alexnet"
    assert summary["weights"]["architecture"]["groups"] == [1, 2, 1, 2, 2]
