import csv
from pathlib import Path

import numpy as np
import pytest

from hcft_jax.evaluation import summary, tables
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.result_folders import Problem, Results
from hcft_jax.evaluation.summary import Evaluation
from hcft_jax.util.boxes import Boxes

# How far from the truth each tracker is, in pixels to the right, from frame 2 on.
OFF = {
    "near": {"One": 0, "Two-1": 5, "Two-2": 0, "Human4-2": 2, "Tiger1": 0},
    "far": {"One": 30, "Two-1": 0, "Two-2": 30, "Human4-2": 30, "Tiger1": 30},
}


def boxes(benchmark: Benchmark, off: dict[str, int]) -> dict[str, Boxes]:
    return {
        name: benchmark.targets[name].truth + np.array([pixels, 0, 0, 0])
        for name, pixels in off.items()
    }


@pytest.fixture
def whole(small: Benchmark) -> Evaluation:
    return summary.evaluate(Results({t: boxes(small, off) for t, off in OFF.items()}), small)


@pytest.fixture
def partial(small: Benchmark) -> Evaluation:
    """Tracker "far" has no Tiger1 and a bad Two-1, "none" has nothing that can be read."""
    everyone = {t: boxes(small, off) for t, off in OFF.items()} | {"none": {}}
    del everyone["far"]["Two-1"], everyone["far"]["Tiger1"]
    problems = [Problem("far", "Two-1", "Two-1.txt: bad"), Problem("far", None, "x.txt: foreign")]
    return summary.evaluate(Results(everyone, problems), small)


def test_the_summary_is_that_of_the_sequences(whole: Evaluation) -> None:
    content = summary.summary(whole)
    assert list(content) == ["near", "far"]  # best first
    assert list(content["far"]) == ["OTB100", "CVPR13", "TB50"]
    far = content["far"]["CVPR13"]  # One, Two-2, Tiger1: right in the first of 4, 6, 4 frames
    assert (far["n"], far["missing"], far["problems"]) == (3, [], [])
    assert far["dp20"] == pytest.approx((1 / 4 + 1 / 6 + 1 / 4) / 3)
    assert far["os50"] == pytest.approx((1 / 4 + 1 / 6 + 1 / 4) / 3)
    assert far["auc"] == pytest.approx((1 / 4 + 1 / 6 + 1 / 4) / 3 * 20 / 21)
    assert far["cle"] == pytest.approx(30 * (3 / 4 + 5 / 6 + 3 / 4) / 3)
    near = content["near"]["TB50"]  # One exactly, Two-1 half a width off: IoU 1/3 in 5 of 6
    assert near["dp20"] == 1
    assert near["os50"] == pytest.approx((1 + 1 / 6) / 2)
    assert near["auc"] == pytest.approx((20 / 21 + (20 / 6 + 5 * 7 / 6) / 21) / 2)
    assert near["norm_auc"] == pytest.approx((1 + (51 + 5 * 1) / 6 / 51) / 2)
    assert near["cle"] == pytest.approx(5 * 5 / 6 / 2)


def test_means_by_attribute_are_over_the_targets_that_have_it(whole: Evaluation) -> None:
    content = summary.by_attribute(whole)["near"]
    assert {a: of["n"] for a, of in content["OTB100"].items() if of["n"]} == {
        "IV": 1,
        "OCC": 3,
        "LR": 2,
    }
    assert content["OTB100"]["OCC"]["os50"] == pytest.approx((1 + 1 / 6 + 1) / 3)
    assert content["TB50"]["OCC"]["os50"] == pytest.approx((1 + 1 / 6) / 2)
    assert content["OTB100"]["LR"]["os50"] == 1
    assert content["OTB100"]["BC"] == {"n": 0} | dict.fromkeys(summary.MEASURES)


def test_an_incomplete_tracker_has_no_mean(partial: Evaluation) -> None:
    content = summary.summary(partial)
    of = content["far"]
    assert (of["OTB100"]["n"], of["OTB100"]["missing"]) == (3, ["Two-1", "Tiger1"])
    assert of["OTB100"]["problems"] == ["Two-1.txt: bad", "x.txt: foreign"]
    assert of["CVPR13"]["problems"] == ["x.txt: foreign"]
    for subset in ("OTB100", "CVPR13", "TB50"):
        assert [of[subset][m] for m in summary.MEASURES] == [None] * 5
    assert content["near"]["OTB100"]["dp20"] == 1
    assert content["none"]["OTB100"]["n"] == 0


def test_the_common_targets_are_a_subset_where_some_lack(
    partial: Evaluation, whole: Evaluation
) -> None:
    assert partial.subsets["common"] == ["One", "Two-2", "Human4-2"]
    content = summary.summary(partial)
    assert content["far"]["common"]["n"] == 3
    assert content["far"]["common"]["cle"] == pytest.approx(30 * (3 / 4 + 5 / 6 + 4 / 5) / 3)
    assert "common" not in whole.subsets
    assert list(partial.curves) == ["near", "far", "none"]


def test_intervals_are_of_complete_trackers_only(partial: Evaluation, whole: Evaluation) -> None:
    content = summary.intervals(partial, resamples=50)
    assert list(content["means"]["OTB100"]) == ["near"]
    assert content["differences"]["OTB100"] == {}
    assert list(content["differences"]["common"]["near"]) == ["far"]
    content = summary.intervals(whole, resamples=500)
    mean, low, high = content["differences"]["OTB100"]["near"]["far"]["cle"]
    assert low < mean < high
    assert mean == pytest.approx(
        summary.summary(whole)["near"]["OTB100"]["cle"]
        - summary.summary(whole)["far"]["OTB100"]["cle"]
    )
    low, high = content["means"]["OTB100"]["near"]["os50"]
    assert low < summary.summary(whole)["near"]["OTB100"]["os50"] < high
    assert content == summary.intervals(whole, resamples=500)


def test_curves_are_kept(whole: Evaluation) -> None:
    content = summary.mean_curves(whole)
    far = content["far"]["CVPR13"]
    assert [len(far[name]) for name in ("success", "precision", "normalised")] == [21, 51, 51]
    assert far["precision"][20] == summary.summary(whole)["far"]["CVPR13"]["dp20"]
    assert summary.by_sequence(whole)["far"]["Tiger1"]["frames"] == 4


def test_tables_say_what_the_summary_says(partial: Evaluation) -> None:
    content, intervals = summary.summary(partial), summary.intervals(partial, 50)
    table = tables.overall(partial, "OTB100", content, intervals)
    assert table.title == "One-pass evaluation, OTB-100 (5 targets)"
    assert [row[:3] for row in table.rows] == [
        ["near", "5", "100.00"],
        ["far", "3", "-"],
        ["none", "0", "-"],
    ]
    assert table.rows[0][3] == "100.0 to 100.0"
    table = tables.attributes(partial, "common", content, summary.by_attribute(partial), "auc")
    assert table.header[1] == "IV (1)"
    assert table.rows[0][1] == f"{20 / 21:.4f}"
    assert table.rows[0][2] == "-"  # no target has it


def test_tables_are_escaped() -> None:
    table = tables.Table("T", ["a|b", "x_%"], [["my_tracker", "1.0 to 2.0"], ["a,b", "-"]])
    assert tables.markdown(table).splitlines() == [
        "T",
        "",
        "| a\\|b | x_% |",
        "| --- | ---: |",
        "| my_tracker | 1.0 to 2.0 |",
        "| a,b | - |",
    ]
    assert "my\\_tracker & 1.0--2.0 \\\\\n" in tables.latex(table)
    assert "x\\_\\% \\\\\n" in tables.latex(table)
    assert tables.comma_separated(table).splitlines()[2] == '"a,b",-'


@pytest.mark.parametrize("name", ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-1+1", "\t=1", "\n-x"])
def test_a_spreadsheet_computes_nothing(name: str) -> None:
    numbers = ["-0.5", "-", "+3", "-1.0 to -0.5", "12"]
    table = tables.Table("T", [name, *"abcde"], [[name, *numbers]])
    for cells in csv.reader(tables.comma_separated(table).splitlines()):
        assert cells[0] == "'" + " ".join(name.split())
    assert cells[1:] == numbers


def test_names_are_no_commands_of_latex_and_no_new_lines() -> None:
    table = tables.Table("T\n\\input{x}", ["n"], [["a}\\input{/etc/passwd}~^\n\n%<x>|$"]])
    text = tables.latex(table)
    assert "% T \\input{x}\n" in text
    assert (
        "a\\}\\textbackslash{}input\\{/etc/passwd\\}\\textasciitilde{}\\textasciicircum{} "
        "\\%\\textless{}x\\textgreater{}\\textbar{}\\$ \\\\\n"
    ) in text
    assert len(tables.markdown(table).splitlines()) == 5
    assert len(tables.comma_separated(table).splitlines()) == 2


def test_a_name_that_is_not_utf_8_is_written_with_escapes(tmp_path: Path) -> None:
    tables.write(tables.Table("T", ["n"], [["a\udcff"]]), tmp_path / "t")
    assert "a\\udcff" in (tmp_path / "t.csv").read_text(encoding="utf-8")
