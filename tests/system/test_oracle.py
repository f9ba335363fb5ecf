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


def deviations(params: Params, name: str, frames: int | None = None) -> np.ndarray:
    """Distance of our centres from the authors' in pixels, frame by frame."""
    expected = parse(shared("oracle", "iccv", f"{name}.txt"))[:frames]
    (target,) = datasets.find(shared("otb"), names=[name])
    sequence = target.load()
    assert isinstance(sequence.frames, ImageFiles)
    files = ImageFiles(sequence.frames.paths[: len(expected)])
    sequence = replace(sequence, frames=files, boxes=sequence.boxes[: len(expected)])
    chunks = track_sequence(params, settings.load("cf2").tracker, sequence)
    boxes = to_file(np.concatenate([chunk.boxes for chunk in chunks]))
    assert boxes.shape == expected.shape
    np.testing.assert_array_equal(boxes[:, 2:], expected[:, 2:])
    centres, authors = (b[:, :2] + b[:, 2:] / 2 for b in (boxes, expected))
    return np.asarray(np.linalg.norm(centres - authors, axis=1))


@pytest.mark.parametrize(("name", "frames"), [("Deer", 25), ("David", 15), ("Girl", 10)])
def test_the_authors_trajectory_begins_like_this(imagenet: Params, name: str, frames: int) -> None:
    assert deviations(imagenet, name, frames).max() < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE or ["Deer"])
def test_the_authors_whole_trajectory(imagenet: Params, name: str) -> None:
    assert deviations(imagenet, name).max() < 0.5
