"""The object and several targets of one video, timed frame by frame."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments.throughput import video_cost, workload
from hcft_jax.core.config import TrackerConfig
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup

TINY = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32)


def test_all_targets_of_a_video_are_timed_alone_and_together(tmp_path: Path) -> None:
    one = workload.jpeg(tmp_path, (64, 80), 4, target=20.0)
    truth = tmp_path / one.name / "groundtruth_rect.txt"
    for number in (1, 2):
        shutil.copy(truth, truth.with_name(f"groundtruth_rect.{number}.txt"))
    truth.unlink()
    sequence, starts = video_cost.targets(workload.real(tmp_path))
    np.testing.assert_allclose(starts, [one.boxes[0]] * 2, atol=1e-4)
    result = video_cost.measure(TINY, lookup.random(), sequence, starts)
    assert result["frames"] == 3
    first, second = result["frames in which a target moved"]
    assert 0 <= first == second <= 3
    ways = {"step", "target 1 alone", "target 2 alone", "2 targets", "2 targets, each alone"}
    assert set(result["seconds"]) == ways
    pairs = {"target 1 alone / step", "2 targets / 2 targets, each alone"}
    assert set(result["ratios"]) == set(result["ratios of totals"]) == pairs
    for values in (*result["seconds"].values(), *result["ratios"].values()):
        assert 0 < values["lower quartile"] <= values["median"] <= values["upper quartile"]
    with pytest.raises(InputError, match="2 frames, but the video needs 3"):
        video_cost.measure(TINY, lookup.random(), sequence.part(0, 1), starts)


def test_one_of_the_drawn_targets_moves() -> None:
    sequence, starts = video_cost.drawn(3, 0.25)
    assert sequence.frames.read(0).shape == (90, 160, 3)
    assert starts.shape == (4, 4)
    np.testing.assert_array_equal(starts[0], sequence.boxes[0])
