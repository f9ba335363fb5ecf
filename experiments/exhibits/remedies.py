"""The paper's two remedies for its failures, and ours, beside the tracker that each changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hcft_jax.evaluation import metrics, plots, tables
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.tables import Table
from hcft_jax.experiment import settings
from hcft_jax.util.errors import InputError

from . import NothingToShow, folders


def find(origins: Mapping[str, Path], name: str) -> str:
    """Return the tracker whose recorded settings are those of a shipped configuration.

    Neither its folder's name nor its weights matter.

    Raises:
        InputError: there are several such trackers.
        NothingToShow: there is none.
    """
    wanted = folders.normalised(vars(settings.load(name).tracker))
    recorded = folders.all_settings(origins)
    held = [t for t, of in recorded.items() if all(of.get(k) == v for k, v in wanted.items())]
    if not held:
        raise NothingToShow(f"no results of {name}: python -m hcft_jax.main --config={name}")
    if len(held) > 1:
        raise InputError(f"{held[0]} and {held[1]}: both are {name}: give only one")
    return held[0]


def shared(results: Results, trackers: Sequence[str], sequences: Sequence[str]) -> list[str]:
    """Return those of the sequences that all of the trackers have.

    Raises:
        NothingToShow: there is no such sequence.
    """
    held = [s for s in sequences if all(s in results.boxes.get(t, {}) for t in trackers)]
    if not held:
        raise NothingToShow(f"{' and '.join(trackers)}: both have none of {', '.join(sequences)}")
    return held


def table(
    results: Results, benchmark: Benchmark, trackers: Mapping[str, str], sequences: Sequence[str]
) -> Table:
    """Tabulate the measures of each tracker on each sequence, the best one marked.

    Args:
        results: One-pass boxes of all the trackers.
        benchmark: The ground truth.
        trackers: The trackers by the names to show, the original first.
        sequences: The result of ``shared``.
    """
    header = ["Sequence", "Tracker", "frames", "DP@20 (%)", "OS@0.5 (%)", "AUC", "CLE (px)"]
    rows: list[list[str]] = []
    places = {}
    for name in sequences:
        truth = benchmark.targets[name].truth
        scores = [metrics.score(results.boxes[t][name], truth) for t in trackers.values()]
        for column, field in enumerate(("dp20", "os50", "auc", "cle"), 3):
            values = [getattr(score, field) for score in scores]
            for i, place in tables.places(values, largest=field != "cle").items():
                if place == 1 and len(set(values)) > 1:
                    places[len(rows) + i, column] = place
        rows += [
            [
                name,
                label,
                str(score.frames),
                tables.percent(score.dp20),
                tables.percent(score.os50),
                tables.number(score.auc, 4),
                tables.number(score.cle, 2),
            ]
            for label, score in zip(trackers, scores, strict=True)
        ]
    return Table(f"{' and '.join(trackers)}", header, rows, places)


def figure(
    results: Results, benchmark: Benchmark, trackers: Mapping[str, str], sequences: Sequence[str]
) -> Figure:
    """Plot the centre errors over the frames, one plot per sequence; arguments as for ``table``.

    Frames without valid ground truth leave gaps; the dashed line is DP's threshold, 20 px.
    """
    drawn = Figure(figsize=(9, 2.6 * len(sequences) + 0.4), layout="constrained")
    looks = plots.colours(trackers)
    for axes, name in zip(
        drawn.subplots(len(sequences), 1, squeeze=False)[:, 0], sequences, strict=True
    ):
        target = benchmark.targets[name]
        frames = np.arange(len(target.truth)) + target.first_frame
        for label, tracker in trackers.items():
            boxes = metrics.repair(results.boxes[tracker][name], target.truth)
            errors = metrics.centre_error(boxes, target.truth)
            colour, style = looks[label]
            gaps = np.where(metrics.valid(target.truth), errors, np.nan)
            axes.plot(frames, gaps, style, color=colour, linewidth=1.4, label=plots.short(label))
        axes.axhline(20, color="#888888", linestyle="--", linewidth=1)
        axes.set(title=name, ylabel="Centre error (px)", ylim=(0, None))
        axes.set_xlim(frames[0], max(frames[-1], frames[0] + 1))
        axes.grid(color="#dddddd", linewidth=0.7)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5, frameon=False)
    axes.set_xlabel("Frame")
    return drawn
