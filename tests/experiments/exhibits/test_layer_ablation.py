from pathlib import Path

import numpy as np
import pytest

from experiments.exhibits import NothingToShow, folders, layer_ablation
from hcft_jax.evaluation import bootstrap, result_folders
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.experiment.settings import load
from hcft_jax.util.errors import InputError
from tests.experiments.exhibits.conftest import Write, off

SINGLE = {f"C{block}": {"layers": [f"conv{block}_4"], "gamma": [1.0]} for block in (5, 4, 3)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c5", "C5"),
        ("c4", "C4"),
        ("c3", "C3"),
        ("c5_c4", "C5-C4"),
        ("c543", "C543"),
        ("hcft", "all"),
        ("cf2", "all"),
        ("first_layer", None),
    ],
)
def test_shipped_configurations_are_recognised(name: str, expected: str | None) -> None:
    assert layer_ablation.row(folders.normalised(vars(load(name).tracker))) == expected


@pytest.mark.parametrize(
    ("layers", "hypercolumn", "expected"),
    [
        (["conv5"], False, "C5"),  # AlexNet's names
        (["conv3", "conv5", "conv4"], True, "C543"),
        (["conv4_4", "conv5_4"], False, "C5-C4"),
        (["conv4_4", "conv5_4"], True, None),
        (["conv5_1"], False, None),
        (["conv5_4", "conv5_3"], False, None),
        (["conv3_4"], True, "C3"),
    ],
)
def test_rows_go_by_blocks(layers: list[str], hypercolumn: bool, expected: str | None) -> None:
    assert layer_ablation.row({"layers": layers, "hypercolumn": hypercolumn}) == expected


def write_all(small: Benchmark, write: Write) -> Path:
    """Write rows of two networks, under names that say nothing, and folders that are no rows."""
    write("p", off(small, 0))
    write("q", off(small, 4, "Human4-2"), **SINGLE["C5"])
    write("r", off(small, 9), **SINGLE["C3"])
    write("cf2", off(small, 1), update="cf2")
    write("s", off(small, 2), backbone="alexnet", layers=["conv5", "conv4", "conv3"])
    write("t", off(small, 3), backbone="alexnet", layers=["conv4"], gamma=[1.0])
    write("other", off(small, 3), layers=["conv1_2"], gamma=[1.0])
    return write("u", off(small, 5), update="cf2", **SINGLE["C4"]).parent


def test_rows_differ_in_their_features_alone(small: Benchmark, write: Write) -> None:
    results = result_folders.load([write_all(small, write)], small)
    rows = layer_ablation.find(results.origins)
    assert rows == {
        "VGG-19 C5": "q",
        "VGG-19 C3": "r",
        "VGG-19 all": "p",
        "AlexNet C4": "t",
        "AlexNet all": "s",
    }
    assert list(rows) == ["VGG-19 C5", "VGG-19 C3", "VGG-19 all", "AlexNet C4", "AlexNet all"]


def test_other_weights_are_not_compared(small: Benchmark, write: Write) -> None:
    write("p", off(small, 0))
    folder = write("q", off(small, 4), weights="others", **SINGLE["C5"]).parent
    with pytest.raises(NothingToShow, match="no features to compare"):
        layer_ablation.evaluate(result_folders.load([folder], small), small)


def test_two_of_one_row_are_refused(small: Benchmark, write: Write) -> None:
    write_all(small, write)
    folder = write("again", off(small, 0), gamma=[1.0, 1.0, 1.0]).parent
    with pytest.raises(InputError, match="again and p: both are VGG-19 all"):
        layer_ablation.find(result_folders.load([folder], small).origins)


def test_only_the_targets_that_all_have_count(small: Benchmark, write: Write) -> None:
    results = result_folders.load([write_all(small, write)], small)
    evaluation = layer_ablation.evaluate(results, small)
    assert evaluation.subsets == {"common": ["One", "Two-1", "Two-2", "Tiger1"]}
    assert layer_ablation.title(evaluation) == "Features, 4 of 5 targets"
    figure = layer_ablation.figure7(evaluation)
    assert [len(axes.lines) for axes in figure.axes] == [5, 5]
    assert all("4 of 5 targets" in axes.get_title() for axes in figure.axes)
    write("p", {})
    for path in (tmp := write("p", {}) / "ope").iterdir():
        path.unlink()
    np.savetxt(tmp / "Human4-2.txt", small.targets["Human4-2"].truth, delimiter=",")
    with pytest.raises(NothingToShow, match="no target that all of them have"):
        layer_ablation.evaluate(result_folders.load([tmp.parent.parent], small), small)


def test_differences_are_paired_and_to_the_same_network(small: Benchmark, write: Write) -> None:
    evaluation = layer_ablation.evaluate(
        result_folders.load([write_all(small, write)], small), small
    )
    table = layer_ablation.table7(evaluation, resamples=200, seed=3)
    assert table.header[1:5] == ["DP@20 (%)", "95 % interval", "minus all", "95 % interval"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["VGG-19 all"][2:4] == rows["AlexNet all"][2:4] == ["-", "-"]
    targets = evaluation.subsets["common"]
    for label, reference in (("VGG-19 C5", "VGG-19 all"), ("AlexNet C4", "AlexNet all")):
        one, other = (
            np.array([evaluation.curves[tracker][name].auc for name in targets])
            for tracker in (label, reference)
        )
        drawn = bootstrap.draws(len(targets), 200, 3)
        low, high = np.percentile((one - other)[drawn].mean(axis=1), [2.5, 97.5])
        assert rows[label][8:] == [
            f"{one.mean():.4f}",
            rows[label][9],
            f"{(one - other).mean():.4f}",
            f"{low:.3f} to {high:.3f}",
        ]
