"""Settings of a sweep side by side: their runs, and the table that sets them against the first."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from hcft_jax.benchmark import execute
from hcft_jax.benchmark.outcome import Outcome, rule, save
from hcft_jax.benchmark.plan import Planned
from hcft_jax.benchmark.progress import Line
from hcft_jax.benchmark.tasks import Done, Task
from hcft_jax.evaluation import bootstrap, comparison, results, tables
from hcft_jax.evaluation.comparison import Comparison
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.experiment import options
from hcft_jax.experiment.sweeps import Sweep
from hcft_jax.run.environment import versions
from hcft_jax.util.files import reclaim, replacing
from hcft_jax.util.startup import ALONE, Process

Engine = Callable[[Planned, list[Task], Line], Generator[Done]]
_TITLES = {"ope": "One-pass evaluation", "tre": "TRE", "sre": "SRE"}


class Compared(NamedTuple):
    """The settings of a sweep, compared.

    Attributes:
        text: The tables for the terminal.
        comparisons: By protocol.
    """

    text: str
    comparisons: Mapping[str, Comparison]


def work(
    sweep: Sweep,
    planned: Planned,
    todo: list[Task],
    *,
    command: str,
    engine: Engine = execute.work,
    process: Process = ALONE,
) -> Compared:
    """Do runs, and write the summary of each setting and the table of all, after Ctrl-C too.

    Args:
        sweep: The settings.
        planned: Their runs.
        todo: Which of them are to be done here.
        command: What made the table; it is written into it.
        engine: What does the runs.
        process: Which of several processes this is; the first one writes the table.

    Raises:
        InputError: The output folder cannot be written to.
    """
    compared = Compared("", {})
    for outcome in planned.outcomes:
        reclaim(outcome.folder)
        save(outcome)  # an output folder that cannot be written to shows before the first frame
    try:
        if todo:
            with Line(sweep.name, todo) as line, closing(engine(planned, todo, line)) as doing:
                for done in doing:
                    planned.settle(done)
        process.wait("tracked")
    finally:  # after Ctrl-C too; other processes may have done something as well
        planned.missing()
        planned.confirm([] if sys.exc_info()[0] else todo)
        if process.index == 1:  # the first one speaks for all
            for outcome in planned.outcomes:
                save(outcome)
            compared = write(sweep, planned, command)
    return compared


def missing_runs(planned: Planned) -> dict[str, list[str]]:
    """Return the runs without a usable result, by setting."""
    without: dict[str, list[str]] = {}
    for task in planned.tasks:
        if task.result not in planned.outcomes[task.number].judged:
            without.setdefault(task.experiment.label, []).append(task.name)
    return without


def write(sweep: Sweep, planned: Planned, command: str) -> Compared:
    """Write ``<sweep>.json`` and ``<sweep>.md``, each whole or not at all.

    Args:
        sweep: The settings.
        planned: Their runs.
        command: What made them.

    Raises:
        InputError: The folder cannot be written to.
    """
    folder = Path(sweep.experiments[0].output_dir)
    outcomes, tasks = planned.outcomes, planned.tasks
    without = missing_runs(planned)
    comparisons: dict[str, Comparison] = {}
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
        comparisons[protocol] = result
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
    return Compared("\n".join(lines), comparisons)


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
