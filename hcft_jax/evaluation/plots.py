"""Success and precision plots as in the paper's figures, and how any figure is saved."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from hcft_jax.evaluation.metrics import (
    NORMALISED_THRESHOLDS,
    PRECISION_THRESHOLDS,
    SUCCESS_THRESHOLDS,
    Curves,
    Floats,
)
from hcft_jax.util.files import replacing

# The first ten differ by colour; the next ten have the same colours, dashed.
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
    """A kind of plot."""

    title: str
    curve: str  # the field of Curves
    number: str  # the property of Curves that the legend shows and orders by
    thresholds: Floats
    xlabel: str
    ylabel: str


KINDS = {
    "success": Kind(
        "Success plots", "success", "auc", SUCCESS_THRESHOLDS, "Overlap threshold", "Success rate"
    ),
    "precision": Kind(
        "Precision plots",
        "precision",
        "dp20",
        PRECISION_THRESHOLDS,
        "Location error threshold (px)",
        "Precision",
    ),
    "normalised": Kind(
        "Normalised precision plots",
        "normalised",
        "norm_auc",
        NORMALISED_THRESHOLDS,
        "Location error threshold (target sizes)",
        "Precision",
    ),
}


class Panel(NamedTuple):
    """One plot of a figure."""

    title: str
    kind: Kind
    means: Mapping[str, Curves]  # by tracker


def plot(means: Mapping[str, Curves], kind: Kind, where: str, protocol: str = "ope") -> Figure:
    """Draw a figure with one curve per tracker.

    Args:
        means: Mean curves by tracker.
        kind: One of ``KINDS``.
        where: The name of the subset in the title.
        protocol: The protocol, which the title names too.
    """
    return grid([Panel(f"{kind.title} of {protocol.upper()}, {where}", kind, means)], columns=1)


def grid(panels: Sequence[Panel], *, columns: int, scale: float = 1.0) -> Figure:
    """Draw a figure of plots side by side, row by row, with one curve per tracker in each.

    Each legend names every tracker with its number (AUC, or precision at 20 px), the best first.
    Colours follow the order in which names first occur, over the panels and the means of each, so
    that a tracker looks the same throughout a figure and throughout an evaluation.

    Args:
        panels: At least one.
        columns: How many lie side by side.
        scale: The factor of the axes, 5 x 3.8 inches; text keeps its size.
    """
    looks = colours(tracker for panel in panels for tracker in panel.means)
    labels = [_labels(panel) for panel in panels]
    # The axes have one size in every figure; the legend gets the width that its names need.
    longest = max(len(label) for of in labels for label in of.values())
    across, down = 5.0 * scale + 1.2 + 0.082 * longest, 3.77 * scale + 0.83
    rows = -(-len(panels) // columns)
    width, height = across * min(columns, len(panels)), down * rows
    figure = Figure(figsize=(width, height))
    for i, (panel, names) in enumerate(zip(panels, labels, strict=True)):
        left, low = across * (i % columns) + 0.6, down * (rows - 1 - i // columns) + 0.51
        place = (left / width, low / height, 5.0 * scale / width, 3.77 * scale / height)
        _draw(figure.add_axes(place), panel, names, looks)
    return figure


def colours(trackers: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and a line style for each name, by the order in which names first occur."""
    return {
        tracker: (_COLOURS[i % len(_COLOURS)], _STYLES[i // len(_COLOURS) % len(_STYLES)])
        for i, tracker in enumerate(dict.fromkeys(trackers))
    }


def _labels(panel: Panel) -> dict[str, str]:
    """Return the legend's texts by tracker, the best first."""
    numbers = {t: getattr(mean, panel.kind.number) for t, mean in panel.means.items()}
    return {t: f"{short(t)} [{numbers[t]:.3f}]" for t in sorted(numbers, key=lambda t: -numbers[t])}


def _draw(
    axes: Axes, panel: Panel, labels: Mapping[str, str], looks: Mapping[str, tuple[str, str]]
) -> None:
    kind = panel.kind
    for place, (tracker, label) in enumerate(labels.items()):
        colour, style = looks[tracker]
        axes.plot(
            kind.thresholds,
            getattr(panel.means[tracker], kind.curve),
            style,
            color=colour,
            linewidth=2.2 if place == 0 else 1.5,
            zorder=3 + len(labels) - place,
            label=label,
        )
    axes.set(
        title=panel.title,
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


def short(tracker: str) -> str:
    """Return a name short enough for the legend, which leaves out what begins with "_"."""
    kept = tracker if len(tracker) <= 32 else f"...{tracker[-29:]}"
    return f" {kept}" if kept.startswith("_") else kept


def save(figure: Figure, path: str | Path, dpi: int = 150) -> None:
    """Write a figure, whole or not at all, as PNG or PDF; the same figure gives the same bytes.

    Its texts, but for the numbers of axes, are shown as they are: dollar signs are no formulas.

    Args:
        figure: The figure, which needs no pyplot (its global state would outlive the call).
        path: The file; its suffix is the format.
        dpi: Pixels per inch of a PNG.

    Raises:
        InputError: the folder cannot be written to.
    """
    pdf = Path(path).suffix == ".pdf"
    options: dict[str, Any] = {"metadata": {"CreationDate": None}} if pdf else {"dpi": dpi}
    ticks: set[Artist] = set()  # whose powers of ten are formulas
    for axes in figure.findobj(Axes):
        for axis in (axes.xaxis, axes.yaxis):
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                ticks |= {tick.label1, tick.label2}
    for text in figure.findobj(Text):
        if text not in ticks:
            text.set_parse_math(False)
            shown = text.get_text()
            text.set_text(shown.encode("utf-8", "backslashreplace").decode())
    with replacing(path) as temporary:
        figure.savefig(temporary, **options)


def write(figure: Figure, stem: str | Path) -> None:
    """Write ``<stem>.png`` and ``<stem>.pdf``; errors as for ``save``."""
    for suffix in ("png", "pdf"):
        save(figure, f"{stem}.{suffix}")
