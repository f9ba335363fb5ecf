"""Settings of a tracker side by side, on the sequences that all of them have."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hcft_jax.evaluation import bootstrap
from hcft_jax.evaluation.metrics import Scores
from hcft_jax.evaluation.tables import Table

MEASURES = ("dp20", "os50", "auc", "cle")
COLUMNS = {"dp20": ("DP@20 (%)", 100, 2), "os50": ("OS@0.5 (%)", 100, 2), "auc": ("AUC", 1, 4)}
"""Columns of tables by measure: name, factor of the numbers, and digits after the point."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """The mean of a measure over sequences, and its difference to that of the first setting.

    Attributes:
        mean: The mean over the common sequences.
        interval: Its 95 % bootstrap interval over sequences.
        difference: The mean minus that of the first setting; None if that one has no sequence.
        difference_interval: The paired interval of the difference.
    """

    mean: float
    interval: tuple[float, float]
    difference: float | None
    difference_interval: tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The comparison of some settings under one protocol.

    Attributes:
        sequences: The sequences that every setting has; a setting without any is left aside.
        counts: How many sequences each setting has.
        measures: By setting, then by measure (``MEASURES``), for the settings that have sequences.
    """

    sequences: list[str]
    counts: dict[str, int]
    measures: dict[str, dict[str, Measure]]

    def content(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return dataclasses.asdict(self)


def compare(
    scores: Mapping[str, Mapping[str, Scores]], resamples: int = bootstrap.RESAMPLES, seed: int = 0
) -> Comparison:
    """Return means, differences to the first setting, and 95 % bootstrap intervals of both.

    Args:
        scores: Scores by setting, then by sequence.
        resamples: Bootstrap resamples; the same sequences are drawn for every setting.
        seed: The seed of the bootstrap.
    """
    counts = {name: len(of) for name, of in scores.items()}
    having = [name for name, of in scores.items() if of]
    candidates = scores[having[0]] if having else {}
    common = [name for name in candidates if all(name in scores[other] for other in having)]
    if not common:
        return Comparison([], counts, {})
    measures: dict[str, dict[str, Measure]] = {name: {} for name in having}
    set_against = having[0] == next(iter(scores))
    weight = bootstrap.weights(bootstrap.draws(len(common), resamples, seed))
    for measure in MEASURES:
        values = np.array([[getattr(scores[n][s], measure) for s in common] for n in having])
        ends, differences = bootstrap.intervals(values, weight)
        means = values.mean(axis=1)
        for i, name in enumerate(having):
            measures[name][measure] = Measure(
                float(means[i]),
                _pair(ends[i]),
                float(means[i] - means[0]) if set_against else None,
                _pair(differences[i, 0]) if set_against else None,
            )
    return Comparison(common, counts, measures)


def table(comparison: Comparison, title: str, total: int) -> Table:
    """Return a table with one row per setting, for a data set of ``total`` sequences."""
    first = next(iter(comparison.counts))
    header = ["Setting", "n"]
    for name, _, _ in COLUMNS.values():
        header += [name, f"minus {first}"]
    rows = []
    for setting, count in comparison.counts.items():
        row = [setting, f"{count}/{total}"]
        for measure in COLUMNS:
            of = comparison.measures.get(setting, {}).get(measure)
            row.append(_shown(of.mean, of.interval, measure, "") if of else "-")
            if of and of.difference is not None and of.difference_interval and setting != first:
                row.append(_shown(of.difference, of.difference_interval, measure, "+"))
            else:
                row.append("-")
        rows.append(row)
    count = len(comparison.sequences)
    on = f"mean over the {count} sequence{'' if count == 1 else 's'} that every setting has"
    return Table(f"{title}, {on}, with 95 % bootstrap intervals", header, rows)


def _shown(value: float, ends: tuple[float, float], measure: str, sign: str) -> str:
    _, scale, digits = COLUMNS[measure]

    def number(value: float, digits: int) -> str:
        return f"{round(scale * value, digits) + 0.0:{sign}.{digits}f}"  # no -0.0

    low, high = (number(end, digits - 1) for end in ends)
    return f"{number(value, digits)} ({low} to {high})"


def _pair(ends: bootstrap.Floats) -> tuple[float, float]:
    low, high = map(float, ends)
    return low, high
