"""The figures of ``inspection``, one function each, placed in the frame's pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import ScalarFormatter

from hcft_jax.evaluation import plots

from . import inspection
from .inspection import ALL, Effect, Floats, Look

WINDOW, FOUND, TRUE, OWN = "#ffd000", "#ff2828", "#28dc28", "#ff9f1c"
STRONGEST = 4  # channels of a filter to show
CLOSE = 20.0  # pixels: DP's threshold; the axis of errors is linear below, logarithmic above
CLIPPED = 99.8  # percentile of a gradient with the strongest colour, since single pixels stand out

_COLUMNS = 3
_SYMBOL: dict[str, Any] = {"linestyle": "none", "markersize": 10, "markeredgewidth": 2.0}


def responses(look: Look, title: str) -> Figure:
    """Draw the frame, its search window, the layers' responses over the window and their sum."""
    names, weights = look.config.response_names, look.config.response_weights
    total, peak = look.combined
    figure, (whole, plain, together, *rest) = _panels(look, 3 + _several(names), title)
    _draw_frame(whole, look)
    x, y, w, h = look.window
    whole.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=WINDOW, linewidth=1.6))
    height, width = look.frame.shape[:2]
    whole.set(title=f"frame {look.number}", xlim=(0, width), ylim=(height, 0))
    _draw_frame(plain, look)
    plain.set_title("search window")
    for axes in (whole, plain):
        _outline(axes, look.found, FOUND)
        if look.moved(look.truth) is not None:
            _outline(axes, look.truth, TRUE)
    _mark(plain, look, peak)
    _response(figure, together, look, total)
    together.set_title(f"weighted sum: {total[peak]:.2f} at the target")
    _mark(together, look, peak)
    # zip ends with the axes: the sum of a single layer has been drawn
    for axes, name, weight, response in zip(rest, names, weights, look.responses, strict=False):
        _response(figure, axes, look, response)
        own = np.unravel_index(response.argmax(), response.shape)
        row, column = look.place((int(own[0]), int(own[1])))
        axes.plot(column, row, "x", color=OWN, **_SYMBOL)
        axes.set_title(f"{name}, weight {weight:g}: maximum {response.max():.2f}")
        _mark(axes, look, peak)
    symbols = [
        Patch(facecolor="none", edgecolor=WINDOW, label="search window"),
        Line2D([], [], color="w", marker=".", label="no displacement", **_dark(11)),
        Line2D([], [], color=FOUND, marker="+", label="found (Eq. 5)", **_SYMBOL),
        Line2D([], [], color=OWN, marker="x", label="maximum of the layer", **_SYMBOL),
        Line2D([], [], color=TRUE, marker="o", markerfacecolor="none", label="truth", **_SYMBOL),
    ]
    figure.legend(handles=symbols, loc="lower center", ncols=len(symbols), frameon=False)
    return figure


def gradients(look: Look, of_layers: Floats, title: str) -> Figure:
    """Draw where in the search window the score at the peak depends on the pixels.

    The sum of ``inspection.gradients`` is drawn pixel by pixel; then it and each layer as the root
    mean square nearby.
    """
    names = look.config.response_names
    total = inspection.summed(look.config, of_layers)
    figure, (plain, pixels, *rest) = _panels(look, 3 + _several(names), title)
    _draw_frame(plain, look)
    plain.set_title("search window")
    _outline(plain, look.found, FOUND)
    label = "|d response / d grey level|"
    _heat(figure, pixels, look, np.linalg.norm(total, axis=2), label)
    pixels.set_title("weighted sum, each pixel")
    spread = 0.5 * float(np.mean(look.state.target.cell))
    for axes, name, values in zip(
        rest, ["weighted sum", *names], [total, *of_layers], strict=False
    ):
        squares = cv2.GaussianBlur(np.square(values).sum(axis=2), (0, 0), spread)
        _heat(figure, axes, look, np.sqrt(squares), f"{label}, RMS over {spread:.2g} px")
        inside = 100 * inspection.share(values, look.found)
        axes.set_title(f"{name}: {inside:.0f} % in the box")
    return figure


def filters(look: Look, of_layers: Sequence[Floats], title: str) -> Figure:
    """Draw the ``inspection.templates`` that searched a frame.

    Of each layer these are the energy of all its channels, and the strongest channels.
    """
    names = look.config.response_names
    _, _, width, height = look.window
    wide, tall = _shape(look, 2.4, 3.0)
    across, down = max(wide + 0.2, 1.9), tall + 0.5
    first = wide + 1.9  # with numbers on the left and a bar on the right
    figure = _figure(first + STRONGEST * across + 0.9, down * len(names) + 1.0, title)
    lefts = [0.75, *(first + column * across for column in range(STRONGEST))]
    grid = [
        [_place(figure, left, 0.75 + row * down, wide, tall) for left in lefts]
        for row in range(len(names))
    ]
    place = (-width / 2, width / 2, height / 2, -height / 2)
    h, w = (float(side) for side in look.state.target.size)
    for row, name, template in zip(grid, names, of_layers, strict=True):
        energies = np.square(template).sum(axis=(1, 2))
        part = energies / (energies.sum() or 1.0)
        order = np.argsort(-energies)[:STRONGEST]
        whole = row[0].imshow(np.square(template).sum(axis=0), cmap="magma", vmin=0, extent=place)
        _bar(figure, row[0], whole, "sum of squares")
        row[0].set(title=f"{name}, all {len(template)} channels", ylabel="y (px)")
        most = float(np.abs(template[order]).max()) or 1.0
        for axes in row[1 + len(order) :]:  # the layer has fewer channels
            axes.set_axis_off()
        for axes, channel in zip(row[1:], order, strict=False):
            one = axes.imshow(template[channel], cmap="RdBu_r", vmin=-most, vmax=most, extent=place)
            axes.set_title(f"channel {channel}: {100 * part[channel]:.1f} %", fontsize=10)
            axes.set_yticklabels([])
        _bar(figure, row[len(order)], one, "weight of a feature")
        for axes, colour in zip(row, ["w", *["k"] * len(order)], strict=False):
            box = Rectangle((-w / 2, -h / 2), w, h, fill=False, edgecolor=colour, linewidth=1.2)
            axes.add_patch(box)
    for row in grid[:-1]:
        for axes in row:
            axes.set_xticklabels([])
    for axes in grid[-1]:
        axes.set_xlabel("x (px)")
    return figure


def layers(found: Mapping[str, Effect], title: str) -> Figure:
    """Plot the distance from the truth, one curve per setting, with gaps where it is unknown."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    axes = figure.subplots()
    looks = plots.colours(found[ALL].config.deepest_first)
    for name, effect in found.items():
        label = name
        if effect.scores is not None:
            label += f" [DP {100 * effect.scores.dp20:.1f}, AUC {effect.scores.auc:.3f}]"
        colour, style, width = "k", "-", 2.6
        for layer, (own, _) in looks.items():  # "without" a layer and it "alone" have its colour
            if layer in name.split():
                colour, style, width = own, "--" if name.startswith("without") else "-", 1.5
        frames = np.arange(1, len(effect.errors) + 1)
        axes.plot(frames, effect.errors, style, color=colour, linewidth=width, label=label)
    axes.axhline(CLOSE, color="#888888", linestyle=":", linewidth=1.2)
    axes.set_yscale("symlog", linthresh=CLOSE, linscale=2.0)
    most = max([2 * CLOSE, *(float(np.nanmax(e.errors, initial=0)) for e in found.values())])
    ticks = [0, 5, 10, 15, CLOSE, 30, 50, 100, 200, 500, 1000]
    axes.set_yticks([tick for tick in ticks if tick <= most])
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.set(title=title, xlabel="frame", ylabel="centre error (px)", ylim=(0, 1.1 * most))
    axes.set_xlim(1, max(2, *(len(e.errors) for e in found.values())))
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return figure


def _panels(look: Look, count: int, title: str) -> tuple[Figure, list[Axes]]:
    """Make a figure of axes in the search window's shape, row by row, with room for bars."""
    wide, tall = _shape(look, 3.2, 4.2)
    across, down = max(wide + 2.1, 3.9), tall + 0.9  # titles and numbers need that much
    rows = -(-count // _COLUMNS)
    figure = _figure(_COLUMNS * across, rows * down + 0.9, title)
    panels = []
    for index in range(count):
        row, column = divmod(index, _COLUMNS)
        left, top = column * across + (across - wide) / 2, 0.8 + row * down
        axes = _place(figure, left, top, wide, tall)
        if not column:
            axes.set_ylabel("y (px)")
        if row == rows - 1:
            axes.set_xlabel("x (px)")
        panels.append(axes)
    return figure, panels


def _shape(look: Look, widest: float, tallest: float) -> tuple[float, float]:
    """Return width and height in inches of a picture of the search window."""
    _, _, width, height = look.window
    scale = min(widest / width, tallest / height)
    return scale * width, scale * height


def _figure(width: float, height: float, title: str) -> Figure:
    """Make a figure of this size in inches; no layout of Matplotlib leaves room for the bars."""
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, y=1 - 0.12 / height)
    return figure


def _place(figure: Figure, left: float, top: float, wide: float, tall: float) -> Axes:
    """Add axes of this size, at this distance from the upper left corner, in inches."""
    width, height = figure.get_size_inches()
    low = height - top - tall
    return figure.add_axes((left / width, low / height, wide / width, tall / height))


def _draw_frame(axes: Axes, look: Look, *, grey: bool = False) -> None:
    height, width = look.frame.shape[:2]
    shown = look.frame.mean(axis=2) if grey else look.frame
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    axes.set_facecolor("#bbbbbb")  # where the window reaches beyond the frame
    _see(axes, look)


def _see(axes: Axes, look: Look) -> None:
    x, y, w, h = look.window
    axes.set(xlim=(x, x + w), ylim=(y + h, y))


def _response(figure: Figure, axes: Axes, look: Look, response: Floats) -> None:
    rows, columns = response.shape
    (top, left), (bottom, right) = look.place((0, 0)), look.place((rows - 1, columns - 1))
    tall, wide = (0.5 * float(side) for side in look.state.target.cell)
    place = (left - wide, right + wide, bottom + tall, top - tall)
    _draw_frame(axes, look, grey=True)
    levels = (response - response.min()) / (float(np.ptp(response)) or 1.0)
    style: dict[str, Any] = {"cmap": "viridis", "interpolation": "nearest"}
    heat = axes.imshow(response, alpha=0.3 + 0.6 * levels, extent=place, **style)
    _bar(figure, axes, heat, "response")
    _see(axes, look)


def _heat(figure: Figure, axes: Axes, look: Look, values: Floats, label: str) -> None:
    """Draw values ``[H, W]`` >= 0 over the window; the strongest single pixels are clipped."""
    x, y, w, h = look.window
    inside = values[max(y, 0) : y + h, max(x, 0) : x + w]
    most = float(np.percentile(inside, CLIPPED)) or 1.0
    _draw_frame(axes, look, grey=True)
    heat = axes.imshow(
        values,
        cmap="inferno",
        vmin=0,
        vmax=most,
        alpha=0.9 * np.sqrt(np.clip(values / most, 0, 1)),
        extent=(0, values.shape[1], values.shape[0], 0),
        interpolation="nearest",
    )
    _bar(figure, axes, heat, label, extend="max")
    _see(axes, look)
    _outline(axes, look.found, FOUND)


def _mark(axes: Axes, look: Look, peak: tuple[int, int]) -> None:
    """Mark no displacement, the one that was found, and the true one as an arrow."""
    row, column = look.position
    axes.plot(column, row, ".", color="w", **_dark(9))
    x, y, w, h = look.truth
    if (true := look.moved(look.truth)) is not None:
        axes.plot(x + w / 2, y + h / 2, "o", color=TRUE, markerfacecolor="none", **_SYMBOL)
        if np.hypot(*true) > 1:
            arrow = {"arrowstyle": "->", "color": TRUE, "linewidth": 1.6}
            axes.annotate("", (x + w / 2, y + h / 2), (column, row), arrowprops=arrow)
    row, column = look.place(peak)
    axes.plot(column, row, "+", color=FOUND, **_SYMBOL)


def _dark(size: float) -> dict[str, Any]:
    """Return the style of a white dot that is visible on white, too."""
    return {"linestyle": "none", "markersize": size, "markeredgecolor": "k", "markeredgewidth": 0.6}


def _outline(axes: Axes, box: Floats, colour: str) -> None:
    x, y, w, h = (float(v) for v in box)
    axes.add_patch(Rectangle((x, y), w, h, fill=False, edgecolor=colour, linewidth=1.6))


def _bar(figure: Figure, axes: Axes, of: AxesImage, label: str, extend: str = "neither") -> None:
    place = axes.inset_axes((1.02, 0.0, 0.04, 1.0))  # as high as the picture
    bar = figure.colorbar(of, cax=place, extend=extend)
    bar.set_label(label, fontsize=8)
    bar.formatter = ScalarFormatter(useMathText=True)
    bar.formatter.set_powerlimits((-2, 3))
    bar.ax.tick_params(labelsize=8)


def _several(names: Sequence[str]) -> int:
    """Return how many layers are drawn beside their sum, which a single layer is equal to."""
    return len(names) if len(names) > 1 else 0
