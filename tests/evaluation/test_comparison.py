import numpy as np
import pytest

from hcft_jax.evaluation import comparison
from hcft_jax.evaluation.metrics import Scores

RNG = np.random.default_rng(0)


def scores(*names: str) -> dict[str, Scores]:
    drawn = {name: RNG.uniform(0.2, 0.8, 4).tolist() for name in names}
    return {n: Scores(dp, success, auc, cle, 10) for n, (dp, success, auc, cle) in drawn.items()}


def test_means_and_differences_are_over_the_common_sequences() -> None:
    of = {"a": scores("x", "y", "z"), "b": scores("y", "z"), "c": scores("z", "y", "w")}
    result = comparison.compare(of, resamples=100)
    assert result.sequences == ["y", "z"]
    assert result.counts == {"a": 3, "b": 2, "c": 3}
    for name, values in of.items():
        for measure in comparison.MEASURES:
            found = result.measures[name][measure]
            mean = np.mean([getattr(values[s], measure) for s in ("y", "z")])
            first = np.mean([getattr(of["a"][s], measure) for s in ("y", "z")])
            assert found.mean == pytest.approx(mean)
            assert found.difference == pytest.approx(mean - first)
            assert found.interval[0] <= found.mean <= found.interval[1]


def test_a_constant_difference_is_certain_however_hard_the_sequences() -> None:
    one = scores(*"abcdefgh")
    other = {n: Scores(s.dp20 + 0.1, s.os50, s.auc, s.cle, s.frames) for n, s in one.items()}
    found = comparison.compare({"one": one, "other": other}).measures["other"]["dp20"]
    assert found.difference == pytest.approx(0.1)
    assert found.difference_interval == pytest.approx((0.1, 0.1))
    assert found.interval[1] - found.interval[0] > 0.05


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        drawn = rng.uniform(0, 1, 40)
        of = {"a": {str(i): Scores(v, v, v, v, 1) for i, v in enumerate(drawn)}}
        low, high = comparison.compare(of, resamples=400).measures["a"]["auc"].interval
        hits += low <= 0.5 <= high
    assert 180 <= hits <= 199


def test_a_setting_without_any_result_hides_nobody() -> None:
    result = comparison.compare({"a": {}, "b": scores("x"), "c": scores("x")}, resamples=10)
    assert result.sequences == ["x"]
    assert set(result.measures) == {"b", "c"}
    assert result.measures["c"]["auc"].difference is None  # the first one is not there
    rows = comparison.table(result, "OPE", 3).rows
    assert rows[0] == ["a", "0/3", *["-"] * 6]
    assert rows[1][3] == "-"


@pytest.mark.parametrize("of", [{"a": {}}, {"a": scores("x"), "b": scores("y")}])
def test_without_common_sequences_there_are_no_means(of: dict[str, dict[str, Scores]]) -> None:
    result = comparison.compare(of)
    assert (result.sequences, result.measures) == ([], {})
    table = comparison.table(result, "OPE", 1)
    assert {cell for row in table.rows for cell in row[2:]} == {"-"}


def test_the_table_shows_percent_and_signed_differences() -> None:
    of = {
        "one": {"x": Scores(0.5, 0.25, 0.4, 3.0, 1)},
        "other": {"x": Scores(0.625, 0.25, 0.3, 3.0, 1)},
    }
    table = comparison.table(comparison.compare(of), "OPE", 1)
    assert table.header[2:4] == ["DP@20 (%)", "minus one"]
    one, other = ("|".join(row) for row in table.rows)
    assert one == (
        "one|1/1|50.00 (50.0 to 50.0)|-|25.00 (25.0 to 25.0)|-|0.4000 (0.400 to 0.400)|-"
    )
    assert other == (
        "other|1/1|62.50 (62.5 to 62.5)|+12.50 (+12.5 to +12.5)|25.00 (25.0 to 25.0)|"
        "+0.00 (+0.0 to +0.0)|0.3000 (0.300 to 0.300)|-0.1000 (-0.100 to -0.100)"
    )
