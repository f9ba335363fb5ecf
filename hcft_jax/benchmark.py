"""The main job: an experiment's protocols over its sequences, one result file a run.

The unit of work is one run of a protocol on one sequence (``jobs``). Its result appears whole or
not at all, and present means done: an interrupted experiment goes on where it stopped.
"""

import contextlib
import dataclasses
import sys
import time
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from hcft_jax import compilation, jobs, sampling, tracker, visualize
from hcft_jax.backbones import registry
from hcft_jax.backbones.weights import Weights
from hcft_jax.boxes import Boxes
from hcft_jax.config import Experiment
from hcft_jax.data.sequence import Sequence
from hcft_jax.errors import InputError
from hcft_jax.evaluation import results
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.jobs import Group, Unit
from hcft_jax.outcome import Outcome, Speed, rule, summary
from hcft_jax.streaming import Floats, Tracked, track_sequence
from hcft_jax.tracker import Params

KEPT_EXECUTABLES = 256  # each size of a first box compiles anew, and JAX keeps all of them


def run(experiment: Experiment, weights: Weights) -> Outcome:
    """Tracks what has no result yet, scores everything, and writes the summary after each run.

    Below ``OUTPUT_DIR/<config>-<hash>/``: ``ope/<Sequence>.txt``, ``tre/<Sequence>/<NN>.txt`` and
    ``sre/<Sequence>/<shift>.txt`` (the boxes), ``speed/`` (how fast that was), ``summary.json``,
    with ``--overlay`` also ``overlay/`` (.mp4 and .png), and ``partial/`` with the boxes up to a
    frame that could not be read (``jobs.Unit``).

    A sequence that fails under a protocol is reported in one line and the others go on. On Ctrl-C
    the summary of what is finished is written before ``KeyboardInterrupt`` goes on to the caller.

    Raises:
        InputError: a setting, the data folder or the output folder is at fault.
    """
    experiment.validate()
    folder = Path(experiment.output_dir) / experiment.folder(weights.digest)
    outcome = Outcome(experiment, folder)
    for note in filter(None, (rule(experiment, protocol) for protocol in experiment.protocols)):
        print(f"note: {note}", file=sys.stderr)
    equals: dict[str, list[Unit]] = {}  # by sequence: whose results may serve another run's
    missing: list[tuple[Group, list[Unit]]] = []
    for job in jobs.find(experiment):
        with outcome.attempt(job.name):
            sequence = job.load()
            equals[job.name] = jobs.group(experiment, folder, sequence, "ope").units
            for protocol in (p for p in PROTOCOLS if p in experiment.protocols):
                with outcome.attempt(job.name, protocol):
                    group = jobs.group(experiment, folder, sequence, protocol)
                    missing.append((group, _missing(outcome, group)))
                    outcome.groups.append(group)
                    equals[job.name] += group.units

    def save() -> None:
        results.write_json(folder / "summary.json", summary(outcome, weights))

    save()  # an output folder that cannot be written to shows before the first frame is tracked
    params = registry.get(experiment.tracker.backbone).placed(weights.params)
    number, total = 0, sum(len(units) for _, units in missing)
    cleared = compilation.total()
    for group, units in missing:
        number += len(units)
        with outcome.attempt(group.sequence, group.protocol):
            for position, unit in enumerate(units, number - len(units) + 1):
                try:
                    _obtain(outcome, params, unit, equals[group.sequence], f"[{position}/{total}]")
                finally:  # after Ctrl-C too, which may come just when the result has been written
                    if unit.result.exists():
                        with outcome.attempt(group.sequence, group.protocol):
                            outcome.judge(unit)
                    save()
                if (compilation.total() - cleared).executables >= KEPT_EXECUTABLES:
                    jax.clear_caches()
                    cleared = compilation.total()
    return outcome


def _missing(outcome: Outcome, group: Group) -> list[Unit]:
    """The runs without a result; those with one are scored.

    Raises:
        InputError: a result is damaged or that of another run.
    """
    overlay = outcome.experiment.overlay
    missing = [unit for unit in group.units if not unit.finished(overlay=overlay)]
    kept = [unit for unit in group.units if unit not in missing]
    for unit in kept:
        outcome.judge(unit)
    if kept:
        what = f"{kept[0].result} is there"
        if len(group.units) > 1:
            what = f"{len(kept)} of {len(group.units)} runs are in {kept[0].result.parent}"
        print(f"{group.sequence}: kept, {what}", file=sys.stderr)
    return missing


def _obtain(
    outcome: Outcome, params: Params, unit: Unit, others: list[Unit], progress: str
) -> None:
    """Makes the files of a run: from an equal one (TRE's first is mostly OPE's), or by tracking.

    Raises:
        InputError: what cannot be tracked, read or written; it names the run.
    """
    overlay = outcome.experiment.overlay
    try:
        for other in others:
            if other.equals(unit) and other.finished(overlay=overlay):
                unit.take(other, overlay=overlay)
                break
        else:
            _track(outcome.experiment, params, unit, progress)
    except InputError as error:
        raise InputError(f"{unit.run.label}: {error}" if unit.run.label else str(error)) from error
    unit.partial.unlink(missing_ok=True)


def _track(experiment: Experiment, params: Params, unit: Unit, progress: str) -> None:
    """Tracks one run and writes its files, the boxes last: present means done."""
    sequence = unit.sequence
    # the tracker takes its start from the first box, which is not the truth in SRE
    given = dataclasses.replace(
        sequence, boxes=np.concatenate([unit.box[None], sequence.boxes[1:]])
    )
    boxes, psr = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    before = compilation.total()
    started = compiled = 0.0
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=len(sequence), desc=f"{progress} {unit.title}", unit="frame")
        )
        video = None
        if experiment.overlay:
            layers = tracker.response_names(experiment.tracker)
            writer = visualize.OverlayWriter(unit.overlay, layers=layers)
            video = stack.enter_context(writer)
        try:
            for tracked in track_sequence(
                params, experiment.tracker, given, with_responses=experiment.overlay
            ):
                if video is not None:
                    _draw(video, unit.box, sequence, tracked, boxes)
                boxes = np.concatenate([boxes, tracked.boxes])
                psr = np.concatenate([psr, tracked.psr])
                bar.update(len(tracked.images))
                if not started:
                    started = time.perf_counter()
                    compiled = (compilation.total() - before).seconds
        except InputError:
            if len(boxes):
                results.write_boxes(unit.partial, boxes)
            raise
    speed = Speed(len(boxes) - 1, time.perf_counter() - started, compiled)
    results.write_json(unit.speed, dataclasses.asdict(speed))
    if experiment.overlay:
        visualize.plot_track(unit.plot, boxes, sequence.boxes, psr, unit.title)
    results.write_boxes(unit.result, boxes)


def _draw(
    video: visualize.OverlayWriter,
    start: Boxes,
    sequence: Sequence,
    tracked: Tracked,
    before: Floats,
) -> None:
    """Adds frames to the overlay video; ``before`` are the boxes of all the frames before them."""
    _, _, w, h = start
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
