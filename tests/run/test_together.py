"""Settings side by side against each by itself."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hcft_jax.backbones.backbone import Params
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.experiment.settings import load
from hcft_jax.run.streaming import track_sequence
from hcft_jax.run.together import patches, track_together
from hcft_jax.util.errors import InputError
from tests.run.test_streaming import Broken

BOTH = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)
SETTINGS = [
    BOTH,
    replace(BOTH, eta=0.3, gamma=(0.2, 1.0)),
    replace(BOTH, layers=("conv1_2",), gamma=(1.0,)),
    replace(BOTH, hypercolumn=True),
    replace(BOTH, update="cf2", search="sum"),
]


@pytest.fixture(scope="module")
def sequence() -> Sequence:
    return synthetic(Synthetic(frames=11, height=64, width=80, target=(20, 20), motion=12.0))


def test_settings_side_by_side_give_the_boxes_of_each_alone(
    params: Params, sequence: Sequence
) -> None:
    seen = list(track_together(params, SETTINGS, sequence))
    for i, config in enumerate(SETTINGS):
        alone = list(track_sequence(params, config, sequence))
        np.testing.assert_array_equal(
            [s.boxes[i] for s in seen], np.concatenate([t.boxes for t in alone])
        )
        expected = np.concatenate([t.psr for t in alone])
        np.testing.assert_allclose([s.psr[i] for s in seen], expected, rtol=1e-3)


def test_settings_at_one_place_share_the_network(params: Params, sequence: Sequence) -> None:
    alone = list(track_together(params, [BOTH], sequence))
    same = list(track_together(params, [BOTH] * 4, sequence))
    assert [s.passes for s in same] == [s.passes for s in alone]
    assert {s.passes for s in alone} == {1, 2}  # it stayed in some frames and moved in others


def test_what_came_before_a_bad_frame_is_delivered(params: Params, sequence: Sequence) -> None:
    broken = replace(sequence, frames=Broken(sequence.frames, 4))
    seen = track_together(params, SETTINGS[:2], broken)
    assert len(list(itertools.islice(seen, 4))) == 4
    with pytest.raises(InputError, match="truncated"):
        next(seen)


def test_settings_of_other_patches_are_refused(params: Params, sequence: Sequence) -> None:
    with pytest.raises(ValueError, match="share"):
        next(track_together(params, [BOTH, replace(BOTH, input_size=48)], sequence))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (SETTINGS[0], replace(SETTINGS[0], padding=2.5)),
        (load("csk").tracker, replace(load("csk").tracker, halved_from=None)),
        (load("kcf").tracker, replace(load("kcf").tracker, layers=("hog_1",))),
    ],
    ids=["padding", "halved_from", "cells of other sizes"],
)
def test_windows_and_cells_of_other_sizes_are_other_patches(
    first: TrackerConfig, second: TrackerConfig
) -> None:
    assert patches(first) != patches(second)


def test_a_target_whose_size_is_followed_has_the_same_patches() -> None:
    assert patches(SETTINGS[0]) == patches(replace(SETTINGS[0], scale="dsst"))
