"""The main job: an experiment's protocols over its sequences, one result file a run.

The unit of work is one run of a protocol on one sequence (``jobs``). Its result appears whole or
not at all, and present means done: an interrupted experiment goes on where it stopped. ``work``
does the runs of any number of experiments.
"""

import contextlib
import dataclasses
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np

from hcft_jax import baselines, compilation, plan, sampling, tracker, visualize
from hcft_jax.backbones import registry
from hcft_jax.backbones.weights import Params as HostParams
from hcft_jax.backbones.weights import Weights
from hcft_jax.boxes import Boxes
from hcft_jax.config import METHOD, Experiment
from hcft_jax.data import sequence as data
from hcft_jax.errors import InputError
from hcft_jax.evaluation import responses, results
from hcft_jax.jobs import Unit
from hcft_jax.outcome import Outcome, Speed, rule, save
from hcft_jax.plan import Task
from hcft_jax.progress import Advance, Progress, Runs
from hcft_jax.streaming import Floats, Tracked, track_sequence
from hcft_jax.tracker import Params

KEPT_EXECUTABLES = 256  # each size of a first box compiles anew, and JAX keeps all of them


def run(experiment: Experiment, weights: Weights) -> Outcome:
    """Tracks what has no result yet, scores everything, and writes the summary after each run.

    Below ``OUTPUT_DIR/<label>-<hash>/``: ``ope/<Sequence>.txt``, ``tre/<Sequence>/<NN>.txt`` and
    ``sre/<Sequence>/<shift>.txt`` (the boxes), ``speed/`` (how fast that was), ``summary.json``,
    with ``--overlay`` also ``overlay/`` (.mp4 and .png), with ``--responses`` also ``responses/``,
    and ``partial/`` with the boxes up to a frame that could not be read (``jobs.Unit``).

    A sequence that fails under a protocol is reported in one line and the others go on. On Ctrl-C
    the summary of what is finished is written before ``KeyboardInterrupt`` goes on to the caller.

    Raises:
        InputError: a setting, the data folder or the output folder is at fault.
    """
    for note in filter(None, (rule(experiment, protocol) for protocol in experiment.protocols)):
        print(f"note: {note}", file=sys.stderr)
    (outcome,), tasks = plan.make([(experiment, weights)])
    missing = plan.missing(tasks)
    for group in outcome.groups:
        if kept := [unit for unit in group.units if unit.result in outcome.judged]:
            what = f"{kept[0].result} is there"
            if len(group.units) > 1:
                what = f"{len(kept)} of {len(group.units)} runs are in {kept[0].result.parent}"
            print(f"{group.sequence}: kept, {what}", file=sys.stderr)
    save(outcome)  # an output folder that cannot be written to shows before the first frame
    try:
        work(missing, Runs(len(missing)))
    except KeyboardInterrupt:  # it may have come while a result was being scored
        plan.missing(tasks)
        save(outcome)
        raise
    return outcome


def work(tasks: Sequence[Task], progress: Progress) -> None:
    """Tracks tasks in this process, one after the other, and settles each (``settling``).

    Raises:
        InputError: a summary cannot be written.
    """
    params: dict[str, Params] = {}
    for task in tasks:
        if task.failed:  # another run of its group has: no score could be formed
            progress.skip(task)
            continue
        weights = task.outcome.weights
        if weights.digest not in params:
            params[weights.digest] = on_device(task.experiment, weights.params)
        with settling(task), progress.tracking(task) as advance:
            obtain(task.experiment, params[weights.digest], task.unit, task.others, advance)


@contextlib.contextmanager
def settling(task: Task) -> Iterator[None]:
    """Around a task: what it left is scored and in the summary, or its failure is one line.

    That is also so after Ctrl-C, which may come just when the result has been written.
    """
    with task.attempt():
        try:
            yield
        finally:
            if task.unit.result.exists():
                with task.attempt():
                    task.outcome.judge(task.unit)
            save(task.outcome)


def on_device(experiment: Experiment, params: HostParams) -> Params:
    """The network's parameters where the tracker has them, and as the device computes best.

    A baseline has none.
    """
    if experiment.method != METHOD:
        return {}
    return registry.get(experiment.tracker.backbone).placed(params)


def obtain(
    experiment: Experiment, params: Params, unit: Unit, others: Iterable[Unit], advance: Advance
) -> None:
    """Makes the files of a run: from an equal one (TRE's first is mostly OPE's), or by tracking.

    A run that has its files is left alone: another process may have made them meanwhile.

    Args:
        experiment: Whose run it is.
        params: The network's parameters.
        unit: The run.
        others: Equal runs of the experiment.
        advance: Is told how many frames have been tracked, first 0.

    Raises:
        InputError: what cannot be tracked, read or written; it names the run.
    """
    try:
        if not unit.finished(experiment):
            for other in others:
                if other.finished(experiment):
                    unit.take(other, experiment)
                    break
            else:
                _track(experiment, params, unit, advance)
    except (InputError, jax.errors.JaxRuntimeError) as error:
        text = str(error)
        if not isinstance(error, InputError):  # mostly: out of memory
            text = f"the device failed: {text.splitlines()[0]}"
        raise InputError(f"{unit.run.label}: {text}" if unit.run.label else text) from error
    finally:
        compilation.clear_beyond(KEPT_EXECUTABLES)
    unit.partial.unlink(missing_ok=True)


def _track(experiment: Experiment, params: Params, unit: Unit, advance: Advance) -> None:
    """Tracks one run and writes its files, the boxes last: present means done."""
    sequence = unit.sequence
    # the tracker takes its start from the first box, which is not the truth in SRE
    given = dataclasses.replace(
        sequence, boxes=np.concatenate([unit.box[None], sequence.boxes[1:]])
    )
    boxes, psr = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    before = compilation.total()
    started = compiled = 0.0
    advance(0)  # it may compile for long before the first frame
    with contextlib.ExitStack() as stack:
        video = maps = None
        if experiment.overlay:
            ours = experiment.method == METHOD
            layers = tracker.response_names(experiment.tracker) if ours else []
            writer = visualize.OverlayWriter(unit.overlay, layers=layers)
            video = stack.enter_context(writer)
        try:
            for tracked in _tracked(experiment, params, given):
                if video is not None:
                    _draw(video, unit.box, sequence, tracked, boxes)
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
            if len(boxes):
                results.write_boxes(unit.partial, boxes)
            raise
    speed = Speed(len(boxes) - 1, time.perf_counter() - started, compiled)
    results.write_json(unit.speed, dataclasses.asdict(speed))
    if experiment.overlay:
        known = None if np.isnan(psr).all() else psr
        visualize.plot_track(
            unit.plot, boxes, sequence.boxes, known, unit.title, sizes_only=sequence.sizes_only
        )
    results.write_boxes(unit.result, boxes)


def _tracked(experiment: Experiment, params: Params, sequence: data.Sequence) -> Iterator[Tracked]:
    """The sequence's frames and boxes, the first alone, from whatever tracks."""
    if experiment.method != METHOD:
        return baselines.track_sequence(baselines.find(experiment.method), sequence)
    wanted = experiment.overlay or experiment.responses
    return track_sequence(params, experiment.tracker, sequence, with_responses=wanted)


def _draw(
    video: visualize.OverlayWriter,
    start: Boxes,
    sequence: data.Sequence,
    tracked: Tracked,
    before: Floats,
) -> None:
    """Adds frames to the overlay video; ``before`` are the boxes of all the frames before them."""
    window = _geometry(start, tracked).window
    for i, (image, (row, column)) in enumerate(
        zip(tracked.images, _centres(tracked, before), strict=True)
    ):
        top, left = row - window[0] // 2, column - window[1] // 2
        video.write(
            image,
            tracked.boxes[i],
            sequence.boxes[len(before) + i],
            None if tracked.responses is None else tracked.responses[i],
            (top, left, *window) if video.layers else None,
            "" if np.isnan(tracked.psr[i]) else f"PSR {tracked.psr[i]:.1f}",
        )


def _responses(
    experiment: Experiment, unit: Unit, tracked: Tracked
) -> contextlib.AbstractContextManager[responses.Writer]:
    geometry = _geometry(unit.box, tracked)
    return responses.writing(
        unit.responses,
        unit.run.frames,
        layers=tracker.response_names(experiment.tracker),
        gamma=[float(weight) for weight in tracker.response_weights(experiment.tracker)],
        grid=geometry.grid,
        window=geometry.window,
        cell=sampling.CELL,
    )


def _geometry(start: Boxes, tracked: Tracked) -> sampling.Geometry:
    _, _, w, h = start
    return sampling.geometry((h, w), tracked.images.shape[1:3])


def _centres(tracked: Tracked, before: Floats) -> Floats:
    """(row, column) of each frame's search window: where the target was in the frame before."""
    boxes = np.concatenate([before[-1:], tracked.boxes])[: len(tracked.boxes)]
    return np.asarray(boxes[:, 1::-1] + 0.5 * boxes[:, 3:1:-1], np.float32)
