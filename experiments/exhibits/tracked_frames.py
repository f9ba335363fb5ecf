"""Figures 8 and 9: frames with the boxes of all trackers, of successes and of failures."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hcft_jax.data import sequence
from hcft_jax.evaluation import metrics, plots
from hcft_jax.evaluation.annotations import AnnotatedTarget
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError

TRUTH = "ground truth"
_TRUTH_LOOK = ("#ffd000", "-")
_WIDTH = 3.0  # inches per frame
_GAP = 0.05


class Strip(NamedTuple):
    """Some frames of one sequence.

    Attributes:
        video: The frames and their file numbers.
        indices: Which frames, from 0.
        boxes: By tracker, 1-based ``[T, 4]``, of all T frames.
        truth: Ground truth, 1-based ``[T, 4]``.
    """

    video: sequence.Sequence
    indices: list[int]
    boxes: Mapping[str, Boxes]
    truth: Boxes


def strip(
    video: sequence.Sequence,
    target: AnnotatedTarget,
    boxes: Mapping[str, Boxes],
    numbers: Sequence[int] = (),
    count: int = 4,
) -> Strip:
    """Choose the frames of a sequence to show.

    Args:
        video: The sequence's frames.
        target: Its annotation.
        boxes: By tracker, 1-based ``[T, 4]``, of the evaluated frames.
        numbers: File numbers of the frames. If there are none, ``count`` frames are evenly spaced;
            the last one is among them and the first one, where every box is the given one, is not.
        count: Number of frames to show if none are named.

    Raises:
        InputError: the frames are not the annotated ones, there is no frame of such a number, or
            no tracker has the sequence.
    """
    length, first = len(video), video.first_frame
    if length != len(target.truth):
        raise InputError(f"{target.name}: {length} frames, but {len(target.truth)} are annotated")
    if not boxes:
        raise InputError(f"{target.name}: no tracker has a result of it")
    for number in numbers:
        if not first <= number < first + length:
            last = first + length - 1
            raise InputError(f"{target.name}: frame {number} is not one of {first} to {last}")
    indices = [number - first for number in numbers]
    if not indices:
        evenly = np.linspace(0, length - 1, min(count, length - 1) + 1).round()[1:]
        indices = [int(index) for index in evenly] or [0]
    return Strip(video, indices, boxes, target.truth)


def figure(strips: Sequence[Strip], *, truth: bool = False) -> Figure:
    """Draw Figures 8 and 9: one row per sequence, one column per frame, file numbers in corners.

    A broken box is drawn as the toolkit judges it: as the one before. Colours follow the order in
    which trackers first occur; a legend below names them. The first tracker lies on top, with the
    thinnest line, so that all of several equal boxes are visible.

    Args:
        strips: At least one strip.
        truth: Whether to draw the ground truth too, in yellow.

    Raises:
        InputError: a frame cannot be read.
    """
    looks = plots.colours(tracker for strip in strips for tracker in strip.boxes)
    if truth:
        looks[TRUTH] = _TRUTH_LOOK
    images = [[strip.video.frames.read(i) for i in strip.indices] for strip in strips]
    heights = [_WIDTH * row[0].shape[0] / row[0].shape[1] for row in images]
    across = max(map(len, images))
    width = across * (_WIDTH + _GAP) + _GAP
    lines = -(-len(looks) // max(1, int(width / 1.9)))  # the legend's
    legend = 0.1 + 0.24 * lines
    height = sum(heights) + _GAP * (len(strips) + 1) + legend
    drawn = Figure(figsize=(width, height))
    top = height - _GAP
    for one, row, tall in zip(strips, images, heights, strict=True):
        for column, (index, image) in enumerate(zip(one.indices, row, strict=True)):
            left = _GAP + column * (_WIDTH + _GAP)
            place = (left / width, (top - tall) / height, _WIDTH / width, tall / height)
            axes = drawn.add_axes(place)
            axes.imshow(image, interpolation="bilinear", aspect="auto")
            axes.set_axis_off()
            drawn_boxes = {t: metrics.repair(b, one.truth)[index] for t, b in one.boxes.items()}
            if truth and metrics.valid(one.truth)[index]:
                drawn_boxes[TRUTH] = one.truth[index]
            for place, (tracker, box) in reversed(list(enumerate(drawn_boxes.items()))):
                axes.add_patch(_outline(box, looks[tracker], 1.4 + 0.3 * place))
            number = f"#{one.video.first_frame + index}"
            text = number if column else f"{one.video.name} {number}"
            label = axes.text(
                0.02, 0.97, text, transform=axes.transAxes, va="top", color="white", fontsize=10
            )
            label.set_path_effects([patheffects.withStroke(linewidth=2, foreground="black")])
        top -= tall + _GAP
    handles = [Line2D([], [], linewidth=2, label=plots.short(tracker)) for tracker in looks]
    for handle, (colour, style) in zip(handles, looks.values(), strict=True):
        handle.set(color=colour, linestyle=style)
    drawn.legend(
        handles=handles, loc="lower center", ncol=-(-len(looks) // lines), fontsize=9, frameon=False
    )
    return drawn


def _outline(box: Boxes, look: tuple[str, str], width: float) -> Rectangle:
    """Return a 1-based box in the axes of an image, whose pixel (1, 1) spans -0.5 to 0.5."""
    x, y, w, h = box
    colour, style = look
    corner = (x - 1.5, y - 1.5)
    return Rectangle(corner, w, h, fill=False, edgecolor=colour, linestyle=style, linewidth=width)
