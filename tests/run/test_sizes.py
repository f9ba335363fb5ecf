"""Every way of tracking a target that changes or is lost, or is described without a network.

All ways give the boxes of one sequence after the other.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hcft_jax.backbones.backbone import Params
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket, buckets, place
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment import settings
from hcft_jax.export import exported, programs
from hcft_jax.run import single
from hcft_jax.run.batch import track_many
from hcft_jax.run.several import Several
from hcft_jax.run.streaming import track_sequence
from hcft_jax.run.together import track_together
from hcft_jax.weights import lookup

FRAMES = 5
IMAGE = (72, 96)
SIZES = ((20.0, 16.0), (16.0, 22.0))
HEAD = TrackerConfig(
    layers=("conv2_2", "conv1_2"),
    gamma=(1.0, 0.5),
    input_size=32,
    update="cf2",
    search="sum",
    normalized=True,
    scale="dsst",
)
CONFIGS: dict[str, Callable[[], TrackerConfig]] = {
    "first": lambda: HEAD,
    "scaled": lambda: replace(HEAD, window="scaled"),
    "kcf": lambda: settings.load("kcf").tracker,
    "dsst": lambda: settings.load("dsst").tracker,
    "csk": lambda: settings.load("csk").tracker,
    "cnn": lambda: replace(HEAD, scale="cnn", scales=3, normalized=False),
    "lost": lambda: replace(
        HEAD,
        window="scaled",
        weighting="adaptive",
        redetect=True,
        doubted_below=0.999,  # always: so it is lost, and looked for, from the fourth frame on
        found_above=0.05,
        looks=2,
    ),
}
QUICK = ("kcf", "lost")  # what they do includes most of what the others do


def named(name: str, *more: Any) -> Any:
    return pytest.param(name, *more, marks=() if name in QUICK else pytest.mark.slow)


every = pytest.mark.parametrize("name", [named(name) for name in CONFIGS])
# the others differ from these in nothing that a way of tracking does
some = pytest.mark.parametrize("name", [named(name) for name in ["scaled", "kcf", "cnn", "lost"]])


@pytest.fixture(scope="module")
def sequences() -> list[Sequence]:
    drawn = Synthetic(
        frames=FRAMES, height=IMAGE[0], width=IMAGE[1], target=SIZES[0], motion=12.0, scale=0.4
    )
    return [synthetic(replace(drawn, target=size, seed=seed)) for seed, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def alone(params: Params, sequences: list[Sequence]) -> Callable[[str], list[np.ndarray]]:
    """The boxes of each sequence by itself, found once for each configuration."""
    found: dict[str, list[np.ndarray]] = {}

    def boxes(name: str) -> list[np.ndarray]:
        if name not in found:
            config = CONFIGS[name]()
            found[name] = [tracked(of(params, config), config, s) for s in sequences]
        return found[name]

    return boxes


def of(params: Params, config: TrackerConfig) -> Params:
    """The parameters, or none where there is no network."""
    return {} if config.network.cells else params


def tracked(params: Params, config: TrackerConfig, sequence: Sequence) -> np.ndarray:
    return np.concatenate([chunk.boxes for chunk in track_sequence(params, config, sequence)])


def bucket(config: TrackerConfig, sequences: list[Sequence]) -> Bucket:
    geometries = [place(s.boxes[0], IMAGE, config.layout)[0] for s in sequences]
    (found,) = buckets(geometries, [1.0] * len(geometries), 1)
    return found


def follow(step: Callable[[Any], Any], sequence: Sequence) -> np.ndarray:
    return np.array([step(sequence.frames.read(i)) for i in range(1, FRAMES)])


@every
def test_the_target_is_followed(
    name: str, alone: Callable[[str], list[np.ndarray]], sequences: list[Sequence]
) -> None:
    for boxes, sequence in zip(alone(name), sequences, strict=True):
        assert boxes.shape == (FRAMES, 4)
        centres, true = (b[:, :2] + b[:, 2:] / 2 for b in (boxes, sequence.boxes))
        assert np.abs(centres - true).max() < 6
    resized = [bool(np.ptp(boxes[:, 2:] - boxes[0, 2:])) for boxes in alone(name)]
    # a few frames of a slow change; a size that is doubted stays
    assert any(resized) == (CONFIGS[name]().scale != "none" and name != "lost")


@some
def test_an_fft_gives_the_same_boxes(
    name: str,
    params: Params,
    alone: Callable[[str], list[np.ndarray]],
    sequences: list[Sequence],
) -> None:
    config = replace(CONFIGS[name](), dft="fft")
    np.testing.assert_array_equal(tracked(of(params, config), config, sequences[0]), alone(name)[0])


@pytest.mark.parametrize(
    ("name", "batched"),
    [
        *(named(name, True) for name in CONFIGS),
        *(named(name, False) for name in ("scaled", "cnn", "lost")),
    ],
)
def test_lanes_of_one_bucket_give_the_same_boxes(
    name: str,
    batched: bool,
    params: Params,
    alone: Callable[[str], list[np.ndarray]],
    sequences: list[Sequence],
) -> None:
    config = CONFIGS[name]()
    own = bucket(config, sequences)
    tracks = track_many(of(params, config), config, sequences, bucket=own, lanes=2, batched=batched)
    seen = {track.index: track.boxes for track in tracks}
    for index, boxes in enumerate(alone(name)):
        np.testing.assert_array_equal(seen[index], boxes)


@some
def test_frame_by_frame_gives_the_same_boxes(
    name: str,
    params: Params,
    alone: Callable[[str], list[np.ndarray]],
    sequences: list[Sequence],
) -> None:
    config, sequence = CONFIGS[name](), sequences[0]
    weights = of(params, config)
    state = single.init(weights, config, sequence.frames.read(0), sequence.boxes[0])

    def step(image: Any) -> np.ndarray:
        nonlocal state
        state, output = single.step(weights, config, state, image)
        return np.asarray(output.box)

    np.testing.assert_array_equal(follow(step, sequence), alone(name)[0][1:])


@some
def test_several_targets_of_one_video_have_the_same_boxes(
    name: str,
    params: Params,
    alone: Callable[[str], list[np.ndarray]],
    sequences: list[Sequence],
) -> None:
    config, sequence = CONFIGS[name](), sequences[0]
    starts = [s.boxes[0] for s in sequences]
    both = Several(of(params, config), config, sequence.frames.read(0), starts)
    boxes = follow(lambda image: np.asarray(both.update(image).box)[0], sequence)
    np.testing.assert_array_equal(boxes, alone(name)[0][1:])


@some
def test_settings_side_by_side_give_the_same_boxes(
    name: str,
    params: Params,
    alone: Callable[[str], list[np.ndarray]],
    sequences: list[Sequence],
) -> None:
    config = CONFIGS[name]()
    pair = [config, replace(config, eta=0.3)]
    seen = list(track_together(of(params, config), pair, sequences[0]))
    np.testing.assert_array_equal([s.boxes[0] for s in seen], alone(name)[0])


@pytest.mark.parametrize("name", [named(name) for name in ["first", "kcf", "cnn", "lost"]])
def test_exported_programs_give_the_same_boxes(
    name: str,
    alone: Callable[[str], list[np.ndarray]],
    sequences: list[Sequence],
    tmp_path: Any,
) -> None:
    config = CONFIGS[name]()
    weights = lookup.find(None if config.network.cells else "random", config.backbone)
    own = bucket(config, sequences)
    programs.write(tmp_path, config, weights, own, ("cpu",))
    tracker = exported.ExportedTracker(tmp_path)
    for sequence, expected in zip(sequences, alone(name), strict=True):
        tracker.init(sequence.frames.read(0), sequence.boxes[0])
        boxes = follow(lambda image: tracker.update(image)[0], sequence)
        np.testing.assert_allclose(boxes, expected[1:], atol=1e-4)
