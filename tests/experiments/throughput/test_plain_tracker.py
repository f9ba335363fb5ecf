"""The two-pass tracker gives the boxes of the one that skips passes."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from experiments.throughput import plain_tracker
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run.streaming import track_sequence

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)


@pytest.mark.parametrize("frames", [1, 4, 10])
def test_boxes_are_those_of_the_tracker(params: Params, frames: int) -> None:
    drawn = Synthetic(frames=frames, height=64, width=80, target=(20, 20), motion=12.0)
    sequence = synthetic(drawn)
    config = replace(SMALL, dft="fft")
    boxes = np.concatenate(list(plain_tracker.track_sequence(params, config, sequence, chunk=4)))
    ours = np.concatenate([t.boxes for t in track_sequence(params, SMALL, sequence)])
    np.testing.assert_array_equal(boxes, ours)


def test_it_has_two_passes_whether_the_target_moves_or_not(params: Params) -> None:
    def compiled(function: Any, *arguments: Any) -> str:
        return str(jax.jit(function).lower(params, SMALL, *arguments).compile().as_text())

    sequence = synthetic(Synthetic(frames=2, height=64, width=80, target=(20, 20), motion=12.0))
    image = sequence.frames.read(0)
    state = tracker.init(params, replace(SMALL, dft="fft"), image, sequence.boxes[0])
    frame = compiled(plain_tracker.step, state, image)
    network = compiled(tracker.features, np.zeros((32, 32, 3), np.float32))
    assert frame.count(" convolution(") == 2 * network.count(" convolution(") > 0
    assert " conditional(" not in frame
