"""A sweep: what is missing is tracked, and the settings are set side by side."""

import contextlib
import dataclasses
import functools
import os
import re
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags

from hcft_jax.benchmark import cluster, execute, plan, side_by_side
from hcft_jax.benchmark.benchmark import tell_rules
from hcft_jax.benchmark.plan import Planned
from hcft_jax.benchmark.tasks import Task
from hcft_jax.core.choices import TrackerConfig
from hcft_jax.evaluation import results
from hcft_jax.experiment import options, sweeps
from hcft_jax.experiment.sweeps import Sweep
from hcft_jax.util import entry, startup
from hcft_jax.util.errors import InputError, SettingError, command
from hcft_jax.util.startup import ALONE, Process

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
    with _engine(given) as work:
        done = side_by_side.work(
            sweep, planned, todo, command=_command(given), engine=work, process=process
        )
    failed = sum(len(outcome.failed) for outcome in outcomes)
    if process.index > 1:
        return 1 if failed else 0
    print(done.text)
    folder = sweep.experiments[0].output_dir
    print(f"{sweep.name}.json, {sweep.name}.md and a folder for each setting: {folder}")
    if failed:
        print(f"error: {failed} failed, see the lines above and {sweep.name}.json", file=sys.stderr)
    # failures that another process told of
    elsewhere = process.count > 1 and side_by_side.missing_runs(planned)
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
) -> Iterator[side_by_side.Engine]:
    """Give what does the work: ``execute.work``, or a cluster's."""
    if given.engine == "local":
        yield execute.work
        return
    with cluster.connected(given.ray_address) as ray:
        how = {"ray": ray, "cpus": given.ray_cpus, "retries": given.max_retries}
        yield functools.partial(cluster.work, **how)


def _sweep(given: flags.FlagValues) -> Sweep:
    sweep = _named(given).override(options.changes(given)).validate()
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


def _named(given: flags.FlagValues) -> Sweep:
    """Return the sweep that --sweep or --vary describes, without what other flags change."""
    if bool(given.sweep) == bool(given.vary):
        known = ", ".join(sweeps.available())
        raise SettingError(
            "sweep", f"name a sweep ({known}) or a file.py; or --vary=eta=0.01/0.02, not both"
        )
    if given.sweep and given["config"].present:
        raise SettingError("config", "a sweep has its own; it is for --vary")
    if given.sweep:
        return sweeps.load(given.sweep)
    values: dict[str, list[Any]] = {}
    for part in given.vary.split():
        name, _, several = part.partition("=")
        for value in several.split("/"):
            for field, found in _parsed(name, value).items():
                values.setdefault(field, []).append(found)
    return Sweep(f"vary-{'-'.join(values)}", tuple(sweeps.product(given.config, **values)))


def _parsed(name: str, value: str) -> dict[str, Any]:
    """Return the field of a flag of the tracker, and its value."""
    define = functools.partial(options.define, only=options.names(TrackerConfig))
    try:
        _, given = entry.parsed(["hcft", f"--{name}={value}"], define)
    except InputError as error:
        raise SettingError("vary", str(error)) from error
    return options.changes(given)


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


def _command(given: flags.FlagValues) -> str:
    set_ = [given[name].serialize() for name in given if given[name].present]
    return shlex.join(["python", "-m", "hcft_jax.experiments.sweep", *sorted(set_)])


@command("interrupted; what is finished is kept, the same command continues")
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command; return the exit status."""
    return run(given)
