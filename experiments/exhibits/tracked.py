"""Figures 8 and 9: frames with everyone's boxes, where it goes well and where it does not."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from hcft_jax.data import sequence as data
from hcft_jax.evaluation import metrics, plots
from hcft_jax.evaluation.annotations import AnnotatedTarget
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError

TRUTH = "ground truth"
_TRUTH_LOOK = ("#ffd000", "-")
_WIDTH = 3.0  # inches a frame
_GAP = 0.05


class Strip(NamedTuple):
    """Some frames of one sequence.

    Attributes:
        sequence: Its frames and their file numbers.
        indices: Which frames, from 0.
        boxes: By tracker, 1-based ``[T, 4]``, of all T frames.
        truth: 1-based ``[T, 4]``.
    """

    sequence: data.Sequence
    indices: list[int]
    boxes: Mapping[str, Boxes]
    truth: Boxes


def strip(
    sequence: data.Sequence,
    target: AnnotatedTarget,
    boxes: Mapping[str, Boxes],
    numbers: Sequence[int] = (),
    count: int = 4,
) -> Strip:
    """The frames of a sequence to show.

    Args:
        sequence: As ``data.otb.load`` gives it.
        target: Its annotation.
        boxes: By tracker, 1-based, of the evaluated frames ``[T, 4]``.
        numbers: File numbers of the frames. None given: ``count`` frames, evenly spaced, the last
            one among them and the first one not, in which everyone has the given box.
        count: See there.

    Raises:
        InputError: the frames are not the annotated ones, a number is none of theirs, or no
            tracker has the sequence.
    """
    length, first = len(sequence), sequence.first_frame
    if length != len(target.truth):
        raise InputError(f"{target.name}: {length} frames, {len(target.truth)} are annotated")
    if not boxes:
        raise InputError(f"{target.name}: no tracker has a result of it")
    for number in numbers:
        if not first <= number < first + length:
            last = first + length - 1
            raise InputError(f"{target.name}: frame {number} is none of {first} to {last}")
    indices = [number - first for number in numbers]
    if not indices:
        evenly = np.linspace(0, length - 1, min(count, length - 1) + 1).round()[1:]
        indices = [int(index) for index in evenly] or [0]
    return Strip(sequence, indices, boxes, target.truth)


def figure(strips: Sequence[Strip], *, truth: bool = False) -> Figure:
    """Figures 8 and 9: a row a sequence, a column a frame, the file number in its corner.

    A broken box is drawn as the toolkit judges it: as the one before. Colours go by the order in
    which trackers occur; below, a legend. The first tracker lies on top, with the thinnest line:
    of equal boxes all are seen.

    Args:
        strips: At least one.
        truth: Whether the ground truth is drawn too, in yellow.

    Raises:
        InputError: a frame cannot be read.
    """
    looks = plots.colours(tracker for strip in strips for tracker in strip.boxes)
    if truth:
        looks[TRUTH] = _TRUTH_LOOK
    images = [[strip.sequence.frames.read(i) for i in strip.indices] for strip in strips]
    heights = [_WIDTH * row[0].shape[0] / row[0].shape[1] for row in images]
    across = max(map(len, images))
    width = across * (_WIDTH + _GAP) + _GAP
    lines = -(-len(looks) // max(1, int(width / 1.9)))  # of the legend
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
            number = f"#{one.sequence.first_frame + index}"
            text = number if column else f"{one.sequence.name} {number}"
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
    """A 1-based box in the axes of an image, whose pixel (1, 1) spans -0.5 to 0.5."""
    x, y, w, h = box
    colour, style = look
    corner = (x - 1.5, y - 1.5)
    return Rectangle(corner, w, h, fill=False, edgecolor=colour, linestyle=style, linewidth=width)
