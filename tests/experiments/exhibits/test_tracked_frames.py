import numpy as np
import pytest
from matplotlib.patches import Rectangle

from experiments.exhibits import tracked_frames
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.util.boxes import from_file
from hcft_jax.util.errors import InputError


class Blank:
    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Frame:
        return np.full((60, 120, 3), 10 * index, np.uint8)

    def label(self, index: int) -> str:
        return f"frame {index}"


def sequence(small: Benchmark, name: str) -> Sequence:
    target = small.targets[name]
    return Sequence(name, Blank(len(target.truth)), from_file(target.truth), target.first_frame)


def strip(small: Benchmark, name: str, *numbers: int, count: int = 4) -> tracked_frames.Strip:
    target = small.targets[name]
    boxes = {"a": target.truth + 5, "b": target.truth + 9}
    boxes["b"][2] = np.nan
    return tracked_frames.strip(sequence(small, name), target, boxes, numbers, count)


@pytest.mark.parametrize(
    ("numbers", "count", "indices"),
    [((11, 15), 4, [0, 4]), ((), 2, [2, 4]), ((), 4, [1, 2, 3, 4]), ((), 9, [1, 2, 3, 4])],
)
def test_frames_are_those_named_or_evenly_spaced(
    numbers: tuple[int, ...], count: int, indices: list[int], small: Benchmark
) -> None:
    assert strip(small, "Human4-2", *numbers, count=count).indices == indices


@pytest.mark.parametrize("number", [10, 16])
def test_a_frame_outside_is_named(number: int, small: Benchmark) -> None:
    with pytest.raises(InputError, match=f"Human4-2: frame {number} is not one of 11 to 15"):
        strip(small, "Human4-2", number)


def test_other_frames_than_the_annotated_ones_are_refused(small: Benchmark) -> None:
    target = small.targets["One"]
    with pytest.raises(InputError, match="6 frames, but 4 are annotated"):
        tracked_frames.strip(sequence(small, "Two-1"), target, {"a": target.truth})
    with pytest.raises(InputError, match="no tracker"):
        tracked_frames.strip(sequence(small, "One"), target, {})


def test_boxes_lie_where_the_pixels_are(small: Benchmark) -> None:
    strips = [strip(small, "Human4-2", 11, 13), strip(small, "One", 2)]
    figure = tracked_frames.figure(strips, truth=True)
    assert len(figure.axes) == 3
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["Human4-2 #11", "#13", "One #2"]
    first, third, other = figure.axes
    by_colour = [
        {p.get_edgecolor(): p for p in axes.patches if isinstance(p, Rectangle)}
        for axes in (first, third, other)
    ]
    assert all(len(of) == 3 for of in by_colour)
    assert set(by_colour[0]) == set(by_colour[1]) == set(by_colour[2])

    def corners(axes_index: int) -> list[tuple[float, float]]:
        patches = [p for p in figure.axes[axes_index].patches if isinstance(p, Rectangle)]
        return [p.get_xy() for p in reversed(patches)]  # drawn last lies on top: the first tracker

    # 1-based (20, 30): the pixel with index (19, 29), whose edge is at 18.5; frame 1 is the given
    assert corners(0) == [(18.5, 28.5)] * 3
    # the third box of b is broken: that of the frame before
    assert corners(1) == [(29.5, 33.5), (30.5, 37.5), (24.5, 28.5)]
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["a", "b", "ground truth"]


def test_equal_boxes_are_all_seen(small: Benchmark) -> None:
    figure = tracked_frames.figure([strip(small, "Human4-2", 11)])
    widths = [p.get_linewidth() for p in figure.axes[0].patches]
    assert len(widths) == 2
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 2
