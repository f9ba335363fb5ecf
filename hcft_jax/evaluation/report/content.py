"""The data of the page's plots and tables: scores, curves and intervals of every selection.

A selection is a subset, or those of its targets that have one attribute. Trackers and sequences are
referred to by their place in the lists ``trackers`` and ``sequences``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hcft_jax.evaluation import bootstrap
from hcft_jax.evaluation.annotations import ATTRIBUTES
from hcft_jax.evaluation.metrics import MEASURES
from hcft_jax.evaluation.plots import KINDS
from hcft_jax.evaluation.report import sources
from hcft_jax.evaluation.report.encoding import rounded
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.summary import Evaluation, having
from hcft_jax.evaluation.tables import TITLES
from hcft_jax.util.version import __version__

_DIGITS = 6  # decimals of scores, enough for a fraction of any video's frames
_CURVE_DIGITS = 5

Values = Mapping[str, Mapping[str, list[float]]]  # by tracker and sequence, as in MEASURES


def content(
    evaluation: Evaluation, results: Results, intervals: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the page's data except for the tracks.

    Args:
        evaluation: The scores.
        results: The results that were scored.
        intervals: The result of ``summary.intervals`` for the same evaluation.
    """
    targets = evaluation.benchmark.targets
    measured = {
        tracker: {name: [getattr(curves, m) for m in MEASURES] for name, curves in of.items()}
        for tracker, of in evaluation.curves.items()
    }
    return {
        "version": __version__,
        "level": intervals["level"],
        "resamples": intervals["resamples"],
        "seed": intervals["seed"],
        "attributes": ATTRIBUTES,
        "plots": [
            {
                "name": kind.curve,
                "title": kind.title.partition(" plot")[0],
                "thresholds": rounded(kind.thresholds, 2),
                **{field: getattr(kind, field) for field in ("number", "xlabel", "ylabel")},
            }
            for kind in KINDS.values()
        ],
        "trackers": [sources.source(t, results.files.get(t, {})) for t in evaluation.curves],
        "sequences": [
            {
                "name": name,
                "frames": len(target.truth),
                "attributes": [a for a in ATTRIBUTES if a in target.attributes],
                "scores": [_scores(of.get(name)) for of in measured.values()],
            }
            for name, target in targets.items()
        ],
        "subsets": [
            _subset(evaluation, measured, subset, intervals) for subset in evaluation.subsets
        ],
        "problems": [problem.line for problem in evaluation.problems],
    }


def _subset(
    evaluation: Evaluation, measured: Values, subset: str, intervals: Mapping[str, Any]
) -> dict[str, Any]:
    resampling = (intervals["resamples"], intervals["seed"])
    names = list(evaluation.benchmark.targets)
    selections = {"": _selection(evaluation, measured, evaluation.subsets[subset], *resampling)}
    for attribute in ATTRIBUTES:
        if targets := having(evaluation, subset, attribute):
            selections[attribute] = _selection(evaluation, measured, targets, *resampling)
    order = {tracker: place for place, tracker in enumerate(evaluation.curves)}
    return {
        "name": subset,
        "title": TITLES[subset],
        "targets": [names.index(name) for name in evaluation.subsets[subset]],
        "selections": selections,
        "differences": [
            [order[a], order[b], {m: rounded(ends, _DIGITS) for m, ends in of.items()}]
            for a, others in intervals["differences"][subset].items()
            for b, of in others.items()
        ],
    }


def _selection(
    evaluation: Evaluation, measured: Values, targets: list[str], resamples: int, seed: int
) -> dict[str, Any]:
    complete = evaluation.complete(targets)
    values = np.array([[measured[tracker][name] for name in targets] for tracker in complete])
    values = values.reshape(len(complete), len(targets), len(MEASURES)).transpose(0, 2, 1)
    weight = bootstrap.weights(bootstrap.draws(len(targets), resamples, seed))
    ends = bootstrap.interval(bootstrap.resampled(values, weight))
    intervals = dict(zip(complete, ends, strict=True))
    rows: list[dict[str, Any]] = []
    for tracker in evaluation.curves:
        row: dict[str, Any] = {"n": len(targets) - len(evaluation.missing(tracker, targets))}
        if mean := evaluation.mean(tracker, targets):
            row["scores"] = _scores([getattr(mean, measure) for measure in MEASURES])
            row["intervals"] = dict(
                zip(MEASURES, rounded(intervals[tracker], _DIGITS), strict=True)
            )
            for kind in KINDS.values():
                row[kind.curve] = rounded(getattr(mean, kind.curve), _CURVE_DIGITS)
        rows.append(row)
    return {"n": len(targets), "rows": rows}


def _scores(values: list[float] | None) -> dict[str, float] | None:
    """Return scores by measure; None for None."""
    return None if values is None else dict(zip(MEASURES, rounded(values, _DIGITS), strict=True))
