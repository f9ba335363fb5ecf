"""The training of projections as a command, on drawn sequences and photos."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from experiments.learn_features import __main__ as learn_features
from experiments.learn_features import trainings
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.weights import lookup
from tests.commands import call

TINY = ["--drawn=2", "--clips=8", "--batch=2", "--steps=5", "--checkpoint_every=2"]
CONFIG = """
from hcft_jax import derive


def get_config():
    return derive("lite0", layers=("block8", "block2"), gamma=(1.0, 0.5), input_size=64)
"""
FILE = "efficientnet_lite0.npz"


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Write the configuration that all commands take."""
    file = tmp_path_factory.mktemp("config") / "tiny.py"
    file.write_text(CONFIG)
    TINY.append(f"--config={file}")
    yield str(file)
    TINY.pop()


def command(*arguments: str) -> int:
    return call(learn_features, *arguments)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a tiny training without interruption; return its folder."""
    folder = tmp_path_factory.mktemp("once")
    assert command(*TINY, f"--output_dir={folder}") == 0
    return folder


def test_what_is_learned_is_a_file_of_the_backbone_and_says_how(once: Path) -> None:
    found = lookup.load(once / "all" / FILE)
    assert found.backbone.name == "efficientnet_lite0"
    about = json.loads((once / "all" / FILE).with_suffix(".json").read_text())
    assert about["digest"] == found.digest
    assert about["data"] == ["synthetic-0", "synthetic-1"]
    assert about["begun_with"] == lookup.find(None, "efficientnet_lite0").digest
    assert {"command", "seed", "date", "parameters", "photos"} <= set(about)
    assert found.metadata["origin"]["data"] == about["data"]


def test_projections_learn_and_nothing_else(once: Path) -> None:
    before = lookup.find(None, "efficientnet_lite0").params
    after = lookup.load(once / "all" / FILE).params
    assert set(before) == set(after)
    changed = {
        name
        for name, parts in before.items()
        for part, array in parts.items()
        if np.abs(array - after[name][part]).max() > 1e-3 * max(1e-3, np.abs(array).max())
    }
    assert changed == {"block8_projection", "block2_projection"}


def test_photos_are_learned_from(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        image = cv2.resize(noise, (160, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "photos" / f"{seed}.png"), image)
    arguments = [*TINY, "--drawn=0", f"--photos={tmp_path / 'photos'}"]
    assert command(*arguments, f"--output_dir={tmp_path / 'out'}") == 0
    about = json.loads((tmp_path / "out" / "all" / FILE).with_suffix(".json").read_text())
    assert (about["photos"], about["data"]) == (2, [])


def test_it_is_not_what_it_began_with(once: Path, tmp_path: Path) -> None:
    assert command(*TINY, "--learning_rate=1e-12", f"--output_dir={tmp_path}") == 0
    one, other = (lookup.load(f / "all" / FILE).params for f in (once, tmp_path))
    name = "block8_projection"
    assert np.abs(one[name]["kernel"] - other[name]["kernel"]).max() > 1e-4


def test_the_same_seed_learns_the_same_and_another_one_does_not(once: Path, tmp_path: Path) -> None:
    digests = []
    for seed in (0, 1):
        assert command(*TINY, f"--seed={seed}", f"--output_dir={tmp_path / str(seed)}") == 0
        digests.append(lookup.load(tmp_path / str(seed) / "all" / FILE).digest)
    whole = lookup.load(once / "all" / FILE).digest
    assert digests[0] == whole != digests[1]


def test_a_killed_training_goes_on_to_the_same_parameters(once: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    arguments = [sys.executable, "-m", "experiments.learn_features", *TINY]
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={jax.local_device_count()}",
    }
    whole = [*arguments, f"--output_dir={tmp_path}"]
    # killed hard once a checkpoint is there; the same command then continues
    with subprocess.Popen(whole, cwd=root, env=environment, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("all/checkpoints/2/_CHECKPOINT_METADATA")):
            assert time.monotonic() < deadline
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "all" / FILE).exists()
    subprocess.run(whole, cwd=root, env=environment, check=True, stderr=subprocess.DEVNULL)
    killed, never = (lookup.load(f / "all" / FILE).digest for f in (tmp_path, once))
    assert killed == never


def test_folds_never_see_what_they_are_scored_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for seed in (5, 6):
        options = Synthetic(seed=seed, frames=6, height=64, width=80, target=(20, 20), motion=10)
        otb.write(synthetic(options), data, image_format="jpg")
    out = tmp_path / "out"
    arguments = [*TINY, "--drawn=1", "--folds=2", "--trainings=1,2", f"--data_dir={data}"]
    assert command(*arguments, f"--output_dir={out}") == 0
    assert not (out / "all").exists()
    left = []
    for number in (1, 2):
        about = json.loads((out / f"fold-{number}" / "efficientnet_lite0.json").read_text())
        (name,) = about["held_out"]
        assert name not in about["data"]
        assert len((out / "folds" / "ope" / f"{name}.txt").read_text().splitlines()) == 6
        left.append(name)
    assert sorted(left) == ["synthetic-5", "synthetic-6"]


def test_targets_of_one_video_are_left_out_together() -> None:
    video = synthetic(Synthetic(seed=1, frames=2))
    other = synthetic(Synthetic(seed=2, frames=2))
    twin = dataclasses.replace(video, name="twin")
    found = trainings.folds([video, twin, other], 2)
    assert found == [frozenset({video.name, "twin"}), frozenset({other.name})]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output_dir: must be given"),
        (["--output_dir=o", "--drawn=1", "--backbone=hog"], "--layers: "),
        (["--output_dir=o", "--drawn=1", "--config=kcf"], "--backbone: fHOG has nothing to learn"),
        (["--output_dir=o", "--photos=nowhere"], "--photos: nowhere has 0 photos"),
        (["--output_dir=o", "--steps=0"], "--steps: 0 must be at least 1"),
        (["--output_dir=o", "--clips=20"], "--clips: 20 must be at least two batches"),
        (["--output_dir=o", "--folds=2"], "--data_dir: must be given"),
        (["--output_dir=o", "--folds=1"], "--folds: 1 leaves everything out"),
        (["--output_dir=o", "--drawn=0"], "nothing to learn from"),
        (["--output_dir=o", "--drawn=1", "--trainings=3"], "--trainings: no '3'; there are 0 to 0"),
        (["--output_dir=o", "--data_dir=nowhere"], "nowhere"),
        (["--output_dir=o", "extra"], "only flags"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
