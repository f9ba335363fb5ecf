import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hcft_jax.evaluation import metrics, results
from hcft_jax.util.boxes import Boxes, parse, to_file
from hcft_jax.util.errors import InputError


@given(
    boxes=arrays(
        np.float64, st.tuples(st.integers(1, 9), st.just(4)), elements=st.floats(-1e6, 1e6)
    )
)
def test_what_is_written_is_read_back_to_four_decimals(
    boxes: Boxes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("boxes") / "a.txt"
    results.write_boxes(path, boxes)
    np.testing.assert_allclose(parse(path), to_file(boxes), rtol=0, atol=5.1e-5)


def test_lines_are_1_based_with_four_decimals(tmp_path: Path) -> None:
    results.write_boxes(tmp_path / "deep" / "a.txt", [[0, 9.5, 20, 30]])
    assert (tmp_path / "deep" / "a.txt").read_text() == "1.0000,10.5000,20.0000,30.0000\n"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1e8])
def test_boxes_that_are_not_finite_are_not_written(value: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="box 2 of 2"):
        results.write_boxes(tmp_path / "a.txt", np.array([[0, 0, 1, 1], [0, value, 1, 1]]))
    assert not list(tmp_path.iterdir())


def test_json_has_sorted_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    results.write_json(path, {"b": 1, "a": {"d": 0.5, "c": None}})
    assert list(json.loads(path.read_text())) == ["a", "b"]
    assert path.read_text().startswith('{\n  "a": {\n    "c"')


def test_json_refuses_numbers_that_are_not_finite(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(InputError, match=r"a\.json"):
        results.write_json(path, {"a": [float("nan")]})
    assert path.read_text() == "old"


def test_json_is_read_back(tmp_path: Path) -> None:
    content = {"a": [1, 2.5], "b": {"c": "text"}}
    results.write_json(tmp_path / "a.json", content)
    assert results.read_json(tmp_path / "a.json") == content


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1e999}', '{"a": NaN}', None])
def test_json_that_cannot_be_read_is_named(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json"):
        results.read_json(tmp_path / "a.json")


def test_the_table_is_aligned_and_ends_with_the_mean() -> None:
    a = metrics.Scores(dp20=1, os50=0.5, auc=0.25, cle=4, frames=1001)
    b = metrics.Scores(dp20=0, os50=0, auc=0.75, cle=118.25, frames=201)
    text = results.table([("Basketball", a, 100.0), ("Deer", b, 10.0)], metrics.mean([a, b]))
    assert text.splitlines() == [
        "Sequence    frames   DP@20  OS@0.5     AUC     CLE    fps",
        "Basketball    1001  100.00   50.00  0.2500    4.00  100.0",
        "Deer           201    0.00    0.00  0.7500  118.25   10.0",
        "mean          1202   50.00   25.00  0.5000   61.12   40.0",  # 1200 tracked frames in 30 s
    ]


def test_an_unknown_speed_is_a_dash() -> None:
    a = metrics.Scores(dp20=1, os50=0.5, auc=0.25, cle=4, frames=1000)
    lines = results.table([("a", a, None), ("b", a, 5.0)], metrics.mean([a, a])).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["-", "5.0", "-"]


@pytest.mark.parametrize("content", ["[" * 99_999, '{"a": ' + "1" * 5000 + "}", "[]", "{", ""])
def test_a_damaged_file_of_json_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"a\.json"):
        results.read_json(path)
