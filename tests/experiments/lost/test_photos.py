"""The calibration of a memory's thresholds on photos."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.lost import confidences
from experiments.lost.confidences import Seen
from hcft_jax.core import long_term
from hcft_jax.experiment import settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three coloured, band-limited noises."""
    into = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        noise = np.random.default_rng(seed).uniform(0, 255, (30, 40, 3))
        grown = cv2.resize(noise, (400, 300), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(into / f"{seed}.jpg"), np.clip(grown, 0, 255).astype(np.uint8))
    return into


def test_a_photo_has_one_size(folder: Path) -> None:
    assert confidences.photo(folder / "0.jpg").shape == (*confidences.SIZE, 3)


def test_a_target_is_believed_where_it_is_only(folder: Path) -> None:
    config = settings.derive("kcf", redetect=True, looks=4).tracker
    image, other = (confidences.photo(folder / f"{seed}.jpg") for seed in (0, 1))
    seen = confidences.see({}, config, image, other, np.random.default_rng(0))
    doubted, found = long_term.thresholds(config)
    assert seen.present > found
    assert seen.absent < doubted


def test_the_thresholds_are_between_present_and_absent() -> None:
    seen = [Seen(0.6, 0.1, 0.2), Seen(0.5, 0.2, 0.3), Seen(0.8, 0.15, 0.1)]
    result = confidences.analyse(seen, (0.55, 0.7))
    assert result["doubted_below"] == pytest.approx(0.35)
    assert 0.2 < result["found_above"] <= 0.3
    assert result["with these"]["present, but doubted"] == 0.0
    own = result["with the tracker's"]
    assert own["present, but doubted"] == pytest.approx(1 / 3)
    assert own["present, but not found"] == pytest.approx(2 / 3)
    assert own["absent, but found"] == 0.0


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hcft_jax.experiments.lost.photos", "--config=kcf", *flags]
    return subprocess.run(command, text=True, capture_output=True, timeout=300, check=False)


@pytest.mark.slow
def test_the_command_writes_what_it_prints(folder: Path, tmp_path: Path) -> None:
    done = run(f"--photos={folder}", "--looks=2", f"--output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "memory-hog.json").read_text())
    assert written["photos"] == 3
    assert f"doubted_below: {written['doubted_below']}" in done.stdout


@pytest.mark.parametrize("given", [[], ["--photos=nowhere"]], ids=["none", "empty"])
def test_a_missing_folder_is_one_line(given: list[str], tmp_path: Path) -> None:
    done = run(*given, f"--output_dir={tmp_path}")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("error: --photos: ")
    assert "Traceback" not in done.stderr
