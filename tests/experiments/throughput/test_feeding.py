"""The feed of a device that does nothing, and a device that never waits."""

from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.throughput import feeding, workload
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import geometry
from hcft_jax.core.target import Bucket
from hcft_jax.data.sequence import Sequence
from hcft_jax.weights import lookup

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)
SIZE = (64, 80)


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Sequence:
    return workload.jpeg(tmp_path_factory.mktemp("drawn"), SIZE, 9, target=20.0)


def test_each_size_of_image_has_its_rates(tmp_path: Path) -> None:
    found = feeding.measure(tmp_path, 2, 20, 2, [(48, 64), SIZE])
    assert [row["image"] for row in found["rows"]] == [(64, 48), (80, 64)]
    for row in found["rows"]:
        for name in ("from_memory", "from_files", "decoding", "ratio"):
            assert 0 < row[name]["least"] <= row[name]["median"] <= row[name]["most"]


def test_every_frame_that_counts_has_been_read(sequence: Sequence) -> None:
    class Counted(workload.InMemory):
        reads = 0

        def read(self, index: int) -> np.ndarray:
            type(self).reads += 1
            return super().read(index)

    source = Counted(tuple(map(sequence.frames.read, range(9))))
    assert feeding.delivered(source, SIZE, 3, 50) > 0
    assert Counted.reads >= 50


def test_frames_in_memory_are_those_of_the_files(sequence: Sequence) -> None:
    whole = workload.gather([sequence], SMALL, 1)
    (held,) = whole.in_memory().sequences
    assert held.frames.label(3) == "frame 3"
    assert len(held) == len(sequence)
    np.testing.assert_array_equal(held.frames.read(3), sequence.frames.read(3))


def test_a_device_that_never_waits_tracks_frames(sequence: Sequence) -> None:
    _, _, w, h = sequence.boxes[0]
    own = geometry((h, w), SIZE)
    bucket = Bucket(own.image, own.grid, own.window)
    params = jax.device_put(lookup.random().params)
    assert feeding.advanced(params, SMALL, sequence, bucket, 2, 3) > 0
