"""Clips and lessons on disk, and which training sees which of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.learn_features import crops, training_set
from experiments.learn_features.crops import ClipSettings
from experiments.learn_features.training_set import Preparation
from hcft_jax.data.sequence import Sequence
from hcft_jax.util.errors import InputError

PATCH, COUNT = 16, 12
VIDEOS = crops.drawn(3, 0)
WITHOUT = [frozenset[str](), frozenset({VIDEOS[0].name}), frozenset({VIDEOS[1].name})]
CHANNELS = {"deep": 2}


class Tutor:
    """A stand-in for a network: a patch's pixels are its features."""

    side = 2 * PATCH
    calls = 0

    def moments(self, patch: np.ndarray) -> dict[str, np.ndarray]:
        x = patch.reshape(-1, 3).astype(np.float64)
        return {"deep": x.T @ x / len(x)}

    def lessons(self, patch: np.ndarray, components: Any) -> list[dict[str, np.ndarray]]:
        self.calls += 1
        whole = [patch @ of["deep"].basis / of["deep"].scale for of in components]
        return [{"deep": np.asarray(values, np.float16)} for values in whole]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_set, "PART", 5)


def preparation(folder: Path, videos: list[Sequence] = VIDEOS, **changes: Any) -> Preparation:
    settings = dataclasses.replace(ClipSettings(), **changes)
    return Preparation(folder, videos, settings, COUNT, PATCH, WITHOUT)


def make(prepared: Preparation, tutor: Any) -> None:
    prepared.make(tutor, CHANNELS, "digest")


def test_a_training_sees_nothing_of_what_it_does_without(tmp_path: Path) -> None:
    prepared = preparation(tmp_path)
    make(prepared, Tutor())
    side = 2 * crops.region_side(PATCH)
    clips = list(crops.clips(VIDEOS, ClipSettings(), range(COUNT), side))
    for number, without in enumerate(WITHOUT):
        found = prepared.of(number)
        own = [clip for clip in clips if clip.video not in without]
        assert 0 < len(own) == len(found.regions) == len(found.lessons["deep"])
        for clip, region in zip(own, found.regions, strict=True):
            mean = clip.regions.astype(np.float32)[:, ::2, ::2]
            assert np.abs(mean - region).mean() < 20  # the same picture, shrunk
        moment = np.mean([Tutor().moments(prepared._centre(clip, 32))["deep"] for clip in own], 0)
        values, vectors = np.linalg.eigh(moment)
        basis = found.components["deep"].basis
        assert found.components["deep"].scale == pytest.approx(np.sqrt(values[1:].mean()))
        np.testing.assert_allclose(np.abs(vectors[:, :0:-1].T @ basis), np.eye(2), atol=1e-4)


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    tutor = Tutor()
    make(preparation(tmp_path), tutor)
    assert tutor.calls == COUNT
    before = preparation(tmp_path).of(0)
    (tmp_path / "clips-000005.npz").unlink()
    make(preparation(tmp_path), tutor)
    assert tutor.calls == COUNT + 5
    after = preparation(tmp_path).of(0)
    np.testing.assert_array_equal(before.regions, after.regions)
    np.testing.assert_array_equal(before.lessons["deep"], after.lessons["deep"])


def test_without_a_teacher_there_are_clips_only(tmp_path: Path) -> None:
    prepared = preparation(tmp_path)
    make(prepared, None)
    found = prepared.of(0)
    assert found.regions.shape[0] == COUNT
    assert found.lessons == found.components == {}


def test_material_of_other_settings_is_refused(tmp_path: Path) -> None:
    make(preparation(tmp_path), None)
    with pytest.raises(InputError, match=r"material\.json: made with other settings"):
        make(preparation(tmp_path, seed=1), None)
