"""The authors' own programs, run frame by frame: we must be at the same pixel.

Config cf2 is their program of 2015 (``oracle/iccv``), cf2_head that of 2018 (``oracle/head``),
which follows the target's size, too.
"""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import sampling, scale
from hcft_jax.data import datasets
from hcft_jax.data.frames import ImageFiles
from hcft_jax.data.sequence import Sequence
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util.boxes import parse, to_file
from tests.conftest import SHARED, shared

WHOLE = sorted(path.stem for path in Path(SHARED, "oracle", "iccv").glob("*.txt"))


def beginning(name: str, frames: int) -> Sequence:
    """The first frames of a sequence of OTB."""
    (target,) = datasets.find(shared("otb"), names=[name])
    sequence = target.load()
    assert isinstance(sequence.frames, ImageFiles)
    files = ImageFiles(sequence.frames.paths[:frames])
    return replace(sequence, frames=files, boxes=sequence.boxes[:frames])


def tracked(
    params: Params,
    name: str,
    frames: int | None,
    precision: str = "float32",
    *,
    config: str = "cf2",
    version: str = "iccv",
) -> tuple[np.ndarray, np.ndarray]:
    """Our boxes and the authors', 1-based, frame by frame."""
    expected = parse(shared("oracle", version, f"{name}.txt"))[:frames]
    sequence = beginning(name, len(expected))
    tracker = replace(settings.load(config).tracker, precision=precision)
    chunks = track_sequence(tracker.network.placed(params, precision), tracker, sequence)
    boxes = to_file(np.concatenate([chunk.boxes for chunk in chunks]))
    assert boxes.shape == expected.shape
    return boxes, expected


def deviations(params: Params, name: str, frames: int | None = None) -> np.ndarray:
    """Distance of our centres from the authors' in pixels, frame by frame."""
    boxes, expected = tracked(params, name, frames)
    np.testing.assert_array_equal(boxes[:, 2:], expected[:, 2:])
    return distances(boxes, expected)


def distances(boxes: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Of the centres, in pixels."""
    centres, authors = (b[:, :2] + b[:, 2:] / 2 for b in (boxes, expected))
    return np.asarray(np.linalg.norm(centres - authors, axis=1))


BEGINNINGS = pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("Deer", 25),
        *(pytest.param(*more, marks=pytest.mark.slow) for more in (("David", 15), ("Girl", 10))),
    ],
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


def assert_the_newest_programs_boxes(params: Params, name: str, frames: int | None = None) -> None:
    boxes, expected = tracked(params, name, frames, config="cf2_head", version="head")
    assert distances(boxes, expected).max() < 0.5
    np.testing.assert_allclose(boxes[:, 2:], expected[:, 2:], rtol=0.01)


def test_the_newest_programs_trajectory_begins_like_this(imagenet: Params) -> None:
    assert_the_newest_programs_boxes(imagenet, "Deer", 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Deer", "MotorRolling", "CarScale"])
def test_the_newest_programs_whole_trajectory(imagenet: Params, name: str) -> None:
    assert_the_newest_programs_boxes(imagenet, name)


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("Deer", 71),
        ("MotorRolling", 164),
        ("CarScale", 150),
        # in frame 34 the responses of two scales are nearly equal: the last bits of what the
        # program computes in single precision decide between them
        ("Human9", 33),
    ],
)
def test_the_scale_filter_alone_finds_the_newest_programs_sizes(name: str, frames: int) -> None:
    """It is shown the program's own centres, so no network is needed."""
    expected = parse(shared("oracle", "head", f"{name}.txt"))[:frames]
    sequence = beginning(name, frames)
    first = sequence.frames.read(0)
    image = (first.shape[0], first.shape[1])
    target = (float(expected[0, 3]), float(expected[0, 2]))
    height, width = scale.sample_size(target, 8.0)
    fixed = jax.tree.map(jnp.asarray, scale.scales(target, image, 8.0, (int(height), int(width))))
    extent = jnp.asarray(image, jnp.int32)
    grey, start, follow = jax.jit(sampling.grey), jax.jit(scale.start), jax.jit(scale.follow)
    state, sizes = None, []
    for index, (x, y, w, h) in enumerate(expected):
        pixels = grey(jnp.asarray(sequence.frames.read(index)), extent)
        # the file's centres, to as many digits as it has
        position = jnp.asarray(np.round([y + h / 2 - 1, x + w / 2 - 1], 3), jnp.float32)
        if state is None:
            state = start(fixed, pixels, extent, position)
        else:
            state = follow(fixed, state, pixels, extent, position, 0.01)
        sizes.append(float(scale.factor(state.exponent)))
    np.testing.assert_allclose(sizes, expected[:, 2] / expected[0, 2], rtol=1e-3)
