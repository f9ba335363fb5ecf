"""One target in parts: the boxes of the tracker's step, and nothing compiled for another size."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Frame
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run import single
from hcft_jax.util import compilation
from hcft_jax.util.errors import InputError

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)
STARTS = [(28, 20, 24, 24), (5.5, 8, 30, 17), (50, 30, 12, 26), (20, 20, 41, 18)]


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    drawn = Synthetic(frames=8, height=64, width=80, target=(24, 24), motion=18.0, seed=3)
    sequence = synthetic(drawn)
    return [sequence.frames.read(i) for i in range(len(sequence))]


def tracked(way: Any, params: Params, config: TrackerConfig, frames: list[Frame], box: Any) -> Any:
    """Return boxes ``[T, 4]`` and PSRs ``[T - 1]`` by ``init`` and ``step`` of a module."""
    state = way.init(params, config, frames[0], box)
    boxes, scores = [np.asarray(detection.box(state))], []
    for frame in frames[1:]:
        state, output = way.step(params, config, state, frame)
        boxes.append(np.asarray(output.box))
        scores.append(float(output.psr))
    return np.stack(boxes), np.array(scores)


def assert_same(params: Params, config: TrackerConfig, frames: list[Frame], box: Any) -> Any:
    (own, psr), (expected, scores) = (
        tracked(way, params, config, frames, box) for way in (single, tracker)
    )
    np.testing.assert_array_equal(own, expected)
    np.testing.assert_allclose(psr, scores, rtol=1e-4, atol=1e-5)
    return own


def test_the_boxes_are_those_without_padding(params: Params, frames: list[Frame]) -> None:
    boxes = [assert_same(params, SMALL, frames, start) for start in STARTS[:2]]
    moved = np.diff(boxes, axis=1).any(axis=2)
    assert moved.any()
    assert not moved.all()


@pytest.mark.parametrize(
    "change",
    [{"dft": "fft"}, {"grid": 9}, {"update": "cf2", "search": "sum", "hypercolumn": True}],
    ids=str,
)
def test_the_boxes_are_the_same_in_any_configuration(
    change: dict[str, Any], params: Params, frames: list[Frame]
) -> None:
    config = replace(SMALL, **change)
    if config.grid is None:
        assert_same(params, config, frames, STARTS[0])
    else:  # cells are fractions of pixels
        (own, _), (expected, _) = (
            tracked(way, params, config, frames, STARTS[0]) for way in (single, tracker)
        )
        np.testing.assert_allclose(own, expected, atol=1e-4)


def test_another_size_compiles_nothing(params: Params, frames: list[Frame]) -> None:
    tracked(single, params, SMALL, frames, STARTS[0])
    before = compilation.total()
    for start in STARTS[1:]:
        tracked(single, params, SMALL, frames, start)
    assert (compilation.total() - before).executables == 0


def test_another_bucket_and_another_image_compile_no_network(params: Params) -> None:
    image = np.random.default_rng(0).integers(0, 256, (170, 180, 3), dtype=np.uint8)
    single.init(params, SMALL, image, STARTS[0])
    before = compilation.total()
    single.init(params, SMALL, image, (20, 20, 80, 80))
    # the crop, training, detection, learning
    assert (compilation.total() - before).executables == 4
    before = compilation.total()
    single.init(params, SMALL, image[:-1], (20, 20, 80, 80))
    assert (compilation.total() - before).executables == 1  # the crop


def test_a_box_that_cannot_be_tracked_is_refused(params: Params, frames: list[Frame]) -> None:
    with pytest.raises(InputError, match="is empty"):
        single.init(params, SMALL, frames[0], (3, 3, 0, 9))
