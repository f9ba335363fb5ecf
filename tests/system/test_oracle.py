"""The authors' own program, run frame by frame: config cf2 must be at the same pixel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcft_jax.core.tracker import Params
from hcft_jax.data import datasets
from hcft_jax.data.frames import ImageFiles
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util.boxes import parse, to_file
from tests.conftest import SHARED, shared

WHOLE = sorted(path.stem for path in Path(SHARED, "oracle", "iccv").glob("*.txt"))


def tracked(
    params: Params, name: str, frames: int | None, precision: str = "float32"
) -> tuple[np.ndarray, np.ndarray]:
    """Our boxes and the authors', 1-based, frame by frame."""
    expected = parse(shared("oracle", "iccv", f"{name}.txt"))[:frames]
    (target,) = datasets.find(shared("otb"), names=[name])
    sequence = target.load()
    assert isinstance(sequence.frames, ImageFiles)
    files = ImageFiles(sequence.frames.paths[: len(expected)])
    sequence = replace(sequence, frames=files, boxes=sequence.boxes[: len(expected)])
    config = replace(settings.load("cf2").tracker, precision=precision)
    chunks = track_sequence(config.network.placed(params, precision), config, sequence)
    boxes = to_file(np.concatenate([chunk.boxes for chunk in chunks]))
    assert boxes.shape == expected.shape
    np.testing.assert_array_equal(boxes[:, 2:], expected[:, 2:])
    return boxes, expected


def deviations(params: Params, name: str, frames: int | None = None) -> np.ndarray:
    """Distance of our centres from the authors' in pixels, frame by frame."""
    boxes, expected = tracked(params, name, frames)
    centres, authors = (b[:, :2] + b[:, 2:] / 2 for b in (boxes, expected))
    return np.asarray(np.linalg.norm(centres - authors, axis=1))


BEGINNINGS = pytest.mark.parametrize(
    ("name", "frames"), [("Deer", 25), ("David", 15), ("Girl", 10)]
)


@BEGINNINGS
def test_the_authors_trajectory_begins_like_this(imagenet: Params, name: str, frames: int) -> None:
    assert deviations(imagenet, name, frames).max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE or ["Deer"])
def test_the_authors_whole_trajectory(imagenet: Params, name: str) -> None:
    assert deviations(imagenet, name).max() < 0.5


@pytest.mark.slow  # a CPU takes four times as long as in float32
@BEGINNINGS
def test_three_products_of_bfloat16_leave_the_boxes_of_float32(
    imagenet: Params, name: str, frames: int
) -> None:
    boxes, _ = tracked(imagenet, name, frames)
    near, _ = tracked(imagenet, name, frames, "bfloat16x3")
    np.testing.assert_array_equal(near, boxes)
