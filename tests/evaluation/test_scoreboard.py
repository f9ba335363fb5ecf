"""A scoreboard shows its numbers, and gives them to go on with."""

from pathlib import Path

import pandas
import pytest

from hcft_jax.evaluation.scoreboard import Scoreboard

BOARD = Scoreboard(
    "kcf, one-pass evaluation",
    {
        "Deer": {"DP@20 (%)": 81.6901, "AUC": 0.61174, "n": 71},
        "<b>|=1+1": {"DP@20 (%)": None, "AUC": 0.5, "n": 2},
    },
    failed={"Girl": "0007.jpg: cannot be read"},
)


def test_it_prints_aligned_rows_and_what_failed() -> None:
    assert str(BOARD).splitlines() == [
        "kcf, one-pass evaluation",
        "",
        "Sequence  DP@20 (%)     AUC   n",
        "Deer          81.69  0.6117  71",
        "<b>|=1+1          -  0.5000   2",
        "failed: Girl: 0007.jpg: cannot be read",
    ]


def test_a_notebook_shows_a_table_without_the_markup_of_names() -> None:
    shown = BOARD._repr_html_()
    assert shown.count("<tr>") == 3
    assert "<td>81.69</td>" in shown
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
    assert "Girl: 0007.jpg" in shown


def test_rows_are_found_by_name_in_full_precision() -> None:
    assert BOARD["Deer"]["AUC"] == 0.61174
    assert (list(BOARD), len(BOARD)) == (["Deer", "<b>|=1+1"], 2)
    with pytest.raises(KeyError, match="no row 'Dear'; there are Deer"):
        BOARD["Dear"]


def test_pandas_gets_the_numbers() -> None:
    frame = BOARD.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame.loc["Deer", "DP@20 (%)"] == 81.6901
    assert frame.isna().loc["<b>|=1+1", "DP@20 (%)"]
    assert frame.index.name == "Sequence"


def test_it_is_saved_as_every_table_is(tmp_path: Path) -> None:
    BOARD.save(tmp_path / "scores")
    assert (tmp_path / "scores.csv").read_text().splitlines()[1] == "Deer,81.69,0.6117,71"
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".md", ".tex"}
