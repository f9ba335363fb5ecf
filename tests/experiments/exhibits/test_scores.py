from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.exhibits import EIGHT, NothingToShow, scores
from hcft_jax.evaluation import annotations, result_folders, summary, tables
from hcft_jax.evaluation.annotations import ATTRIBUTES, Benchmark
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.summary import Evaluation
from hcft_jax.util.errors import InputError
from tests.conftest import shared
from tests.experiments.exhibits.conftest import Write, off


def evaluation(small: Benchmark, **more: float) -> Evaluation:
    boxes = {tracker: off(small, pixels) for tracker, pixels in more.items()}
    return summary.evaluate(Results(boxes), small)


def legends(figure: Figure) -> list[list[str]]:
    found = []
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        found.append([text.get_text() for text in legend.get_texts()])
    return found


def test_table_1_has_every_measure_on_both_benchmarks(small: Benchmark, write: Write) -> None:
    write("fast", off(small, 2), speed=(100, 4.0))
    write("part", off(small, 30, "Human4-2"))
    results = result_folders.load([write("fast", {}).parent], small)
    table = scores.table1(summary.evaluate(results, small), results.origins)
    assert [h.split(",")[0] for h in table.header[1:]] == [
        title for title in ("DP@20 (%)", "OS@0.5 (%)", "CLE (px)", "frames/s") for _ in range(3)
    ]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["fast"][:3] == ["100.0"] * 3
    assert rows["fast"][9:] == ["25.0"] * 3
    assert rows["part"][1] == rows["part"][10] == "-"  # it lacks one of all targets, none of the 51
    assert rows["part"][0] == f"{100 * (1 / 4 + 1 / 6 + 1 / 4) / 3:.1f}"
    assert table.places[0, 1] == 1
    assert table.places[1, 1] == 2
    assert (1, 2) not in table.places
    assert not any(column >= 10 for _, column in table.places)


def test_smaller_errors_are_better() -> None:
    assert tables.places([3.0, None, 1.0, 2.0], largest=False) == {2: 1, 3: 2}
    assert tables.places([3.0, 3.0, 1.0], largest=True) == {0: 1, 1: 1, 2: 2}
    assert tables.places([None, None], largest=True) == {}


def test_places_are_bold_and_underlined() -> None:
    table = tables.Table("T", ["a", "b"], [["x_y", "1"], ["z", "2"]], {(0, 1): 2, (1, 1): 1})
    assert "| x_y | <u>1</u> |" in tables.markdown(table)
    assert "| z | **2** |" in tables.markdown(table)
    assert "x\\_y & \\underline{1} \\\\" in tables.latex(table)
    assert "z & \\textbf{2} \\\\" in tables.latex(table)
    assert tables.comma_separated(table) == "a,b\nx_y,1\nz,2\n"


def test_figure_5_has_a_column_for_each_protocol_that_somebody_has(small: Benchmark) -> None:
    ope, sre = evaluation(small, a=0, b=30), evaluation(small, b=30)
    none = summary.evaluate(Results({"a": off(small, 0, "One")}), small, "ope")
    figure = scores.figure5({"ope": ope, "sre": sre, "tre": none}, "OTB100")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        f"{kind} plots of {protocol}, OTB-100 (5 targets)"
        for kind in ("Success", "Precision")
        for protocol in ("OPE", "SRE")
    ]
    assert [len(of) for of in legends(figure)] == [2, 1, 2, 1]
    # a tracker looks the same in all plots
    assert figure.axes[0].lines[1].get_color() == figure.axes[1].lines[0].get_color()
    with pytest.raises(NothingToShow, match="OTB-100"):
        scores.figure5({"ope": none}, "OTB100")


@pytest.mark.parametrize("names", [["OCC", "LR", "BC"], ["occlusion", "Low Resolution", "bc"]])
def test_figure_6_is_over_the_targets_that_have_the_attribute(
    names: Sequence[str], small: Benchmark
) -> None:
    figure = scores.figure6(evaluation(small, a=0, b=30), "OTB100", names)
    # no target has background clutter
    assert [axes.get_title() for axes in figure.axes] == ["occlusion (3)", "low resolution (2)"]
    mean = np.mean([1 / 4, 1 / 6, 1 / 6]) * 20 / 21
    assert legends(figure)[0] == [f"a [{20 / 21:.3f}]", f"b [{mean:.3f}]"]


def test_the_default_is_the_papers_eight_attributes() -> None:
    assert len(EIGHT) == len(set(EIGHT)) == 8
    assert set(EIGHT) <= set(ATTRIBUTES)
    assert "LR" in EIGHT
    assert "OPR" not in EIGHT


def test_attributes_that_nobody_has_and_unknown_ones_are_told_apart(small: Benchmark) -> None:
    with pytest.raises(NothingToShow, match="BC"):
        scores.figure6(evaluation(small, a=0), "OTB100", ["BC"])
    with pytest.raises(InputError, match="'rain': not an attribute"):
        scores.figure6(evaluation(small, a=0), "OTB100", ["rain"])


def test_table_1_of_the_published_results_is_the_papers(tmp_path: Path) -> None:
    benchmark = annotations.load(shared("otb_meta"))
    for tracker in ("CF2", "MEEM"):
        for path in shared("published", "mat").glob(f"*_{tracker}.mat"):
            (tmp_path / path.name).symlink_to(path)
    results = result_folders.load([tmp_path], benchmark)
    table = scores.table1(summary.evaluate(results, benchmark), results.origins)
    assert table.title == "Table 1: CVPR 2013 (51 targets), OTB-100 (100 targets)"
    ours = ["CF2", "89.1", "83.7", "74.0", "65.5", "15.7", "22.8", "-", "-"]
    assert table.rows[0] == ours  # as the paper prints it
    assert {place for (row, _), place in table.places.items() if row == 0} == {1}
