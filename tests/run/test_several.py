"""Several targets as one batch against each by itself."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run.several import Several
from hcft_jax.util import compilation
from hcft_jax.util.errors import InputError

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)
STARTS = [(25.0, 20.0, 20.0, 20.0), (5.5, 8.0, 30.0, 17.0), (50.0, 30.0, 12.0, 26.0)]


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return synthetic(Synthetic(frames=12, height=64, width=80, target=(20, 20), motion=20.0))


@pytest.fixture(scope="module")
def frames(sequence: Sequence) -> list[Frame]:
    return [sequence.frames.read(i) for i in range(len(sequence))]


def alone(params: Params, frames: list[Frame], box: npt.ArrayLike) -> np.ndarray:
    state = tracker.init(params, SMALL, frames[0], np.asarray(box))
    boxes = [np.asarray(detection.box(state))]
    for frame in frames[1:]:
        state, output = tracker.step(params, SMALL, state, frame)
        boxes.append(np.asarray(output.box))
    return np.stack(boxes)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_target_has_the_boxes_that_it_has_alone(
    count: int, params: Params, sequence: Sequence, frames: list[Frame]
) -> None:
    starts = [tuple(map(float, sequence.boxes[0])), *STARTS, *STARTS][:count]
    several = Several(params, SMALL, frames[0], starts)
    boxes = [several.boxes, *(np.asarray(several.update(frame).box) for frame in frames[1:])]
    expected = np.stack([alone(params, frames, box) for box in starts])
    np.testing.assert_allclose(np.stack(boxes, axis=1), expected, atol=1e-4)
    moved = (np.diff(expected, axis=1) != 0).any(axis=2)
    assert moved.any()
    assert not moved.all()


def test_a_grid_for_all_targets_is_kept(params: Params, frames: list[Frame]) -> None:
    config = replace(SMALL, grid=9)
    several = Several(params, config, frames[0], STARTS)
    state = tracker.init(params, config, frames[0], STARTS[2])
    for frame in frames[1:4]:
        state, output = tracker.step(params, config, state, frame)
        np.testing.assert_allclose(several.update(frame).box[2], output.box, atol=1e-4)


def test_everything_is_compiled_before_the_first_update(
    params: Params, frames: list[Frame]
) -> None:
    several = Several(params, SMALL, frames[0], STARTS)
    before = compilation.total()
    for frame in frames[1:]:
        several.update(frame)
    assert (compilation.total() - before).executables == 0


def test_other_boxes_of_as_many_targets_compile_nothing(
    params: Params, frames: list[Frame]
) -> None:
    Several(params, SMALL, frames[0], STARTS)
    starts = [(10.0, 12.0, 31.0, 22.0), (44.0, 9.0, 14.0, 29.0), (20.0, 30.0, 19.0, 18.0)]
    before = compilation.total()
    several = Several(params, SMALL, frames[0], starts)
    boxes = [several.boxes, *(np.asarray(several.update(frame).box) for frame in frames[1:])]
    assert (compilation.total() - before).executables == 0
    expected = np.stack([alone(params, frames, box) for box in starts])
    np.testing.assert_allclose(np.stack(boxes, axis=1), expected, atol=1e-4)


def test_what_cannot_be_batched_is_refused(params: Params, frames: list[Frame]) -> None:
    config = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32, dft="fft")
    with pytest.raises(InputError, match="dft: several targets need"):
        Several(params, config, frames[0], STARTS)
