"""A run by itself, through the tracker and into its files: boxes, video, response maps."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

import numpy as np

from hcft_jax.benchmark import baselines
from hcft_jax.benchmark.jobs import Unit
from hcft_jax.benchmark.outcome import Speed
from hcft_jax.benchmark.progress import Advance
from hcft_jax.core import sampling
from hcft_jax.core.tracker import Params
from hcft_jax.data import sequence as data
from hcft_jax.evaluation import responses, results
from hcft_jax.experiment.settings import METHOD, Experiment
from hcft_jax.run.streaming import Floats, Tracked, track_sequence
from hcft_jax.util import compilation
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.visual import overlay
from hcft_jax.visual.track_plot import plot_track


def given(unit: Unit) -> data.Sequence:
    """The frames of a run, with the box that the tracker starts from: not the truth in SRE."""
    sequence = unit.sequence
    boxes = np.concatenate([unit.box[None], sequence.boxes[1:]])
    return dataclasses.replace(sequence, boxes=boxes)


def write(unit: Unit, boxes: Floats, speed: Speed) -> None:
    """Writes the files of a whole run, the boxes last: present means done.

    Args:
        unit: The run.
        boxes: ``[n, 4]`` x, y, w, h, 0-based pixels.
        speed: How fast that was.

    Raises:
        InputError: a file cannot be written.
    """
    results.write_json(unit.speed, dataclasses.asdict(speed))
    results.write_boxes(unit.result, boxes)


def write_partial(unit: Unit, boxes: Floats) -> None:
    """Writes the boxes up to a frame that could not be read, if there are any."""
    if len(boxes):
        results.write_boxes(unit.partial, boxes)


def track(experiment: Experiment, params: Params, unit: Unit, advance: Advance) -> None:
    """Tracks one run by itself and writes its files.

    Args:
        experiment: Whose run it is.
        params: The network's parameters.
        unit: The run.
        advance: Is told how many frames have been tracked, first 0.

    Raises:
        InputError: what cannot be tracked, read or written.
    """
    sequence = unit.sequence
    boxes, psr = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    before = compilation.total()
    started = compiled = 0.0
    advance(0)  # it may compile for long before the first frame
    with contextlib.ExitStack() as stack:
        video = maps = None
        if experiment.overlay:
            ours = experiment.method == METHOD
            layers = experiment.tracker.response_names if ours else []
            writer = overlay.OverlayWriter(unit.overlay, layers=layers)
            video = stack.enter_context(writer)
        try:
            for tracked in _tracked(experiment, params, given(unit)):
                if video is not None:
                    _draw(video, experiment, unit, tracked, boxes)
                if experiment.responses:
                    maps = maps or stack.enter_context(_responses(experiment, unit, tracked))
                    maps.write(tracked.responses, _centres(tracked, boxes), tracked.psr)
                boxes = np.concatenate([boxes, tracked.boxes])
                psr = np.concatenate([psr, tracked.psr])
                advance(len(tracked.images))
                if not started:
                    started = time.perf_counter()
                    compiled = (compilation.total() - before).seconds
        except InputError:
            write_partial(unit, boxes)
            raise
    speed = Speed(len(boxes) - 1, time.perf_counter() - started, compiled)
    if experiment.overlay:
        known = None if np.isnan(psr).all() else psr
        plot_track(
            unit.plot, boxes, sequence.boxes, known, unit.title, sizes_only=sequence.sizes_only
        )
    write(unit, boxes, speed)


def _tracked(experiment: Experiment, params: Params, sequence: data.Sequence) -> Iterator[Tracked]:
    """The sequence's frames and boxes, the first alone, from whatever tracks."""
    if experiment.method != METHOD:
        return baselines.track_sequence(baselines.find(experiment.method), sequence)
    wanted = experiment.overlay or experiment.responses
    return track_sequence(params, experiment.tracker, sequence, with_responses=wanted)


def _draw(
    video: overlay.OverlayWriter,
    experiment: Experiment,
    unit: Unit,
    tracked: Tracked,
    before: Floats,
) -> None:
    """Adds frames to the overlay video; ``before`` are the boxes of all the frames before them."""
    window = _geometry(experiment, unit.box, tracked).window
    truth = unit.sequence.boxes[len(before) :]
    for i, (image, (row, column)) in enumerate(
        zip(tracked.images, _centres(tracked, before), strict=True)
    ):
        top, left = row - window[0] // 2, column - window[1] // 2
        video.draw(
            image,
            tracked.boxes[i],
            truth[i],
            None if tracked.responses is None else tracked.responses[i],
            (top, left, *window) if video.layers else None,
            "" if np.isnan(tracked.psr[i]) else f"PSR {tracked.psr[i]:.1f}",
        )


def _responses(
    experiment: Experiment, unit: Unit, tracked: Tracked
) -> contextlib.AbstractContextManager[responses.Writer]:
    geometry = _geometry(experiment, unit.box, tracked)
    return responses.writing(
        unit.responses,
        unit.run.frames,
        layers=experiment.tracker.response_names,
        gamma=[float(weight) for weight in experiment.tracker.response_weights],
        grid=geometry.grid,
        window=geometry.window,
        cell=geometry.cell,
    )


def _geometry(experiment: Experiment, start: Boxes, tracked: Tracked) -> sampling.Geometry:
    _, _, w, h = start
    return sampling.geometry((h, w), tracked.images.shape[1:3], experiment.tracker.grid)


def _centres(tracked: Tracked, before: Floats) -> Floats:
    """(row, column) of each frame's search window: where the target was in the frame before."""
    boxes = np.concatenate([before[-1:], tracked.boxes])[: len(tracked.boxes)]
    return np.asarray(boxes[:, 1::-1] + 0.5 * boxes[:, 3:1:-1], np.float32)
