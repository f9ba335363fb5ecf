"""The main job: an experiment's protocols over its sequences, one result file a run.

The unit of work is one run of a protocol on one sequence (``jobs``). Its result appears whole or
not at all, and present means done: an interrupted experiment goes on where it stopped.
"""

import contextlib
import sys

from hcft_jax.benchmark import engine, plan
from hcft_jax.benchmark.outcome import Outcome, part, rule, save
from hcft_jax.benchmark.progress import Line, Progress, Runs
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.startup import ALONE, Process
from hcft_jax.weights.native import Weights

_ELSEWHERE = "no result; the process that had it says why"


def run(experiment: Experiment, weights: Weights, process: Process = ALONE) -> Outcome:
    """Tracks what has no result yet, scores everything, and writes the summary after each run.

    Below ``OUTPUT_DIR/<label>-<hash>/``: ``ope/<Sequence>.txt``, ``tre/<Sequence>/<NN>.txt`` and
    ``sre/<Sequence>/<shift>.txt`` (the boxes), ``speed/`` (how fast that was), ``summary.json``,
    with ``--overlay`` also ``overlay/`` (.mp4 and .png), with ``--responses`` also ``responses/``,
    and ``partial/`` with the boxes up to a frame that could not be read (``jobs.Unit``).

    A sequence that fails under a protocol is reported in one line and the others go on. On Ctrl-C
    the summary of what is finished is written before ``KeyboardInterrupt`` goes on to the caller.

    Several processes each do their part of the runs, and wait for each other at the end.

    Raises:
        InputError: a setting, the data folder or the output folder is at fault.
    """
    for note in filter(None, (rule(experiment, protocol) for protocol in experiment.protocols)):
        print(f"note: {note}", file=sys.stderr)
    (outcome,), tasks = plan.make([(experiment, weights)])
    unfinished = set(plan.missing(tasks))
    missing = [t for t in plan.shard(tasks, process.index, process.count) if t in unfinished]
    for group in outcome.groups:
        if kept := [unit for unit in group.units if unit.result in outcome.judged]:
            what = f"{kept[0].result} is there"
            if len(group.units) > 1:
                what = f"{len(kept)} of {len(group.units)} runs are in {kept[0].result.parent}"
            print(f"{group.sequence}: kept, {what}", file=sys.stderr)
    save(outcome)  # an output folder that cannot be written to shows before the first frame
    try:
        with contextlib.ExitStack() as stack:
            progress: Progress = Runs(len(missing))
            if experiment.lanes > 1 and missing:
                progress = stack.enter_context(Line(experiment.label, missing))
            engine.work(missing, progress)
    except KeyboardInterrupt:  # it may have come while a result was being scored
        plan.missing(tasks)
        save(outcome)
        raise
    process.wait("tracked")
    if process.count > 1:  # the others' results
        for task in plan.missing(tasks):
            outcome.failed.setdefault(part(task.group.sequence, task.group.protocol), _ELSEWHERE)
        if process.index == 1:
            save(outcome)
    return outcome
