"""The main job: an experiment's protocols over its sequences, one result file per run."""

import contextlib
import sys
from collections.abc import Iterable

from hcft_jax.benchmark import execute, plan
from hcft_jax.benchmark.outcome import Outcome, part, rule, save
from hcft_jax.benchmark.progress import Line, Runs
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.files import reclaim
from hcft_jax.util.startup import ALONE, Process
from hcft_jax.weights.native import Weights

_ELSEWHERE = "no result; the process that had it says why"


def run(
    experiment: Experiment, weights: Weights | None = None, process: Process = ALONE
) -> Outcome:
    """Track what has no result yet, score everything, and write the summary after each run.

    Below ``OUTPUT_DIR/<label>-<hash>/`` (``settings.folders``): ``ope/<Sequence>.txt``,
    ``tre/<Sequence>/<NN>.txt`` and ``sre/<Sequence>/<shift>.txt`` (the boxes), ``speed/`` (how fast
    that was), ``summary.json``, with ``overlay`` also ``overlay/`` (.mp4 and .png), with
    ``responses`` also ``responses/``, and ``partial/`` with the boxes up to a frame that could not
    be read, or up to Ctrl-C.

    A sequence that fails under a protocol is reported in one line and the others continue. On
    Ctrl-C the summary of what is finished is written before ``KeyboardInterrupt`` reaches the
    caller. Several processes each do their part of the runs, and wait for each other at the end.

    Args:
        experiment: What is run.
        weights: With which network. None: the weights that the experiment names.
        process: Which one of several processes this is.

    Raises:
        InputError: a setting, the data folder or the output folder is at fault.
    """
    tell_rules([experiment])
    planned = plan.make([experiment], None if weights is None else [weights])
    (outcome,) = planned.outcomes
    reclaim(outcome.folder)
    todo = planned.todo(process.index, process.count)
    for tasks in outcome.groups():
        if kept := [task for task in tasks if task.result in outcome.judged]:
            what = f"{kept[0].result} is there"
            if len(tasks) > 1:
                what = f"{len(kept)} of {len(tasks)} runs are in {kept[0].result.parent}"
            print(f"{tasks[0].whole.name}: kept, {what}", file=sys.stderr)
    save(outcome)  # an output folder that cannot be written to shows before the first frame
    laned = experiment.lanes > 1 and todo
    try:
        with (
            Line(experiment.label, todo) if laned else Runs(todo) as progress,
            contextlib.closing(execute.work(planned, todo, progress)) as work,
        ):
            for done in work:
                planned.settle(done)
    except KeyboardInterrupt:  # it may have come while a result was being scored
        planned.missing()
        save(outcome)
        raise
    process.wait("tracked")
    if process.count > 1:  # the others' results
        for task in planned.missing():
            outcome.failed.setdefault(part(task.whole.name, task.run.protocol), _ELSEWHERE)
    if not planned.confirm(todo) or (process.count > 1 and process.index == 1):
        save(outcome)
    return outcome


def tell_rules(experiments: Iterable[Experiment]) -> None:
    """Print, each once, what experiments choose where the toolkit leaves a choice."""
    for note in dict.fromkeys(rule(e, protocol) for e in experiments for protocol in e.protocols):
        if note:
            print(f"note: {note}", file=sys.stderr)
