"""The files of a run: boxes, speed, overlay video, plot and response maps, as it is tracked."""

import contextlib
import dataclasses
import math
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hcft_jax.backbones.backbone import Params
from hcft_jax.benchmark import baselines
from hcft_jax.benchmark.tasks import Speed, Task
from hcft_jax.core import sampling
from hcft_jax.evaluation import responses, results
from hcft_jax.experiment.settings import METHOD
from hcft_jax.run.identity import made, same
from hcft_jax.run.streaming import Floats, Tracked, track_sequence
from hcft_jax.util import compilation, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing
from hcft_jax.visual.overlay import OverlayWriter
from hcft_jax.visual.track_plot import plot_track


def found(task: Task) -> bool:
    """Return whether a run has its files now: it had them, or an equal run's have been copied.

    Copies, not links: each result then stands for itself, also on file systems without links and
    when one of the two is deleted to be tracked anew. The result is copied last.

    Raises:
        InputError: a file cannot be read or written.
    """
    if task.finished:
        return True
    other = next((other for other in task.others() if other.finished), None)
    if other is None:
        return False
    for source, target in zip(other.extras, task.extras, strict=True):
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    content = _read(other.result)
    _put(task, other.record, content)
    return True


def write(task: Task, boxes: Floats, speed: Speed) -> None:
    """Write the files of a whole run, first the record and then the boxes.

    The record names the boxes that it is of, so that they are not taken for those of an earlier
    record, nor earlier ones for these, whenever the program is killed.

    Args:
        task: The run.
        boxes: ``[n, 4]`` x, y, w, h, 0-based pixels.
        speed: How fast it was tracked.

    Raises:
        InputError: a frame was changed meanwhile, or a file cannot be written.
    """
    content = results.formatted(task.result, boxes)
    identity = task.identity.recorded()
    record = dataclasses.asdict(speed) | {"identity": identity, "made": made()}
    _put(task, record, content)


def _put(task: Task, record: dict[str, Any], content: bytes) -> None:
    """Write a record and the boxes that it is of; no file beside them stays that is of others."""
    earlier = results.digest(task.result) if task.result.exists() else None
    written = results.digest(content)
    before: dict[str, Any] = {}
    with contextlib.suppress(InputError):  # of a damaged one nothing is known
        before = task.record
    extras = {task.named(file) for file in task.extras}
    if identity := record.get("identity"):
        if same(before.get("identity"), identity):  # what an earlier command left beside them
            left = before.get("extras")
            extras.update(left if isinstance(left, list) else [])
        replaced = None if earlier == written else earlier
        record |= {"result": written, "replaces": replaced, "extras": sorted(extras)}
    results.write_json(task.speed, record)
    with replacing(task.result) as temporary:
        temporary.write_bytes(content)
    if not task.speed.exists():  # deleted in between: boxes alone would be of unknown frames
        results.write_json(task.speed, record)
    if earlier is None or (earlier == written and "identity" not in before):
        return
    for file in task.possible:
        if task.named(file) not in extras:
            file.unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    try:
        return opening.content(path, opening.TEXT)
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error})") from error


def write_partial(task: Task, boxes: Floats) -> None:
    """Write the boxes up to a frame that could not be read, if there are any."""
    if len(boxes):
        results.write_boxes(task.partial, boxes)


def interrupted(task: Task, boxes: Floats) -> None:
    """Keep the boxes of a run that Ctrl-C or SIGTERM ends, and tell of them.

    Nothing is kept where the run has its result by now: another process has made it.
    """
    with contextlib.suppress(InputError):
        if len(boxes) and not task.finished:
            write_partial(task, boxes)
            note = f"note: {task.title}: {len(boxes)} of {task.frames} frames are in {task.partial}"
            tqdm.write(note, file=sys.stderr)


def track(task: Task, params: Params) -> Iterator[int]:
    """Track one run by itself and write its files.

    Args:
        task: The run.
        params: The network's parameters.

    Yields:
        How many more frames have been tracked; first 0, since it may compile for long then. Where
        the caller closes it before the end, what there is is kept as ``interrupted`` says.

    Raises:
        InputError: a frame, the first box or the tracker is at fault, or a file cannot be written.
    """
    parts = [np.zeros((0, 4), np.float32)]
    try:
        yield from _follow(task, params, parts)
    except (KeyboardInterrupt, GeneratorExit):
        interrupted(task, np.concatenate(parts))
        raise


def _follow(task: Task, params: Params, parts: list[Floats]) -> Iterator[int]:
    """Track a run and write its files; the boxes are added to those in parts."""
    experiment, sequence = task.experiment, task.sequence
    boxes, psr = parts[0], np.zeros(0, np.float32)
    task.identity.begin()
    before = compilation.total()
    started = compiled = 0.0
    yield 0
    with contextlib.ExitStack() as stack:
        video = maps = None
        if experiment.overlay:
            layers = experiment.tracker.response_names if experiment.method == METHOD else ()
            writer = OverlayWriter(task.overlay, layers=layers)
            video = stack.enter_context(writer)
        try:
            for tracked in _tracked(task, params):
                if video is not None:
                    _draw(video, task, tracked, boxes)
                if experiment.responses:
                    maps = maps or stack.enter_context(_responses(task, tracked))
                    maps.write(tracked.responses, _centres(tracked, boxes), tracked.psr)
                parts.append(tracked.boxes)
                boxes = np.concatenate([boxes, tracked.boxes])
                psr = np.concatenate([psr, tracked.psr])
                yield len(tracked.images)
                if not started:
                    started = time.perf_counter()
                    compiled = (compilation.total() - before).seconds
        except InputError:
            write_partial(task, boxes)
            raise
    speed = Speed(len(boxes) - 1, time.perf_counter() - started, compiled)
    if experiment.overlay:
        known = None if np.isnan(psr).all() else psr
        plot_track(
            task.plot, boxes, sequence.boxes, known, task.name, sizes_only=sequence.sizes_only
        )
    write(task, boxes, speed)


def _tracked(task: Task, params: Params) -> Iterator[Tracked]:
    """Return the run's frames and boxes, the first alone, from whatever tracks."""
    experiment = task.experiment
    if experiment.method != METHOD:
        return baselines.track_sequence(baselines.find(experiment.method), task.given)
    wanted = experiment.overlay or experiment.responses
    return track_sequence(params, experiment.tracker, task.given, with_responses=wanted)


def _draw(video: OverlayWriter, task: Task, tracked: Tracked, before: Floats) -> None:
    """Add frames to the overlay video; ``before`` are the boxes of all the frames before them."""
    height, width = _geometry(task, tracked).window
    factors = _factors(task, tracked, before)
    truth = task.sequence.boxes[len(before) :]
    for i, (image, (row, column)) in enumerate(
        zip(tracked.images, _centres(tracked, before), strict=True)
    ):
        window = math.floor(factors[i] * height), math.floor(factors[i] * width)
        top, left = row - window[0] // 2, column - window[1] // 2
        video.draw(
            image,
            tracked.boxes[i],
            truth[i],
            None if tracked.responses is None else tracked.responses[i],
            (top, left, *window) if video.layers else None,
            "" if np.isnan(tracked.psr[i]) else f"PSR {tracked.psr[i]:.1f}",
        )


def _responses(task: Task, tracked: Tracked) -> contextlib.AbstractContextManager[responses.Writer]:
    geometry, config = _geometry(task, tracked), task.experiment.tracker
    return responses.writing(
        task.responses,
        task.frames,
        layers=config.response_names,
        gamma=[float(weight) for weight in config.response_weights],
        grid=geometry.grid,
        window=geometry.window,
        cell=geometry.cell,
    )


def _geometry(task: Task, tracked: Tracked) -> sampling.Geometry:
    _, _, w, h = task.box
    size = tracked.images.shape[1:3]
    return sampling.geometry((h, w), (size[0], size[1]), task.experiment.tracker.layout)


def _factors(task: Task, tracked: Tracked, before: Floats) -> Floats:
    """How much larger each frame's search window is than the first one."""
    boxes = _previous(tracked, before)
    if task.experiment.tracker.window == "first":
        return np.ones(len(boxes), np.float32)
    first = np.concatenate([before, tracked.boxes])[0]
    return np.asarray(boxes[:, 2] / first[2], np.float32)


def _previous(tracked: Tracked, before: Floats) -> Floats:
    """The box in the frame before each."""
    return np.concatenate([before[-1:], tracked.boxes])[: len(tracked.boxes)]


def _centres(tracked: Tracked, before: Floats) -> Floats:
    """(row, column) of each frame's search window: where the target was in the frame before."""
    boxes = _previous(tracked, before)
    return np.asarray(boxes[:, 1::-1] + 0.5 * boxes[:, 3:1:-1], np.float32)
