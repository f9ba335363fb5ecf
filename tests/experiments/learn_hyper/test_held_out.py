"""The verdict and the table on settings on held-out sequences."""

import pytest

from experiments.learn_hyper import held_out
from hcft_jax.evaluation import comparison
from hcft_jax.evaluation.metrics import Scores


def scored(*differences: float) -> dict[str, dict[str, Scores]]:
    """Return two settings on sequences whose every measure differs by these amounts."""
    paper = {f"S{i}": Scores(0.5, 0.4, 0.3 + i / 100, 9.0, 30) for i in range(len(differences))}
    learned = {
        name: Scores(s.dp20 + d, s.os50 + d, s.auc + d, 9.0, 30)
        for (name, s), d in zip(paper.items(), differences, strict=True)
    }
    return {"paper": paper, "learned": learned}


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ((0.1, 0.2, 0.1), "AUC: learned is higher than paper."),
        ((-0.1, -0.2, -0.1), "AUC: learned is lower than paper."),
        ((0.1, -0.1, 0.0), "AUC: nothing shown to be gained or lost: the interval of learned"),
        ((0.0, 0.0, 0.0), "AUC: nothing shown to be gained or lost: the interval of learned"),
    ],
)
def test_a_gain_is_one_whose_interval_leaves_zero_out(
    differences: tuple[float, ...], said: str
) -> None:
    lines = held_out.verdict(comparison.compare(scored(*differences)))
    assert [line.split(":")[0] for line in lines[:3]] == ["DP at 20 px", "OS at 0.5", "AUC"]
    assert lines[2].startswith(said)
    assert lines[3].startswith("3 targets are few")


def test_many_targets_are_not_called_few() -> None:
    assert len(held_out.verdict(comparison.compare(scored(*[0.1] * 10)))) == 3


def test_each_target_has_a_row_with_its_difference() -> None:
    table = held_out.rows(scored(0.1, -0.05), ["S0", "S1"])
    assert table.header[2:] == [
        "paper DP / OS / AUC",
        "learned DP / OS / AUC",
        "learned minus paper DP / OS / AUC",
    ]
    assert table.rows[0] == [
        "S0",
        "30",
        "50.00 / 40.00 / 0.3000",
        "60.00 / 50.00 / 0.4000",
        "+10.00 / +10.00 / +0.1000",
    ]
    assert table.rows[1][-1] == "-5.00 / -5.00 / -0.0500"
