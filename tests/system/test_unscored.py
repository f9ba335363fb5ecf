"""Data sets whose ground truth is not that of OTB: unknown in some frames, or outside the image."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcft_jax.benchmark import baselines, benchmark
from hcft_jax.benchmark.outcome import Outcome, report
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import metrics, protocols
from hcft_jax.evaluation.protocols import Run
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.boxes import Boxes, to_file

DRAWN = Synthetic(frames=24, height=96, width=128, target=(24, 32), motion=20.0)


def write(folder: Path, truth: Boxes) -> None:
    """A plain folder with the drawn frames; ``truth`` is 1-based."""
    folder.mkdir(parents=True)
    for index in range(DRAWN.frames):
        Image.fromarray(synthetic(DRAWN).frames.read(index)).save(folder / f"{index}.png")
    np.savetxt(folder / "groundtruth.txt", truth, "%.4f", delimiter=",")


def run(tmp_path: Path, **changes: Any) -> tuple[Outcome, Any]:
    experiment = Experiment(
        "x",
        data_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "out"),
        method="opencv:MIL",
        overlay=True,
    )
    experiment = replace(experiment, **changes)
    outcome = benchmark.run(experiment, baselines.weights_of([experiment])[0])
    assert not outcome.failed
    return outcome, json.loads((outcome.folder / "summary.json").read_text())


@pytest.fixture
def truth() -> Boxes:
    return to_file(synthetic(DRAWN).boxes)


def test_a_first_box_alone_is_tracked_and_not_scored(tmp_path: Path, truth: Boxes) -> None:
    write(tmp_path / "data" / "first", truth[:1])
    write(tmp_path / "data" / "whole", truth)
    outcome, summary = run(tmp_path)
    boxes = np.loadtxt(outcome.folder / "ope" / "first.txt", delimiter=",")
    assert boxes.shape == (DRAWN.frames, 4)
    assert summary["sequences"]["first"]["dp20"] is None
    assert summary["sequences"]["first"]["fps"] > 0
    assert summary["mean"]["dp20"] == summary["sequences"]["whole"]["dp20"] > 0.9
    assert summary["mean"]["frames"] == DRAWN.frames
    assert (outcome.folder / "overlay" / "first.png").exists()
    text = report(outcome)
    assert "tracked, not scored (no ground truth to do so): first" in text
    assert not any(line.startswith("first") for line in text.splitlines())
    again, _ = run(tmp_path)
    assert again.rows("ope")["first"].scores is None


def test_nothing_but_first_boxes_leaves_no_table(tmp_path: Path, truth: Boxes) -> None:
    write(tmp_path / "data" / "first", truth[:1])
    outcome, summary = run(tmp_path, overlay=False)
    assert "mean" not in summary
    assert report(outcome).startswith("tracked, not scored")


def test_frames_without_truth_change_no_score(truth: Boxes) -> None:
    tracked = truth + np.array([3, 0, 0, 0])
    gaps = truth.copy()
    tracked[5:9] += 500  # nobody knows
    gaps[5:9] = np.nan
    run = Run("ope", 1, "", 0, len(truth) - 1, (1, 1, 1, 1))
    judged = protocols.judge(run, tracked, gaps).scores
    assert judged.frames == len(truth) - 4
    kept = np.delete(tracked, slice(5, 9), axis=0), np.delete(truth, slice(5, 9), axis=0)
    assert judged == metrics.score(*kept)


def test_a_broken_box_takes_the_one_before_though_that_is_not_judged(truth: Boxes) -> None:
    tracked, gaps = truth.copy(), truth.copy()
    gaps[4] = np.nan
    tracked[4] = truth[5]
    tracked[5] = 0  # broken: the box of frame 4 stands
    run = Run("ope", 1, "", 0, len(truth) - 1, (1, 1, 1, 1))
    assert protocols.judge(run, tracked, gaps).scores.cle == 0.0


def test_a_target_that_begins_outside_of_the_image_is_judged(tmp_path: Path, truth: Boxes) -> None:
    outside = truth.copy()
    outside[10:, 0] = -10.5  # valid here, invalid by OTB's rule
    write(tmp_path / "data" / "left", outside)
    outcome, _ = run(tmp_path, overlay=False)
    scores = outcome.rows("ope")["left"].scores
    assert scores is not None
    assert scores.dp20 < 0.6  # by OTB's rule invalid frames pass in precision
    tracked, moved = metrics.moved(outside, outside)
    assert metrics.valid(moved).all()
    assert (moved - outside)[0].tolist() == [12, 0, 0, 0]
    np.testing.assert_array_equal(tracked, moved)
