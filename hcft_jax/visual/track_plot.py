"""A page of plots of one track: its errors over the frames and its curves."""

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from hcft_jax.evaluation import metrics, plots
from hcft_jax.util.boxes import to_file


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
    """Write a PNG: centre error, overlap and PSR over the frames, success and precision curves.

    Args:
        path: The file, ``.png``.
        boxes: Tracked boxes ``[T, 4]``, 0-based.
        truth: Ground truth ``[T, 4]``, 0-based. The plots over the frames leave out frames where
            it is invalid; the curves leave out frames where it is NaN.
        psr: Peak-to-sidelobe ratio of each frame ``[T]``; NaN leaves a gap. None: no such plot.
        title: It is written above the plots.
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

    series: list[tuple[str, metrics.Floats, float | None]] = [
        ("Centre error (px)", np.where(hidden, np.nan, errors), 20.0),
        ("Overlap (IoU)", np.where(hidden, np.nan, overlaps), 0.5),
    ]
    if psr is not None:
        series.append(("PSR", np.asarray(psr, np.float64), None))
    figure = Figure(figsize=(11, 2.2 * len(series) + 0.8), layout="constrained")
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
    plots.save(figure, path, dpi=110)


class _Shown(Figure):
    """A figure that notebooks show, whatever of Matplotlib they have set up."""

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file, as notebooks show it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=80)
    return picture.getvalue()


def answers(
    frames: npt.ArrayLike, boxes: npt.ArrayLike, scores: npt.ArrayLike, lost: npt.ArrayLike
) -> Figure:
    """Return a figure of a track without truth: the box's centre, its size, and the score.

    Args:
        frames: The frames' numbers ``[T]``.
        boxes: x, y, w, h ``[T, 4]`` in pixels.
        scores: The PSR of each frame ``[T]``; NaN leaves a gap.
        lost: Whether the target counts as lost ``[T]``; these frames are shaded.
    """
    numbers, rows = np.asarray(frames), np.asarray(boxes, np.float64)
    order = np.argsort(numbers, kind="stable")  # a video may be tracked backwards
    numbers, rows, gone = numbers[order], rows[order], np.asarray(lost)[order]
    figure = _Shown(figsize=(11, 3.6), layout="constrained")
    path, *others = figure.subplot_mosaic([["path", "size"], ["path", "score"]]).values()
    centres = rows[:, :2] + rows[:, 2:] / 2
    path.plot(*centres.T, linewidth=0.8, color="0.6")
    points = path.scatter(centres[:, 0], centres[:, 1], c=numbers, s=6)
    figure.colorbar(points, ax=path, label="Frame")
    path.set(xlabel="x (px)", ylabel="y (px)", title="Centre of the box", aspect="equal")
    path.invert_yaxis()
    path.grid(alpha=0.3)
    size, score = others
    size.plot(numbers, rows[:, 2], label="width")
    size.plot(numbers, rows[:, 3], label="height")
    size.set(ylabel="Size (px)", ylim=(0, None))
    size.legend(loc="lower left", fontsize="small")
    score.plot(numbers, np.asarray(scores, np.float64)[order], linewidth=1.2)
    score.set(ylabel="Score (PSR)", xlabel="Frame", ylim=(0, None))
    for axis in others:
        axis.grid(alpha=0.3)
        whole = axis.get_xaxis_transform()  # from the bottom to the top
        axis.fill_between(
            numbers, 0, 1, where=gone, step="mid", transform=whole, color="tab:red", alpha=0.15
        )
    return figure


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
