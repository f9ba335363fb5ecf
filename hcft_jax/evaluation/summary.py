"""Scores of all trackers, summarised by subset and attribute."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hcft_jax.evaluation import bootstrap, metrics, protocols
from hcft_jax.evaluation.annotations import ALL, ATTRIBUTES, SUBSETS, Benchmark
from hcft_jax.evaluation.metrics import MEASURES, Curves
from hcft_jax.evaluation.result_folders import Problem, Results
from hcft_jax.util.boxes import Boxes

# The targets that every tracker has (trackers without any aside), if some tracker lacks a target.
COMMON = "common"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The scores of all trackers under one protocol.

    Attributes:
        benchmark: The benchmark by which the trackers were judged.
        curves: By tracker, best AUC first, and by sequence, without bad or missing results. The
            order is by AUC over all targets, else over the common ones, and then by name.
        subsets: Targets by subset; ``COMMON``, if some tracker lacks a target, is last.
        problems: The files and targets that could not be used.
        protocol: One of ``protocols.PROTOCOLS``.
    """

    benchmark: Benchmark
    curves: dict[str, dict[str, Curves]]
    subsets: dict[str, list[str]]
    problems: list[Problem]
    protocol: str = "ope"

    def missing(self, tracker: str, targets: Iterable[str]) -> list[str]:
        """Return those of ``targets`` for which a tracker has no usable result."""
        return [name for name in targets if name not in self.curves[tracker]]

    def complete(self, targets: Sequence[str]) -> list[str]:
        """Return the trackers that have all of ``targets``; none if ``targets`` is empty."""
        return [t for t in self.curves if targets and not self.missing(t, targets)]

    def mean(self, tracker: str, targets: Sequence[str]) -> Curves | None:
        """Return a tracker's mean over ``targets``; None if it lacks one or there are none."""
        of = self.curves[tracker]
        if not targets or self.missing(tracker, targets):
            return None
        return metrics.mean_curves([of[name] for name in targets])


def evaluate(
    results: Results, benchmark: Benchmark, protocol: str = "ope", *, unscale: bool = False
) -> Evaluation:
    """Score every result of a protocol against its ground truth.

    Args:
        results: The boxes of all trackers.
        benchmark: The ground truth.
        protocol: One of ``protocols.PROTOCOLS``; trackers without results of it are left out.
        unscale: For SRE, judge boxes with the size divided by the factor of their start.
    """
    curves = _curves(results, benchmark, protocol, unscale)
    subsets = {subset: names for subset in (*SUBSETS, ALL) if (names := benchmark.subset(subset))}
    some = [of for of in curves.values() if of]
    common = [name for name in benchmark.targets if some and all(name in of for of in some)]
    if common and len(common) < len(benchmark.targets):
        subsets[COMMON] = common
    problems = [problem for problem in results.problems if problem.protocol == protocol]
    evaluation = Evaluation(benchmark, curves, subsets, problems, protocol)

    def rank(tracker: str) -> tuple[float, float, str]:
        whole, part = (evaluation.mean(tracker, t) for t in ([*benchmark.targets], common))
        return -(whole.auc if whole else -1.0), -(part.auc if part else -1.0), tracker

    ordered = {tracker: curves[tracker] for tracker in sorted(curves, key=rank)}
    return dataclasses.replace(evaluation, curves=ordered)


def _curves(
    results: Results, benchmark: Benchmark, protocol: str, unscale: bool
) -> dict[str, dict[str, Curves]]:
    def truth(name: str) -> Boxes:
        return benchmark.targets[name].truth

    if protocol == "ope":
        return {
            tracker: {name: metrics.curves(boxes, truth(name)) for name, boxes in of.items()}
            for tracker, of in results.boxes.items()
        }
    return {
        tracker: {
            name: protocols.pool(
                [protocols.judge(run, boxes, truth(name), unscale=unscale) for run, boxes in runs]
            )
            for name, runs in of.items()
        }
        for tracker, of in results.runs.get(protocol, {}).items()
    }


def _measures(curves: Curves | None) -> dict[str, float | None]:
    return {name: getattr(curves, name) if curves else None for name in MEASURES}


def summary(evaluation: Evaluation) -> dict[str, dict[str, dict[str, Any]]]:
    """Return ``{tracker: {subset: {n, dp20, os50, auc, cle, norm_auc, missing, problems}}}``.

    ``n`` counts the targets with a usable result. If it is not the whole subset, the measures are
    None: a mean over other targets than those of the other trackers would only look comparable.
    ``missing`` names the missing targets, ``problems`` has one line for each bad file.
    """

    def content(tracker: str, targets: list[str]) -> dict[str, Any]:
        missing = evaluation.missing(tracker, targets)
        bad = [p for p in evaluation.problems if p.tracker == tracker]
        return {
            "n": len(targets) - len(missing),
            **_measures(evaluation.mean(tracker, targets)),
            "missing": missing,
            "problems": [p.line for p in bad if p.sequence in (None, *missing)],
        }

    return {
        tracker: {subset: content(tracker, of) for subset, of in evaluation.subsets.items()}
        for tracker in evaluation.curves
    }


def by_attribute(evaluation: Evaluation) -> dict[str, dict[str, dict[str, dict[str, Any]]]]:
    """Return ``{tracker: {subset: {attribute: {n, measures}}}}``.

    A target counts for each attribute that it has. Measures are None if a target is missing.
    """

    def content(tracker: str, targets: list[str]) -> dict[str, Any]:
        count = len(targets) - len(evaluation.missing(tracker, targets))
        return {"n": count, **_measures(evaluation.mean(tracker, targets))}

    return {
        tracker: {
            subset: {a: content(tracker, having(evaluation, subset, a)) for a in ATTRIBUTES}
            for subset in evaluation.subsets
        }
        for tracker in evaluation.curves
    }


def having(evaluation: Evaluation, subset: str, attribute: str) -> list[str]:
    """Return the targets of a subset that have an attribute."""
    of = evaluation.benchmark.targets
    return [name for name in evaluation.subsets[subset] if attribute in of[name].attributes]


def by_sequence(evaluation: Evaluation) -> dict[str, dict[str, dict[str, Any]]]:
    """Return ``{tracker: {sequence: {frames, measures}}}``."""
    return {
        tracker: {name: {"frames": c.frames, **_measures(c)} for name, c in of.items()}
        for tracker, of in evaluation.curves.items()
    }


def mean_curves(evaluation: Evaluation) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return ``{tracker: {subset: {success, precision, normalised}}}`` for complete subsets."""
    names = ("success", "precision", "normalised")
    return {
        tracker: {
            subset: {name: getattr(mean, name).tolist() for name in names}
            for subset, targets in evaluation.subsets.items()
            if (mean := evaluation.mean(tracker, targets))
        }
        for tracker in evaluation.curves
    }


def intervals(
    evaluation: Evaluation, resamples: int = bootstrap.RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Return 95 % intervals of all means and of all differences of two trackers, by subset.

    ``{"means": {subset: {tracker: {measure: [low, high]}}},
    "differences": {subset: {a: {b: {measure: [mean of a - b, low, high]}}}}}``, each pair once, for
    the trackers that have the whole subset; and ``level``, ``resamples`` and ``seed``.
    """
    means: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for subset, targets in evaluation.subsets.items():
        trackers = evaluation.complete(targets)
        of_mean: dict[str, Any] = {tracker: {} for tracker in trackers}
        of_pair: dict[str, Any] = {
            a: {b: {} for b in trackers[i + 1 :]} for i, a in enumerate(trackers[:-1])
        }
        weight = bootstrap.weights(bootstrap.draws(len(targets), resamples, seed))
        values = np.array(
            [values_of(evaluation.curves, trackers, targets, m) for m in MEASURES]
        ).reshape(len(MEASURES), len(trackers), len(targets))
        singles, pairs = bootstrap.intervals(values, weight)
        for measure, single, pair, mean in zip(
            MEASURES, singles, pairs, values.mean(axis=2), strict=True
        ):
            for i, a in enumerate(trackers):
                of_mean[a][measure] = single[i].tolist()
                for j in range(i + 1, len(trackers)):
                    ends = pair[i, j].tolist()
                    of_pair[a][trackers[j]][measure] = [float(mean[i] - mean[j]), *ends]
        means[subset], differences[subset] = of_mean, of_pair
    return {
        "means": means,
        "differences": differences,
        "level": bootstrap.LEVEL,
        "resamples": resamples,
        "seed": seed,
    }


def values_of(
    curves: Mapping[str, Mapping[str, Curves]],
    trackers: Sequence[str],
    targets: Sequence[str],
    measure: str,
) -> bootstrap.Floats:
    """Return a measure of each tracker on each target, ``[trackers, targets]``."""
    return np.array([[getattr(curves[t][name], measure) for name in targets] for t in trackers])
