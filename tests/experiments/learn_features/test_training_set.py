"""Clips on disk, and which training sees which of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.learn_features import crops, training_set
from experiments.learn_features.crops import ClipSettings
from experiments.learn_features.training_set import Preparation
from hcft_jax.util.errors import InputError

PATCH, COUNT = 16, 12
VIDEOS = crops.drawn(3, 0)
WITHOUT = [frozenset[str](), frozenset({VIDEOS[0].name}), frozenset({VIDEOS[1].name})]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "PART", 5)


def preparation(folder: Path, **changes: Any) -> Preparation:
    settings = dataclasses.replace(ClipSettings(), **changes)
    return Preparation(folder, VIDEOS, settings, COUNT, PATCH, WITHOUT)


def test_a_training_sees_nothing_of_what_it_does_without(tmp_path: Path) -> None:
    prepared = preparation(tmp_path)
    prepared.make()
    side = crops.region_side(PATCH)
    clips = list(crops.clips(VIDEOS, ClipSettings(), range(COUNT), side))
    for number, without in enumerate(WITHOUT):
        own = [clip.regions for clip in clips if clip.video not in without]
        assert len(own) > 0
        np.testing.assert_array_equal(prepared.of(number), np.stack(own))


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    preparation(tmp_path).make()
    before = preparation(tmp_path).of(0)
    (tmp_path / "clips-000005.npz").unlink()
    others = {path: path.stat().st_mtime_ns for path in tmp_path.glob("clips-*.npz")}
    preparation(tmp_path).make()
    np.testing.assert_array_equal(before, preparation(tmp_path).of(0))
    assert others == {path: path.stat().st_mtime_ns for path in others}


def test_material_of_other_settings_is_refused(tmp_path: Path) -> None:
    preparation(tmp_path).make()
    with pytest.raises(InputError, match=r"material\.json: made with other settings"):
        preparation(tmp_path, seed=1).make()


def test_damaged_clips_are_named(tmp_path: Path) -> None:
    preparation(tmp_path).make()
    path = tmp_path / "clips-000005.npz"
    for content in (b"PK", path.read_bytes()[:-40]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"clips-000005\.npz: truncated or damaged"):
            preparation(tmp_path).of(0)
    np.savez(path, regions=np.zeros(3), videos=np.zeros(3))
    with pytest.raises(InputError, match=r"clips-000005\.npz: not clips"):
        preparation(tmp_path).of(0)
