"""Many settings over many sequences: tracks what is missing and sets the settings side by side.

    python -m hcft_jax.experiments.sweep --sweep=ablation --data_dir=OTB100 [--shard=2/4]
    python -m hcft_jax.experiments.sweep --sweep=my/sweep.py --data_dir=OTB100 --engine=ray

--sweep names a shipped sweep (ablation, gamma_eta) or a Python file with get_sweep(), which returns
a list of experiments (``hcft_jax.experiment.sweeps``). Every flag of ``hcft_jax.main`` changes that field in
all of them. Each run of each setting has the result file that ``hcft_jax.main`` would give it, so
what is there is taken, whoever made it, and the same command goes on after any interruption.

Then the settings' means on the sequences that all have, with 95 % bootstrap intervals, and their
differences to the first setting are printed and written to OUTPUT_DIR/<sweep>.json and .md.

--shard=i/n does part i of n, here; n commands, on machines that share OUTPUT_DIR, do everything.
--engine=ray does it on a Ray cluster. --dry_run shows what there is to do.
"""

import contextlib
import dataclasses
import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from hcft_jax.benchmark import baselines, cluster, engine, jobs, plan
from hcft_jax.benchmark.outcome import Outcome, rule, save, versions
from hcft_jax.benchmark.plan import Task
from hcft_jax.benchmark.progress import Line
from hcft_jax.evaluation import bootstrap, comparison, results, tables
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.experiment import options, sweeps
from hcft_jax.experiment.sweeps import Sweep
from hcft_jax.util import startup
from hcft_jax.util.errors import InputError, command
from hcft_jax.util.files import replacing
from hcft_jax.util.startup import ALONE, Process

ENGINES = ("local", "ray")
_TITLES = {"ope": "One-pass evaluation", "tre": "TRE", "sre": "SRE"}


def run(given: flags.FlagValues) -> int:
    """Does what the flags ask for; the exit status.

    Raises:
        InputError: a flag, the sweep, the data or the output folder is at fault.
    """
    sweep = _sweep(given)
    process, (index, count) = _started(given, sweep)
    _at_least(given, "max_retries", 0)
    _at_least(given, "ray_cpus", 1)
    for experiment in sweep.experiments:
        jobs.find(experiment)  # a wrong folder or name should not wait for the weights
    weights = baselines.weights_of(sweep.experiments)
    for note in dict.fromkeys(rule(e, p) for e in sweep.experiments for p in e.protocols):
        if note:
            print(f"note: {note}", file=sys.stderr)
    outcomes, tasks = plan.make(list(zip(sweep.experiments, weights, strict=True)))
    tasks = plan.longest_first(tasks)
    missing = set(plan.missing(tasks))
    todo = [task for task in plan.shard(tasks, index, count) if task in missing]
    if given.dry_run:
        print(planned(outcomes, tasks, todo))
        return 1 if any(outcome.failed for outcome in outcomes) else 0
    folder = Path(sweep.experiments[0].output_dir)
    with _engine(given) as work:
        for outcome in outcomes:
            save(outcome)  # an output folder that cannot be written to shows before the first frame
        try:
            if todo:
                with Line(sweep.name, todo) as line:
                    work(todo, line)
            process.wait("tracked")
        finally:  # after Ctrl-C too; other processes may have done something as well
            plan.missing(tasks)
            if process.index == 1:  # the first one speaks for all
                for outcome in outcomes:
                    save(outcome)
                text = write(sweep, outcomes, tasks, _command(given))
    failed = sum(len(outcome.failed) for outcome in outcomes)
    if process.index > 1:
        return 1 if failed else 0
    print(text)
    print(f"{sweep.name}.json, {sweep.name}.md and a folder for each setting: {folder}")
    if failed:
        print(f"error: {failed} failed, see the lines above and {sweep.name}.json", file=sys.stderr)
    elsewhere = process.count > 1 and missing_runs(tasks)  # failures that another process told of
    return 1 if failed or elsewhere else 0


def _started(given: flags.FlagValues, sweep: Sweep) -> tuple[Process, tuple[int, int]]:
    """JAX set up for this process, and which part of how many it does.

    Raises:
        InputError: flags that contradict each other.
    """
    index, count = _shard(given.shard)
    if given.engine != "local":
        if any(experiment.lanes > 1 for experiment in sweep.experiments):
            raise InputError("--lanes: workers of a Ray cluster do one run at a time; leave it out")
        if given.distributed:
            raise InputError("--distributed: a Ray cluster shares the runs itself; leave it out")
        return ALONE, (index, count)  # its workers start JAX
    process = startup.start(given)
    if process.count == 1:
        return process, (index, count)
    if count > 1:
        raise InputError("--shard: --distributed shares the runs itself; leave one of them out")
    return process, (process.index, process.count)


@contextlib.contextmanager
def _engine(given: flags.FlagValues) -> Iterator[Callable[[Sequence[Task], Line], None]]:
    """What does the work, as ``engine.work``."""
    if given.engine == "local":
        yield engine.work
        return
    with cluster.connected(given.ray_address) as ray:
        yield functools.partial(cluster.work, ray, cpus=given.ray_cpus, retries=given.max_retries)


def _sweep(given: flags.FlagValues) -> Sweep:
    if not given.sweep:
        known = ", ".join(sweeps.available())
        raise InputError(f"--sweep: name a sweep ({known}) or a file.py")
    sweep = sweeps.load(given.sweep).override(options.changes(given)).validate()
    if given.engine != "ray":
        return sweep
    # the workers have other working directories
    experiments = [
        dataclasses.replace(
            e,
            data_dir=e.data_dir and os.path.abspath(e.data_dir),
            output_dir=os.path.abspath(e.output_dir),
        )
        for e in sweep.experiments
    ]
    return dataclasses.replace(sweep, experiments=tuple(experiments))


def _at_least(given: flags.FlagValues, name: str, least: int) -> None:
    value = given[name].value
    if value is not None and value < least:
        raise InputError(f"--{name}: {value} must be at least {least}")


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch("([0-9]+)/([0-9]+)", text)
    index, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise InputError(f"--shard: {text!r} is not i/n with i from 1 to n")
    return index, count


def planned(outcomes: Sequence[Outcome], tasks: Sequence[Task], todo: Sequence[Task]) -> str:
    """What there is to do, a line a setting and one for all."""
    rows = [["Setting", "folder", "runs", "done", "to do here", "frames"]]
    named = [(o.experiment.label, str(o.folder), [o]) for o in outcomes]
    for name, folder, of in [*named, ("all", "", list(outcomes))]:
        mine = [task for task in todo if task.outcome in of]
        rows.append(
            [
                name,
                folder,
                str(sum(task.outcome in of for task in tasks)),
                str(sum(len(outcome.judged) for outcome in of)),
                str(len(mine)),
                str(sum(task.frames for task in mine)),
            ]
        )
    programs = len({task.executable for task in todo})
    return f"{results.aligned(rows, left=2)}\n\n{programs} compiled trackers serve what is to do"


def missing_runs(tasks: Sequence[Task]) -> dict[str, list[str]]:
    """The runs without a usable result, by setting."""
    without: dict[str, list[str]] = {}
    for task in tasks:
        if task.unit.result not in task.outcome.judged:
            without.setdefault(task.experiment.label, []).append(task.unit.title)
    return without


def write(sweep: Sweep, outcomes: Sequence[Outcome], tasks: Sequence[Task], command: str) -> str:
    """Writes ``<sweep>.json`` and ``<sweep>.md``, each whole or not at all.

    ``command`` is the one that made it.

    Returns:
        The tables as text for the terminal.

    Raises:
        InputError: the folder cannot be written to.
    """
    folder = Path(sweep.experiments[0].output_dir)
    without = missing_runs(tasks)
    compared, files, lines = {}, [], []
    for protocol in PROTOCOLS:
        of = [o for o in outcomes if protocol in o.experiment.protocols]
        if not of:
            continue
        scores = {
            o.experiment.label: {
                name: row.scores for name, row in o.rows(protocol).items() if row.scores
            }
            for o in of
        }
        result = comparison.compare(scores)
        note = rule(of[0].experiment, protocol)
        compared[protocol] = result.content() | {"rule": note}
        sequences = {t.group.sequence for t in tasks if t.group.protocol == protocol}
        table = comparison.table(result, _TITLES[protocol], len(sequences))
        notes = [f"{note}\n"] if note else []
        files += [tables.markdown(table), *notes]
        lines += [f"{table.title}\n", results.aligned([table.header, *table.rows]) + "\n", *notes]
    if without:
        total = sum(map(len, without.values()))
        line = f"{total} of {len(tasks)} runs are missing; {sweep.name}.json names them.\n"
        files.append(line)
        lines.append(line)
    content = {
        "sweep": sweep.name,
        "command": command,
        "versions": versions(),
        "settings": [_row(outcome, command, without) for outcome in outcomes],
        "protocols": compared,
        "intervals": {"level": bootstrap.LEVEL, "resamples": bootstrap.RESAMPLES, "seed": 0},
    }
    results.write_json(folder / f"{sweep.name}.json", content)
    with replacing(folder / f"{sweep.name}.md") as temporary:
        temporary.write_text("\n".join(files), encoding="utf-8")
    return "\n".join(lines)


def _command(given: flags.FlagValues) -> str:
    set_ = [given[name].serialize() for name in given if given[name].present]
    return shlex.join(["python", "-m", "hcft_jax.experiments.sweep", *sorted(set_)])


def _row(outcome: Outcome, command: str, without: dict[str, list[str]]) -> dict[str, Any]:
    experiment = outcome.experiment
    return {
        "setting": experiment.label,
        "folder": str(outcome.folder),
        "command": options.command(experiment) or command,
        "experiment": experiment.settings(),
        "weights": outcome.weights.digest,
        "missing": without.get(experiment.label, []),
        "failed": outcome.failed,
    }


@command("interrupted; what is finished is kept, the same command goes on")
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """The command; the exit status."""
    return run(given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """The flags of the command line; not at import, where names would clash with other programs."""
    options.define(into)
    startup.define(into)

    def define(kind: Any, name: str, *rest: Any) -> None:
        kind(name, *rest, flag_values=into)

    define(
        flags.DEFINE_string, "sweep", None, "a shipped sweep's name, or file.py with get_sweep()"
    )
    define(flags.DEFINE_string, "shard", "1/1", "i/n: only part i of n of the runs")
    define(flags.DEFINE_bool, "dry_run", False, "only show what there is to do")
    define(flags.DEFINE_enum, "engine", ENGINES[0], ENGINES, "here, or on a Ray cluster")
    where = "a running cluster (auto, host:port), or local: one is started on this machine"
    define(flags.DEFINE_string, "ray_address", "local", where)
    cores = f"cores of a worker where there is no GPU [{cluster.CPUS}, or all of a smaller node]"
    define(flags.DEFINE_integer, "ray_cpus", None, cores)
    define(flags.DEFINE_integer, "max_retries", 3, "how often a run is repeated whose worker died")


if __name__ == "__main__":
    define_flags()
    app.run(main)
