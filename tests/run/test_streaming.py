import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hcft_jax.backbones.backbone import Params
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Frame, FrameSource, Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import compilation
from hcft_jax.util.errors import InputError

SMALL = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32)
DRAWN = Synthetic(frames=11, height=64, width=80, target=(20, 20), motion=12.0)


class Broken:
    """Frames of which one cannot be read."""

    def __init__(self, frames: FrameSource, bad: int) -> None:
        self.frames, self.bad = frames, bad

    def __len__(self) -> int:
        return len(self.frames)

    def label(self, index: int) -> str:
        return self.frames.label(index)

    def read(self, index: int) -> Frame:
        if index == self.bad:
            raise InputError("broken.png: truncated")
        return self.frames.read(index)


def boxes(params: Params, sequence: Sequence, chunk: int) -> np.ndarray:
    tracked = track_sequence(params, SMALL, sequence, chunk=chunk)
    return np.concatenate([t.boxes for t in tracked])


@pytest.mark.parametrize("chunk", [1, 4, 5, 32])
def test_every_frame_gets_its_box_whatever_the_chunk(params: Params, chunk: int) -> None:
    sequence = synthetic(DRAWN)
    tracked = boxes(params, sequence, chunk)
    assert tracked.shape == sequence.boxes.shape
    np.testing.assert_array_equal(tracked, boxes(params, sequence, 3))


def test_a_sequence_of_one_frame_is_its_first_box(params: Params) -> None:
    sequence = synthetic(replace(DRAWN, frames=1))
    assert boxes(params, sequence, 4).shape == (1, 4)


@pytest.mark.parametrize("bad", [1, 4, 5, 10])
def test_frames_before_a_bad_one_are_tracked(params: Params, bad: int) -> None:
    sequence = synthetic(DRAWN)
    broken = replace(sequence, frames=Broken(sequence.frames, bad))
    seen: list[np.ndarray] = []
    tracked = track_sequence(params, SMALL, broken, chunk=4)
    with pytest.raises(InputError, match="truncated"):
        seen.extend(box for t in tracked for box in t.boxes)
    np.testing.assert_array_equal(seen, boxes(params, sequence, 4)[:bad])


def test_nothing_is_compiled_within_a_sequence_nor_for_another_of_its_size(params: Params) -> None:
    tracked = track_sequence(params, SMALL, synthetic(DRAWN), chunk=4)
    next(tracked)
    before = compilation.total()
    list(tracked)
    boxes(params, synthetic(replace(DRAWN, seed=1, frames=7)), 4)
    assert (compilation.total() - before).executables == 0


MEMORY = """
import resource, sys
import jax
from hcft_jax import Synthetic, TrackerConfig, synthetic, track_sequence
from hcft_jax.weights import lookup
params = jax.device_put(lookup.random().params)
config = TrackerConfig(layers=("conv1_1",), gamma=(1.0,), input_size=32)
drawn = Synthetic(frames=int(sys.argv[1]), height=480, width=640, target=(40, 40))
for _ in track_sequence(params, config, synthetic(drawn), with_responses=True):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length() -> None:
    peaks = []
    for frames in ("200", "2000"):
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, frames], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    # 1,800 frames of 640 x 480 would be 1.6 GiB; the allocator's noise is some per cent
    assert peaks[1] < 1.05 * peaks[0]
