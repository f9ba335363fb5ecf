"""Success and precision plots as in the paper's figures, as PNG and PDF."""

from pathlib import Path
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hcft_jax.evaluation.metrics import (
    NORMALISED_THRESHOLDS,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
    Curves,
    Floats,
)
from hcft_jax.files import replacing

# The ten strongest are told apart by colour; the next ten have the same colours, dashed.
_COLOURS = (
    "#d62728",
    "#1f77b4",
    "#2ca02c",
    "#ff7f0e",
    "#9467bd",
    "#17becf",
    "#8c564b",
    "#e377c2",
    "#111111",
    "#a3a300",
)
_STYLES = ("-", "--", ":", "-.")


class Kind(NamedTuple):
    """One of the plots."""

    title: str
    curve: str  # the field of Curves
    number: str  # the property of Curves that the legend shows and orders by
    thresholds: Floats
    xlabel: str
    ylabel: str


KINDS = {
    "success": Kind(
        "Success plots of OPE",
        "success",
        "auc",
        SUCCESS_THRESHOLDS,
        "Overlap threshold",
        "Success rate",
    ),
    "precision": Kind(
        "Precision plots of OPE",
        "precision",
        "dp20",
        PRECISION_THRESHOLDS,
        "Location error threshold (px)",
        "Precision",
    ),
    "normalised": Kind(
        "Normalised precision plots of OPE",
        "normalised",
        "norm_auc",
        NORMALISED_THRESHOLDS,
        "Location error threshold (target sizes)",
        "Precision",
    ),
}


def plot(means: dict[str, Curves], kind: Kind, where: str) -> Figure:
    """A figure of one curve a tracker.

    The legend names everyone with their number (AUC, or precision at 20 px), the best first, in the
    order of the lines at hand. Colours go by the order of ``means``, so that a tracker looks the
    same in every figure of an evaluation.

    Args:
        means: Mean curves by tracker.
        kind: One of ``KINDS``.
        where: The subset as the title names it.
    """
    ranked = sorted(means, key=lambda tracker: -getattr(means[tracker], kind.number))
    labels = {t: f"{_short(t)} [{getattr(means[t], kind.number):.3f}]" for t in ranked}
    # The axes have one size in every figure; the legend beside them gets what its names need.
    width = 6.2 + 0.082 * max(map(len, labels.values()))
    figure = Figure(figsize=(width, 4.6))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.6 / width, 0.11, 5.0 / width, 0.82))
    looks = {
        tracker: (_COLOURS[i % len(_COLOURS)], _STYLES[i // len(_COLOURS) % len(_STYLES)])
        for i, tracker in enumerate(means)
    }
    for place, tracker in enumerate(ranked):
        colour, style = looks[tracker]
        axes.plot(
            kind.thresholds,
            getattr(means[tracker], kind.curve),
            style,
            color=colour,
            linewidth=2.2 if place == 0 else 1.5,
            zorder=3 + len(ranked) - place,
            label=labels[tracker],
        )
    axes.set(
        title=f"{kind.title}, {where}",
        xlabel=kind.xlabel,
        ylabel=kind.ylabel,
        xlim=(kind.thresholds[0], kind.thresholds[-1]),
        ylim=(0, 1),
    )
    axes.set_yticks([i / 10 for i in range(11)])
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8.5, frameon=False, handlelength=2.8
    )
    return figure


def _short(tracker: str) -> str:
    """A name that fits beside the plot and holds no mathematics."""
    kept = tracker if len(tracker) <= 32 else f"...{tracker[-29:]}"
    return kept.replace("$", "\\$")


def write(figure: Figure, stem: str | Path) -> None:
    """Writes ``<stem>.png`` and ``<stem>.pdf``; the same figure gives the same bytes.

    Raises:
        InputError: the folder cannot be written to.
    """
    with replacing(f"{stem}.png") as temporary:
        figure.savefig(temporary, dpi=150)
    with replacing(f"{stem}.pdf") as temporary:
        figure.savefig(temporary, metadata={"CreationDate": None})
