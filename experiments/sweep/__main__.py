"""Many settings over many sequences: tracks what is missing and sets the settings side by side.

    python -m hcft_jax.experiments.sweep --sweep=ablation --data_dir=OTB100 [--shard=2/4]
    python -m hcft_jax.experiments.sweep --sweep=my/sweep.py --data_dir=OTB100 --engine=ray

--sweep names a shipped sweep (ablation, gamma_eta) or a Python file with get_sweep(), which returns
a list of experiments (``hcft_jax.experiment.sweeps``). Every flag of ``hcft_jax.main`` changes its
field in all of them. Each run of each setting has the result file that ``hcft_jax.main`` would give
it, so existing results are taken, whoever made them, and the same command continues after any
interruption.

Then the settings' means on the sequences that all have, with 95 % bootstrap intervals, and their
differences to the first setting are printed and written to OUTPUT_DIR/<sweep>.json and .md.

--shard=i/n does part i of n, here; n commands, on machines that share OUTPUT_DIR, do everything.
--engine=ray does it on a Ray cluster. --dry_run shows what is to be done.
"""

import contextlib
import dataclasses
import functools
import os
import re
import shlex
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from absl import flags

from hcft_jax.benchmark import cluster, execute, plan
from hcft_jax.benchmark.benchmark import tell_rules
from hcft_jax.benchmark.outcome import Outcome, rule, save
from hcft_jax.benchmark.plan import Planned
from hcft_jax.benchmark.progress import Line
from hcft_jax.benchmark.tasks import Done, Task
from hcft_jax.evaluation import bootstrap, comparison, results, tables
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.experiment import options, sweeps
from hcft_jax.experiment.sweeps import Sweep
from hcft_jax.run.environment import versions
from hcft_jax.util import entry, startup
from hcft_jax.util.errors import SettingError, command
from hcft_jax.util.files import reclaim, replacing
from hcft_jax.util.startup import ALONE, Process

ENGINES = ("local", "ray")
_TITLES = {"ope": "One-pass evaluation", "tre": "TRE", "sre": "SRE"}


def run(given: flags.FlagValues) -> int:
    """Do what the flags ask for; return the exit status.

    Raises:
        InputError: a flag, the sweep, the data or the output folder is at fault.
    """
    sweep = _sweep(given)
    process, (index, count) = _started(given, sweep)
    _at_least(given, "max_retries", 0)
    _at_least(given, "ray_cpus", 1)
    tell_rules(sweep.experiments)
    planned = plan.make(sweep.experiments).longest_first()
    outcomes, todo = planned.outcomes, planned.todo(index, count)
    if given.dry_run:
        print(listed(planned, todo))
        return 1 if any(outcome.failed for outcome in outcomes) else 0
    folder = Path(sweep.experiments[0].output_dir)
    with _engine(given) as work:
        for outcome in outcomes:
            reclaim(outcome.folder)
            save(outcome)  # an output folder that cannot be written to shows before the first frame
        try:
            if todo:
                with Line(sweep.name, todo) as line, closing(work(planned, todo, line)) as doing:
                    for done in doing:
                        planned.settle(done)
            process.wait("tracked")
        finally:  # after Ctrl-C too; other processes may have done something as well
            planned.missing()
            planned.confirm([] if sys.exc_info()[0] else todo)
            if process.index == 1:  # the first one speaks for all
                for outcome in outcomes:
                    save(outcome)
                text = write(sweep, planned, _command(given))
    failed = sum(len(outcome.failed) for outcome in outcomes)
    if process.index > 1:
        return 1 if failed else 0
    print(text)
    print(f"{sweep.name}.json, {sweep.name}.md and a folder for each setting: {folder}")
    if failed:
        print(f"error: {failed} failed, see the lines above and {sweep.name}.json", file=sys.stderr)
    elsewhere = process.count > 1 and missing_runs(planned)  # failures that another process told of
    return 1 if failed or elsewhere else 0


def _started(given: flags.FlagValues, sweep: Sweep) -> tuple[Process, tuple[int, int]]:
    """Set JAX up for this process; return it, and which part of how many it does.

    Raises:
        InputError: flags that contradict each other.
    """
    index, count = _shard(given.shard)
    if given.engine != "local":
        if any(experiment.lanes > 1 for experiment in sweep.experiments):
            raise SettingError(
                "lanes", "a Ray cluster's workers do one run at a time; leave it out"
            )
        if given.distributed:
            raise SettingError("distributed", "a Ray cluster shares the runs itself; leave it out")
        return ALONE, (index, count)  # its workers start JAX
    process = startup.start(given)
    if process.count == 1:
        return process, (index, count)
    if count > 1:
        raise SettingError("shard", "--distributed shares the runs itself; leave one of them out")
    return process, (process.index, process.count)


@contextlib.contextmanager
def _engine(
    given: flags.FlagValues,
) -> Iterator[Callable[[Planned, list[Task], Line], Generator[Done]]]:
    """Give what does the work: ``execute.work``, or a cluster's."""
    if given.engine == "local":
        yield execute.work
        return
    with cluster.connected(given.ray_address) as ray:
        how = {"ray": ray, "cpus": given.ray_cpus, "retries": given.max_retries}
        yield functools.partial(cluster.work, **how)


def _sweep(given: flags.FlagValues) -> Sweep:
    if not given.sweep:
        known = ", ".join(sweeps.available())
        raise SettingError("sweep", f"name a sweep ({known}) or a file.py")
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
        raise SettingError(name, f"{value} must be at least {least}")


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch("([0-9]+)/([0-9]+)", text)
    index, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= index <= count:
        raise SettingError("shard", f"{text!r} is not i/n with i from 1 to n")
    return index, count


def listed(planned: Planned, todo: list[Task]) -> str:
    """Return what is to be done: one line per setting and one for all."""
    rows = [["Setting", "folder", "runs", "done", "to do here", "frames"]]
    named = [(o.experiment.label, str(o.folder), [o]) for o in planned.outcomes]
    for name, folder, of in [*named, ("all", "", planned.outcomes)]:
        mine = [task for task in todo if planned.outcomes[task.number] in of]
        counts = [
            sum(len(outcome.tasks) for outcome in of),
            sum(len(outcome.judged) for outcome in of),
            len(mine),
            sum(task.frames for task in mine),
        ]
        rows.append([name, folder, *map(str, counts)])
    programs = len({task.executable for task in todo})
    return f"{results.aligned(rows, left=2)}\n\n{programs} compiled trackers serve what is to do"


def missing_runs(planned: Planned) -> dict[str, list[str]]:
    """Return the runs without a usable result, by setting."""
    without: dict[str, list[str]] = {}
    for task in planned.tasks:
        if task.result not in planned.outcomes[task.number].judged:
            without.setdefault(task.experiment.label, []).append(task.name)
    return without


def write(sweep: Sweep, planned: Planned, command: str) -> str:
    """Write ``<sweep>.json`` and ``<sweep>.md``, each whole or not at all.

    ``command`` is the one that made them.

    Returns:
        The tables as text for the terminal.

    Raises:
        InputError: the folder cannot be written to.
    """
    folder = Path(sweep.experiments[0].output_dir)
    outcomes, tasks = planned.outcomes, planned.tasks
    without = missing_runs(planned)
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
        sequences = {task.whole.name for task in tasks if task.run.protocol == protocol}
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
        "made": outcome.makers,
        "missing": without.get(experiment.label, []),
        "failed": outcome.failed,
    }


@command("interrupted; what is finished is kept, the same command continues")
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    return run(given)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags; not at import, where their names would clash with other programs'."""
    options.define(into)
    startup.define(into)

    def define(kind: Any, name: str, *rest: Any) -> None:
        kind(name, *rest, flag_values=into)

    define(
        flags.DEFINE_string, "sweep", None, "a shipped sweep's name, or file.py with get_sweep()"
    )
    define(flags.DEFINE_string, "shard", "1/1", "i/n: only part i of n of the runs")
    define(flags.DEFINE_bool, "dry_run", False, "only show what is to be done")
    define(flags.DEFINE_enum, "engine", ENGINES[0], ENGINES, "here, or on a Ray cluster")
    where = "a running cluster (auto, host:port), or local: one is started on this machine"
    define(flags.DEFINE_string, "ray_address", "local", where)
    cores = f"cores per worker where there is no GPU [{cluster.CPUS}, or all of a smaller node]"
    define(flags.DEFINE_integer, "ray_cpus", None, cores)
    define(flags.DEFINE_integer, "max_retries", 3, "how often a run whose worker died is repeated")


if __name__ == "__main__":
    define_flags()
    entry.run(main)
