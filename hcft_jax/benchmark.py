"""The main job: one-pass evaluation of an experiment over sequences, one result file each.

The unit of work is one sequence under one configuration. Its result appears whole or not at all,
and present means done: an interrupted run goes on where it stopped.
"""

import contextlib
import dataclasses
import functools
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flax
import jax
import numpy as np
from tqdm import tqdm

import hcft_jax
from hcft_jax import boxes as conventions
from hcft_jax import compilation, sampling, tracker, visualize
from hcft_jax.backbones.weights import Weights
from hcft_jax.config import Experiment
from hcft_jax.data import otb
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import synthetic
from hcft_jax.errors import InputError
from hcft_jax.evaluation import metrics, results
from hcft_jax.evaluation.metrics import Scores
from hcft_jax.streaming import Floats, Tracked, track_sequence
from hcft_jax.tracker import Params


@dataclasses.dataclass(frozen=True)
class Job:
    """A sequence to be tracked: its name now, its ground truth and frames when their turn comes."""

    name: str
    load: Callable[[], Sequence]


@dataclasses.dataclass(frozen=True)
class Speed:
    """Of one tracked sequence."""

    frames: int  # after the first
    seconds: float  # their wall time: decoding is included, compilation is not
    compile_seconds: float

    @property
    def fps(self) -> float:
        """Frames a second; 0 where there was but one frame."""
        return self.frames / self.seconds if self.frames else 0.0


@dataclasses.dataclass
class Outcome:
    """What a run has so far, by sequence."""

    folder: Path  # of the results
    scores: dict[str, Scores] = dataclasses.field(default_factory=dict)
    speeds: dict[str, Speed] = dataclasses.field(default_factory=dict)
    failed: dict[str, str] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Notes and prints, in one line, what is wrong with a sequence: the others go on."""
        try:
            yield
        except InputError as error:
            self.failed[name] = str(error)
            print(f"error: {name}: {error}", file=sys.stderr)


def jobs(experiment: Experiment) -> list[Job]:
    """The sequences of an experiment, none of them read yet.

    Raises:
        InputError: no data folder, nothing in it, or an unknown name; or one for a drawn sequence.
    """
    if experiment.synthetic is not None:
        if experiment.data_dir is not None or experiment.sequences:
            raise InputError(
                f"--config={experiment.name} draws its own sequence: leave out --data_dir and "
                "--sequences, or take --config=otb"
            )
        sequence = synthetic(experiment.synthetic)
        return [Job(sequence.name, lambda: sequence)]
    if experiment.data_dir is None:
        raise InputError("--data_dir: name the folder that holds the sequences (OTB layout)")
    targets = otb.find(experiment.data_dir, experiment.sequences or None)
    return [Job(t.name, functools.partial(otb.load, t)) for t in targets]


def run(experiment: Experiment, weights: Weights) -> Outcome:
    """Tracks what has no result yet, scores everything, and writes the summary after each sequence.

    Below ``OUTPUT_DIR/<config>-<hash>/``: ``ope/<Sequence>.txt`` (the boxes), ``speed/`` (how fast
    that was), ``summary.json``, with ``--overlay`` also ``overlay/<Sequence>.mp4`` and ``.png``,
    and ``partial/<Sequence>.txt`` with the boxes up to a frame that could not be read.

    A sequence that fails is reported in one line and the others go on. On Ctrl-C the summary of
    what is finished is written before ``KeyboardInterrupt`` goes on to the caller.

    Raises:
        InputError: a setting, the data folder or the output folder is at fault.
    """
    experiment.tracker.validate()
    folder = Path(experiment.output_dir) / experiment.folder(weights.digest)
    outcome = Outcome(folder)
    missing = []
    for job in jobs(experiment):
        with outcome.attempt(job.name):
            sequence = job.load()
            if _finished(experiment, folder, sequence):
                print(f"{job.name}: kept, {_result(folder, job.name)} is there", file=sys.stderr)
                _score(outcome, folder, sequence)
            else:
                missing.append(sequence)

    def save() -> None:
        results.write_json(folder / "summary.json", _summary(experiment, weights, outcome))

    save()  # an output folder that cannot be written to shows before the first frame is tracked
    params = jax.device_put(weights.params)
    for number, sequence in enumerate(missing, 1):
        name = sequence.name
        try:
            with outcome.attempt(name):
                _track(experiment, folder, params, sequence, f"[{number}/{len(missing)}]")
        finally:  # after Ctrl-C too, which may come just when the result has been written
            if _result(folder, name).exists():
                with outcome.attempt(name):
                    _score(outcome, folder, sequence)
            save()
    return outcome


def report(outcome: Outcome) -> str:
    """The table of a run for the terminal."""
    if not outcome.scores:
        return "no sequence was finished"
    rows = [
        (name, scores, outcome.speeds[name].fps)
        for name, scores in sorted(outcome.scores.items(), key=lambda item: item[0].lower())
    ]
    return results.table(rows, metrics.mean(list(outcome.scores.values())))


def _result(folder: Path, name: str) -> Path:
    return folder / "ope" / f"{name}.txt"


def _overlay(folder: Path, name: str) -> Path:
    return folder / "overlay" / f"{name}.mp4"


def _partial(folder: Path, name: str) -> Path:
    return folder / "partial" / f"{name}.txt"


def _speed(folder: Path, name: str) -> Path:
    return folder / "speed" / f"{name}.json"


def _finished(experiment: Experiment, folder: Path, sequence: Sequence) -> bool:
    path = _result(folder, sequence.name)
    if not path.exists() or (experiment.overlay and not _overlay(folder, sequence.name).exists()):
        return False
    boxes = conventions.parse(path)
    # the tracker's centre is rounded down by half a pixel at most
    same_start = np.allclose(boxes[0], conventions.to_file(sequence.boxes[0]), rtol=0, atol=0.501)
    if len(boxes) != len(sequence) or not same_start:
        raise InputError(
            f"{path}: holds another sequence of this name ({len(boxes)} boxes for "
            f"{len(sequence)} frames, or another first box); give another --output_dir"
        )
    return True


def _score(outcome: Outcome, folder: Path, sequence: Sequence) -> None:
    name = sequence.name
    boxes = conventions.parse(_result(folder, name))
    outcome.scores[name] = metrics.score(boxes, conventions.to_file(sequence.boxes))
    outcome.speeds[name] = Speed(**results.read_json(_speed(folder, name)))


def _track(
    experiment: Experiment, folder: Path, params: Params, sequence: Sequence, progress: str
) -> None:
    """Tracks one sequence and writes its files, the boxes last: present means done."""
    name = sequence.name
    boxes, psr = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    before = compilation.total()
    started = compiled = 0.0
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=len(sequence), desc=f"{progress} {name}", unit="frame")
        )
        video = None
        if experiment.overlay:
            layers = tracker.response_names(experiment.tracker)
            writer = visualize.OverlayWriter(_overlay(folder, name), layers=layers)
            video = stack.enter_context(writer)
        try:
            for tracked in track_sequence(
                params, experiment.tracker, sequence, with_responses=experiment.overlay
            ):
                if video is not None:
                    _draw(video, sequence, tracked, boxes)
                boxes = np.concatenate([boxes, tracked.boxes])
                psr = np.concatenate([psr, tracked.psr])
                bar.update(len(tracked.images))
                if not started:
                    started = time.perf_counter()
                    compiled = (compilation.total() - before).seconds
        except InputError:
            if len(boxes):
                results.write_boxes(_partial(folder, name), boxes)
            raise
    speed = Speed(len(boxes) - 1, time.perf_counter() - started, compiled)
    results.write_json(_speed(folder, name), dataclasses.asdict(speed))
    if experiment.overlay:
        plot = _overlay(folder, name).with_suffix(".png")
        visualize.plot_track(plot, boxes, sequence.boxes, psr, name)
    results.write_boxes(_result(folder, name), boxes)
    _partial(folder, name).unlink(missing_ok=True)


def _summary(experiment: Experiment, weights: Weights, outcome: Outcome) -> dict[str, Any]:
    device = jax.devices()[0]
    rows = {
        name: dataclasses.asdict(scores)
        | {
            "fps": outcome.speeds[name].fps,
            "compile_seconds": outcome.speeds[name].compile_seconds,
        }
        for name, scores in outcome.scores.items()
    }
    summary: dict[str, Any] = {
        "config": experiment.name,
        "experiment": dataclasses.asdict(experiment),
        "weights": {"digest": weights.digest, **weights.metadata},
        "versions": {
            "hcft_jax": hcft_jax.__version__,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "flax": flax.__version__,
            "numpy": np.__version__,
        },
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.device_count(),
            "host_cores": os.cpu_count(),
        },
        "command": sys.argv,
        "sequences": rows,
        "failed": outcome.failed,
    }
    if rows:
        speeds = outcome.speeds.values()
        total = Speed(*(sum(part) for part in zip(*map(dataclasses.astuple, speeds), strict=True)))
        mean = dataclasses.asdict(metrics.mean(list(outcome.scores.values())))
        times = {"fps": total.fps, "compile_seconds": total.compile_seconds}
        summary["mean"] = mean | times
    return summary


def _draw(
    video: visualize.OverlayWriter, sequence: Sequence, tracked: Tracked, before: Floats
) -> None:
    """Adds frames to the overlay video; ``before`` are the boxes of all the frames before them."""
    _, _, w, h = sequence.boxes[0]
    window = sampling.geometry((h, w), tracked.images.shape[1:3]).window
    # the maps of a frame span the search window around where the target was in the one before
    centres = np.concatenate([before[-1:], tracked.boxes])
    for i, image in enumerate(tracked.images):
        x, y, w, h = centres[i]
        top, left = y + 0.5 * h - window[0] // 2, x + 0.5 * w - window[1] // 2
        video.write(
            image,
            tracked.boxes[i],
            sequence.boxes[len(before) + i],
            None if tracked.responses is None else tracked.responses[i],
            (top, left, *window),
            "" if np.isnan(tracked.psr[i]) else f"PSR {tracked.psr[i]:.1f}",
        )
