import importlib
from pathlib import Path
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from hcft_jax.backbones import registry
from hcft_jax.core import tracker
from hcft_jax.experiment import settings
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup
from tests.small import NAME

command: Any = importlib.import_module("experiments.project_levels.projected")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(3):
        image = cv2.resize(rng.integers(0, 256, (9, 12, 3), np.uint8), (160, 120))
        cv2.imwrite(str(tmp_path / "photos" / f"{i}.png"), image)
    return tmp_path / "photos"


def run(folder: Path, **changes: Any) -> Any:
    values = {
        "backbone": NAME,
        "weights": None,
        "layers": ["block4", "block2"],
        "channels": ["8", "4"],
        "whiten": 0.0,
        "photos": str(folder),
        "most": 1500,
        "seed": 0,
        "output": str(folder.parent / "projected.npz"),
        "without_network": False,
    } | changes
    given = flags.FlagValues()
    for name, value in values.items():
        flags.DEFINE(_Plain(), name, value, "", flag_values=given)
    given.mark_as_parsed()
    return command.run(given)


class _Plain(flags.ArgumentParser):
    """Takes any value as it is."""

    def parse(self, argument: Any) -> Any:
        return argument


def test_the_file_is_tracked_with_like_any_other(photos: Path) -> None:
    said = run(photos)
    assert [kept[:2] for kept in said.values()] == [(8, 40), (4, 24)]
    weights = lookup.find(str(photos.parent / "projected.npz"), NAME)
    assert weights.metadata["origin"]["projections"]["channels"] == {"block4": 8, "block2": 4}
    config = settings.derive(
        "hcft", backbone=NAME, layers=("block4", "block2"), gamma=(1, 1), input_size=64
    )
    image = np.random.default_rng(1).integers(0, 256, (80, 90, 3), np.uint8)
    state = tracker.init(weights.params, config.tracker, image, (30, 30, 20, 20))
    _, output = tracker.step(weights.params, config.tracker, state, image)
    assert np.isfinite(np.asarray(output.box)).all()
    maps = registry.get(NAME).maps(
        weights.params, jnp.asarray(image, jnp.float32), config.tracker.layers
    )
    assert [maps[name].shape[-1] for name in config.tracker.layers] == [8, 4]


def test_the_same_photos_and_seed_give_the_same_file(photos: Path) -> None:
    digests = []
    for seed in (0, 0, 1):
        run(photos, seed=seed, whiten=0.1)
        digests.append(lookup.load(photos.parent / "projected.npz").digest)
    assert digests[0] == digests[1] != digests[2]


def test_the_projections_alone_are_written(photos: Path) -> None:
    run(photos, without_network=True)
    with np.load(photos.parent / "projected.npz", allow_pickle=False) as file:
        assert {name: file[name].shape for name in file.files} == {
            "block4_projection/kernel": (1, 1, 40, 8),
            "block4_projection/bias": (8,),
            "block2_projection/kernel": (1, 1, 24, 4),
            "block2_projection/bias": (4,),
        }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ["conv1_1"]}, "^layers: EfficientNet-Lite0 has no 'conv1_1'; it has block0"),
        ({"channels": ["8", "4", "2"]}, "^channels: 3 numbers for 2 layers"),
        ({"channels": ["25"]}, "^channels: '25' for block2, which has 24 channels"),
        ({"channels": ["0"]}, "^channels: '0' for block4"),
        ({"whiten": -1.0}, "^whiten: -1.0 is negative"),
        ({"backbone": "hog"}, "^backbone: .* has no levels to project"),
        ({"photos": None}, "^photos: name a folder"),
    ],
)
def test_what_cannot_be_done_is_said(photos: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(photos, **changes)
