"""What a person looks at: a video of the track with its response maps, and a page of plots.

Boxes are 0-based (x, y, w, h) in pixels (hcft_jax.util.boxes), frames RGB uint8 ``[H, W, 3]``. Nothing
here opens a window: both write files, whole or not at all.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from hcft_jax.evaluation import metrics
from hcft_jax.util.boxes import to_file
from hcft_jax.util.files import replacing
from hcft_jax.visual.film import Film

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.floating[Any]]
Colour = tuple[int, int, int]

RED: Colour = (255, 40, 40)  # the tracked box
GREEN: Colour = (40, 220, 40)  # the ground truth
ORANGE: Colour = (255, 160, 0)  # the tracked box where the target counts as lost
GREY: Colour = (200, 200, 200)  # the search window
WHITE: Colour = (255, 255, 255)

_MIN_HEIGHT = 360  # frames below are enlarged, so that text and the panel's maps are legible
_MARGIN, _CAPTION = 6, 20  # of a response map in the panel, pixels
_AROUND = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
_SHIFT = 4  # OpenCV draws at 1/16 pixel


class OverlayWriter(Film):
    """Writes an .mp4 frame by frame: boxes over the frame, response maps in a panel beside it.

    ::

        with OverlayWriter("track.mp4", layers=("conv5_4", "conv4_4", "conv3_4")) as video:
            video.draw(frame, box, truth, responses, window, "PSR 9.3")

    The file appears when the block ends; after an exception there is none.
    """

    def __init__(self, path: str | Path, fps: float = 30.0, layers: Sequence[str] = ()):
        """A video at ``path`` (.mp4), with one map in the panel for each of the named layers.

        Raises:
            InputError: the path does not end in .mp4.
        """
        super().__init__(path, fps)
        self.layers = tuple(layers)
        self._drawn = 0

    def draw(
        self,
        frame: Image,
        box: npt.ArrayLike,
        truth: npt.ArrayLike | None = None,
        responses: Array | None = None,
        window: tuple[float, float, float, float] | None = None,
        text: str = "",
    ) -> None:
        """Appends a frame. Whatever lies outside of the frame is cut off.

        Args:
            frame: ``[H, W, 3]`` uint8 RGB, of one size throughout.
            box: The tracked box, drawn red; one that is not finite or has no area is left out.
            truth: The ground truth box, drawn green, likewise.
            responses: ``[L, gh, gw]``, a map for each layer, no displacement in the middle. Each is
                scaled to its own range; a cross marks its maximum. None leaves the panel dark.
            window: Top, left, height, width in pixels of the search window that the maps span.
            text: Stands after the frame number.

        Raises:
            InputError: the frame has another size than the first, or cannot be written.
        """
        self._drawn += 1
        outlines = []
        if window is not None:
            top, left, height, width = window
            outlines.append(Outline((left, top, width, height), GREY, 1))
        if truth is not None:
            outlines.append(Outline(truth, GREEN))
        outlines.append(Outline(box, RED))
        picture = outlined(frame, outlines, f"#{self._drawn}  {text}".rstrip())
        if self.layers:
            aspect = 1.0 if window is None else window[3] / window[2]
            panel = response_panel(picture.shape[0], self.layers, responses, aspect)
            picture = np.concatenate([picture, panel], axis=1)
        self.write(picture)


class Outline(NamedTuple):
    """A box to be drawn over a frame: 0-based (x, y, w, h), its colour, width and name."""

    box: npt.ArrayLike
    colour: Colour
    width: int = 2
    name: str = ""


def enlargement(frame: Image) -> int:
    """How many times its size a frame is shown at, so that text and maps are legible."""
    return -(-_MIN_HEIGHT // frame.shape[0])


def outlined(frame: Image, outlines: Iterable[Outline], text: str) -> Image:
    """A frame ``[H, W, 3]`` with boxes and a line of text; a small one is enlarged, a new array."""
    scale = enlargement(frame)
    picture = _resize(frame, (scale * frame.shape[1], scale * frame.shape[0]))
    for box, colour, width, name in outlines:
        _draw_box(picture, box, scale, colour, width)
        if name and np.isfinite(np.asarray(box)).all():
            x, y = (scale * np.asarray(box)[:2]).clip(0, 1e6).astype(int).tolist()
            _draw_text(picture, name, (x, max(12, y - 6)), 0.5)
    _draw_text(picture, text, (8, 24), 0.6)
    return picture


def _resize(picture: Image, size: tuple[int, int]) -> Image:
    """Bilinear, to ``size`` = (width, height); a new array, to be drawn on."""
    return np.array(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _draw_box(picture: Image, box: npt.ArrayLike, scale: int, colour: Colour, width: int) -> None:
    """Outlines a box of the frame's pixels in ``picture``, which is ``scale`` times the frame."""
    values = np.asarray(box, np.float64)
    x, y, w, h = np.clip(values, -1e100, 1e100)  # so that no sum below overflows
    if not np.isfinite(values).all() or w <= 0 or h <= 0:
        return
    # The outline runs through the centres of the outermost pixels, at integer coordinates.
    corners = np.array([[x, y], [max(x, x + w - 1), max(y, y + h - 1)]])
    corners = (corners + 0.5) * scale - 0.5
    # Far-away corners would overflow OpenCV's fixed point; here they are just out of sight.
    limit = np.array([picture.shape[1], picture.shape[0]]) + 8.0
    first, last = np.rint(np.clip(corners, -8.0, limit) * 2**_SHIFT).astype(int).tolist()
    cv2.rectangle(picture, first, last, colour, width, cv2.LINE_AA, _SHIFT)


def _draw_text(picture: Image, text: str, origin: tuple[int, int], size: float) -> None:
    """White on a dark outline, which is legible on anything. ``origin``: left, base line."""
    x, y = origin  # shifted copies: thicker black letters would stand further apart
    black: Colour = (0, 0, 0)
    for dx, dy, colour in [(*step, black) for step in _AROUND] + [(0, 0, WHITE)]:
        place = (x + dx, y + dy)
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def response_panel(
    height: int, layers: Sequence[str], responses: Array | None, aspect: float
) -> Image:
    """Response maps ``[L, gh, gw]`` one below the other, as ``panel``; None: only the names."""
    maps = [None] * len(layers) if responses is None else [*responses]
    tiles = [
        (name, None if m is None else functools.partial(_heat_map, m))
        for name, m in zip(layers, maps, strict=True)
    ]
    return panel(height, tiles, aspect)


def colour_panel(height: int, maps: Mapping[str, Array], aspect: float) -> Image:
    """Maps ``[h, w, 3]`` in [0, 1], by name, one below the other, as ``panel``."""
    tiles = [(name, functools.partial(_colour_map, m)) for name, m in maps.items()]
    return panel(height, tiles, aspect)


def panel(
    height: int,
    tiles: Sequence[tuple[str, Callable[[tuple[int, int]], Image] | None]],
    aspect: float,
) -> Image:
    """Pictures with their names, one below the other, ``[height, P, 3]``.

    Args:
        height: Of the panel. P depends on it and on the number of tiles only.
        tiles: Names, and what makes a picture of a given (width, height).
        aspect: Width by height of the pictures.
    """
    tile = height // len(tiles)
    drawn = np.full((height, tile + 2 * _MARGIN, 3), 24, np.uint8)
    room = tile - _CAPTION - 2 * _MARGIN  # for the longer side of a map
    for index, (name, picture) in enumerate(tiles):
        top = index * tile + _CAPTION
        _draw_text(drawn, name, (_MARGIN, top - 4), 0.45)
        if picture is None or room < 2:
            continue
        size = max(2, round(room * min(1, aspect))), max(2, round(room * min(1, 1 / aspect)))
        left = (drawn.shape[1] - size[0]) // 2
        drawn[top + 2 : top + 2 + size[1], left : left + size[0]] = picture(size)
    return drawn


def _colour_map(values: Array, size: tuple[int, int]) -> Image:
    """A map ``[h, w, 3]`` in [0, 1]; ``size`` = (width, height)."""
    return _resize((255 * np.clip(values, 0, 1)).astype(np.uint8), size)


def _heat_map(response: Array, size: tuple[int, int]) -> Image:
    """One response map ``[gh, gw]`` in colour, ``size`` = (width, height), its maximum crossed."""
    values = np.nan_to_num(np.asarray(response, np.float32), posinf=0.0, neginf=0.0)
    span = np.ptp(values)
    levels = (255 * (values - values.min()) / span if span else np.zeros_like(values)).astype("u1")
    coloured = cv2.applyColorMap(_resize(levels, size), cv2.COLORMAP_VIRIDIS)  # BGR
    picture = np.array(coloured[..., ::-1], np.uint8)
    row, column = np.unravel_index(values.argmax(), values.shape)
    x = int((column + 0.5) * size[0] / values.shape[1])
    y = int((row + 0.5) * size[1] / values.shape[0])
    cv2.drawMarker(picture, (x, y), RED, cv2.MARKER_CROSS, 9, 1)
    return picture


def plot_track(
    path: str | Path,
    boxes: npt.ArrayLike,
    truth: npt.ArrayLike,
    psr: npt.ArrayLike | None = None,
    title: str = "",
    first_frame: int = 1,
    *,
    sizes_only: bool = False,
) -> None:
    """Writes a PNG: centre error, overlap and PSR over the frames, success and precision curves.

    Args:
        path: The file, ``.png``.
        boxes: Tracked boxes ``[T, 4]``, 0-based.
        truth: Ground truth ``[T, 4]``, 0-based; frames where it is invalid are left out of the
            plots over the frames, and those where it is NaN of the curves as well.
        psr: Peak-to-sidelobe ratio of each frame ``[T]``; NaN leaves a gap. None: no such plot.
        title: Stands above.
        first_frame: The number of the first frame.
        sizes_only: As in ``data.sequence.Sequence``.

    Raises:
        InputError: the arrays do not fit, or the file cannot be written.
    """
    tracked, true = to_file(boxes), to_file(truth)
    if sizes_only:
        tracked, true = metrics.moved(tracked, true)
    _, overlaps, errors = metrics.per_frame(tracked, true)
    hidden = ~metrics.valid(true)
    frames = np.arange(first_frame, first_frame + len(true))

    series: list[tuple[str, Array, float | None]] = [
        ("Centre error (px)", np.where(hidden, np.nan, errors), 20.0),
        ("Overlap (IoU)", np.where(hidden, np.nan, overlaps), 0.5),
    ]
    if psr is not None:
        series.append(("PSR", np.asarray(psr, np.float64), None))
    figure = Figure(figsize=(11, 2.2 * len(series) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)  # not pyplot, whose global state would outlive the call
    figure.suptitle(title)
    left, right = figure.subfigures(1, 2, width_ratios=[3, 2], squeeze=False)[0]
    axes = left.subplots(len(series), 1, sharex=True)
    for axis, (label, values, threshold) in zip(axes, series, strict=True):
        axis.plot(frames, values, linewidth=1.2)
        if threshold is not None:
            axis.axhline(threshold, color="tab:red", linestyle="--", linewidth=1)
        axis.set(ylabel=label, ylim=(0, 1.02) if "IoU" in label else (0, None))
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("Frame")
    left.align_ylabels(axes)

    known = np.asarray(~np.isnan(true).any(axis=1))
    if known.all() or known[1:].any():
        tracked = metrics.repair(tracked, true)
        _curves(right, overlaps[known], errors[known], metrics.score(tracked[known], true[known]))
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _curves(
    figure: SubFigure, overlaps: metrics.Floats, errors: metrics.Floats, scores: metrics.Scores
) -> None:
    upper, lower = figure.subplots(2, 1)
    success, precision = metrics.success_curve(overlaps), metrics.precision_curve(errors)
    _curve(upper, metrics.SUCCESS_THRESHOLDS, success, "Overlap threshold", "Success rate")
    upper.set_title(f"AUC {scores.auc:.3f}   OS@0.5 {100 * scores.os50:.1f} %", fontsize="medium")
    _curve(
        lower, metrics.PRECISION_THRESHOLDS, precision, "Centre error threshold (px)", "Precision"
    )
    lower.set_title(f"DP@20 {100 * scores.dp20:.1f} %   CLE {scores.cle:.1f} px", fontsize="medium")


def _curve(axis: Axes, x: metrics.Floats, y: metrics.Floats, xlabel: str, ylabel: str) -> None:
    axis.plot(x, y, linewidth=1.6)
    axis.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, x[-1]), ylim=(0, 1.02))
    axis.grid(alpha=0.3)
