import numpy as np
import pytest

from experiments.exhibits import REMEDIES, NothingToShow, remedies
from hcft_jax.evaluation import result_folders
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.experiment import settings
from hcft_jax.util.errors import InputError
from tests.experiments.exhibits.conftest import Write, off

FIRST = {"layers": ["conv1_1"], "gamma": [1.0]}


def test_both_remedies_differ_from_the_original_as_the_paper_says() -> None:
    original = settings.load("hcft").tracker
    papers = (REMEDIES[name].config for name in ("first_layer", "slow_update"))
    first, slow = (settings.load(config).tracker for config in papers)
    assert set(first.layers) == {"conv1_1"}
    assert isinstance(slow.eta, float)
    assert isinstance(original.eta, float)
    assert 0 < slow.eta < original.eta
    assert settings.override(settings.load("hcft"), {"eta": slow.eta}).tracker == slow


def test_trackers_are_found_by_their_settings(small: Benchmark, write: Write) -> None:
    write("p", off(small, 30))
    write("q", off(small, 0), eta=0.005)
    folder = write("r", off(small, 2), **FIRST).parent
    origins = result_folders.load([folder], small).origins
    assert [remedies.find(origins, name) for name in ("hcft", "slow_update", "first_layer")] == [
        "p",
        "q",
        "r",
    ]
    with pytest.raises(NothingToShow, match="--config=c5"):
        remedies.find(origins, "c5")
    write("again", off(small, 0), eta=0.005, weights="others")
    with pytest.raises(InputError, match="again and q: both are slow_update"):
        remedies.find(result_folders.load([folder], small).origins, "slow_update")


def test_the_better_one_is_marked_and_errors_are_drawn(small: Benchmark, write: Write) -> None:
    truth = small.targets["One"].truth
    write("p", {"One": truth + np.array([30, 0, 0, 0]), "Two-1": small.targets["Two-1"].truth})
    folder = write("q", {"One": truth + np.array([0, 3, 0, 0])}, **FIRST).parent
    results = result_folders.load([folder], small)
    trackers = {"hcft": "p", "first_layer": "q"}
    held = remedies.shared(results, ["p", "q"], ["Two-1", "One", "Tiger1"])
    assert held == ["One"]
    table = remedies.table(results, small, trackers, held)
    assert [row[:4] for row in table.rows] == [
        ["One", "hcft", "4", "25.00"],
        ["One", "first_layer", "4", "100.00"],
    ]
    assert table.rows[1][6] == "2.25"  # 3 px in 3 of 4 frames
    assert table.places == {(1, column): 1 for column in (3, 4, 5, 6)}
    (axes,) = remedies.figure(results, small, trackers, held).axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), [0, 30, 30, 30])
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_ydata()), [0, 3, 3, 3])
    np.testing.assert_array_equal(axes.lines[1].get_xdata(), [1, 2, 3, 4])
    with pytest.raises(NothingToShow, match="Tiger1"):
        remedies.shared(results, ["p", "q"], ["Tiger1"])


def test_a_tie_marks_nobody(small: Benchmark, write: Write) -> None:
    write("p", off(small, 3))
    folder = write("q", off(small, 3), **FIRST).parent
    results = result_folders.load([folder], small)
    assert not remedies.table(results, small, {"a": "p", "b": "q"}, ["One"]).places
