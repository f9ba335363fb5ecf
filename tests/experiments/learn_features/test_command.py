"""The training of a backbone as a command, on drawn sequences."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from absl import flags

from experiments.learn_features import __main__ as learn_features
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.weights import lookup

TINY = ["--drawn=2", "--clips=8", "--batch=2", "--steps=5", "--every=2", "--taught=0"]


def command(*arguments: str) -> int:
    values = flags.FlagValues()
    learn_features.define_flags(values)
    return learn_features.main(list(values(["learn_features", *arguments])), values)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a tiny training without interruption; return its folder."""
    folder = tmp_path_factory.mktemp("once")
    assert command(*TINY, f"--output_dir={folder}") == 0
    return folder


def test_what_is_learned_is_a_file_of_the_backbone_and_says_how(once: Path) -> None:
    found = lookup.load(once / "all" / "compact.npz")
    assert found.backbone.name == "compact"
    assert (once / "all" / "compact.npz").stat().st_size <= 2 * 2**20
    about = json.loads((once / "all" / "compact.json").read_text())
    assert about["digest"] == found.digest
    assert about["data"] == ["synthetic-0", "synthetic-1"]
    assert {"command", "seed", "date", "parameters", "teacher"} <= set(about)
    assert found.metadata["origin"]["data"] == about["data"]


def test_it_is_not_what_it_began_with(once: Path, tmp_path: Path) -> None:
    assert command(*TINY, "--learning_rate=1e-12", f"--output_dir={tmp_path}") == 0
    one, other = (lookup.load(f / "all" / "compact.npz").params for f in (once, tmp_path))
    assert np.abs(one["block3_3"]["kernel"] - other["block3_3"]["kernel"]).max() > 1e-4


def test_the_same_seed_learns_the_same_and_another_one_does_not(once: Path, tmp_path: Path) -> None:
    digests = []
    for seed in (0, 1):
        assert command(*TINY, f"--seed={seed}", f"--output_dir={tmp_path / str(seed)}") == 0
        digests.append(lookup.load(tmp_path / str(seed) / "all" / "compact.npz").digest)
    whole = lookup.load(once / "all" / "compact.npz").digest
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
    assert not (tmp_path / "all" / "compact.npz").exists()
    subprocess.run(whole, cwd=root, env=environment, check=True, stderr=subprocess.DEVNULL)
    killed, never = (lookup.load(f / "all" / "compact.npz").digest for f in (tmp_path, once))
    assert killed == never


def test_folds_never_see_what_they_are_scored_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for seed in (5, 6):
        options = Synthetic(seed=seed, frames=6, height=64, width=80, target=(20, 20), motion=10)
        otb.write(synthetic(options), data, image_format="jpg")
    out = tmp_path / "out"
    arguments = [*TINY, "--drawn=1", "--folds=2", "--only=1,2", f"--data_dir={data}"]
    assert command(*arguments, f"--output_dir={out}") == 0
    assert not (out / "all").exists()
    left = []
    for number in (1, 2):
        about = json.loads((out / f"fold-{number}" / "compact.json").read_text())
        (name,) = about["held_out"]
        assert name not in about["data"]
        assert len((out / "folds" / "ope" / f"{name}.txt").read_text().splitlines()) == 6
        left.append(name)
    assert sorted(left) == ["synthetic-5", "synthetic-6"]


def test_targets_of_one_video_are_left_out_together() -> None:
    video = synthetic(Synthetic(seed=1, frames=2))
    other = synthetic(Synthetic(seed=2, frames=2))
    twin = dataclasses.replace(video, name="twin")
    found = learn_features.folds([video, twin, other], 2)
    assert found == [frozenset({video.name, "twin"}), frozenset({other.name})]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output_dir: must be given"),
        (["--output_dir=o", "--backbone=vgg19"], "--backbone: VGG-19 is a teacher"),
        (["--output_dir=o", "--steps=0"], "--steps: 0 must be at least 1"),
        (["--output_dir=o", "--clips=20"], "--clips: 20 must be at least two batches"),
        (["--output_dir=o", "--folds=2"], "--data_dir: must be given"),
        (["--output_dir=o", "--folds=1"], "--folds: 1 leaves everything out"),
        (["--output_dir=o", "--drawn=0"], "nothing to learn from"),
        (["--output_dir=o", "--drawn=1", "--only=3"], "--only: no '3'; there are 0 to 0"),
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
