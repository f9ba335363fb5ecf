"""Benchmarks, sweeps and evaluations in Python: the commands' work, and a table to go on with.

::

    board = hcft_jax.run_benchmark("lite0", "OTB100", sequences="Deer,Girl", eta=0.02)
    board["Deer"]["DP@20 (%)"], board.to_pandas(), board.folder

    hcft_jax.run_sweep(hcft_jax.product("lite0", eta=(0.01, 0.02)), "OTB100")
    hcft_jax.evaluate("results/lite0-a1b2c3d4", "otb_meta")

No flag is read. Files are those of the commands, which find each other's results: what is finished
is kept, and an interrupted call continues where it was.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hcft_jax.benchmark import benchmark, plan, side_by_side
from hcft_jax.benchmark.tasks import Speed
from hcft_jax.evaluation import annotations, metrics, result_folders, summary
from hcft_jax.evaluation.comparison import COLUMNS, Comparison
from hcft_jax.evaluation.metrics import Scores
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.evaluation.scoreboard import CLE, FPS, Scoreboard, Value
from hcft_jax.experiment import settings, sweeps
from hcft_jax.experiment.settings import Experiment
from hcft_jax.experiment.sweeps import Sweep
from hcft_jax.util.errors import SettingError
from hcft_jax.util.names import listed, near
from hcft_jax.weights.native import Weights

MEAN = "mean"
"""The row with the means of the others."""

_Path = str | os.PathLike[str]


def run_benchmark(
    config: _Path | Experiment = "hcft",
    data_dir: _Path | None = None,
    *,
    protocol: str = "ope",
    weights: Weights | None = None,
    **changes: Any,
) -> Scoreboard:
    """Track the sequences of a benchmark that have no result yet, and return all scores.

    Args:
        config: A shipped configuration's name, a Python file with ``get_config()``, or the
            experiment that it returns.
        data_dir: The folder of sequences; None: that of the configuration.
        protocol: ``ope``, ``tre`` or ``sre``.
        weights: The network. None: that which the experiment names, else the command's.
        **changes: Fields of ``Experiment`` and ``TrackerConfig``, as ``derive`` takes them; a text
            of ``sequences`` may name several with commas between them.

    Returns:
        A row for each sequence, and one of their means; ``folder`` has the boxes.

    Raises:
        InputError: A setting, the data, the weights or the output folder cannot be used.
    """
    experiment = settings.override(_experiment(config), _changes(data_dir, protocol, changes))
    if experiment.own is not None:
        raise SettingError("config", f"{experiment.name} tracks a video: Tracker(...).track(...)")
    experiment.validate()
    outcome = benchmark.run(experiment, weights)
    rows: dict[str, dict[str, Value]] = {}
    listing = sorted(outcome.rows(protocol).items(), key=lambda item: item[0].lower())
    for name, row in listing:
        rows[name] = _of(row.scores) | {FPS: row.speed.fps}
    if scored := [row for _, row in listing if row.scores]:
        mean = metrics.mean([row.scores for row in scored if row.scores])
        rows[MEAN] = _of(mean) | {FPS: Speed.total([row.speed for row in scored]).fps}
    title = f"{experiment.label}, {PROTOCOLS[protocol].lower()}"
    return Scoreboard(title, rows, folder=outcome.folder, failed=dict(outcome.failed))


def run_sweep(
    sweep: _Path | Sequence[Experiment],
    data_dir: _Path | None = None,
    *,
    protocol: str = "ope",
    **changes: Any,
) -> Scoreboard:
    """Track what settings have no result of yet, and return them side by side.

    Args:
        sweep: A shipped sweep's name, a Python file with ``get_sweep()``, or the experiments, as
            ``product`` makes them.
        data_dir: The folder of sequences; None: those of the experiments.
        protocol: ``ope``, ``tre`` or ``sre``.
        **changes: Fields that are changed in all of them, as of ``run_benchmark``.

    Returns:
        A row for each setting: means over the sequences that all of them have, the difference of
        each to the first setting, and the ends of its paired 95 % bootstrap interval.

    Raises:
        InputError: A setting, the data, the weights or the output folder cannot be used.
    """
    if isinstance(sweep, str | os.PathLike):
        chosen = sweeps.load(os.fspath(sweep))
    else:
        if not all(isinstance(experiment, Experiment) for experiment in sweep):
            raise SettingError("sweep", "it must be a name, a file or a list of Experiments")
        chosen = Sweep("sweep", tuple(sweep)).validate()
    chosen = chosen.override(_changes(data_dir, protocol, changes)).validate()
    benchmark.tell_rules(chosen.experiments)
    planned = plan.make(chosen.experiments).longest_first()
    compared = side_by_side.work(
        chosen, planned, planned.todo(1, 1), command="hcft_jax.run_sweep(...)"
    )
    title = f"{chosen.name}, {PROTOCOLS[protocol].lower()}"
    failed = {
        f"{outcome.experiment.label}, {name}": problem
        for outcome in planned.outcomes
        for name, problem in outcome.failed.items()
    }
    rows = _of_settings(compared.comparisons[protocol])
    folder = Path(chosen.experiments[0].output_dir)
    return Scoreboard(title, rows, first="Setting", folder=folder, failed=failed)


def evaluate(
    results: _Path | Sequence[_Path],
    annotated: _Path,
    *,
    protocol: str = "ope",
    sequences: str | Sequence[str] = (),
) -> Scoreboard:
    """Score folders of results of any program, without frames or a tracker.

    Args:
        results: One folder or several, in any layout that the evaluation reads
            (``hcft_jax.evaluation.result_folders``).
        annotated: The folder of annotations (``anno/``, ``attributes.csv``, ``initOmit/``).
        protocol: ``ope``, ``tre`` or ``sre``.
        sequences: Only these; none: those that all trackers have.

    Returns:
        A row for each tracker: its means over these sequences.

    Raises:
        InputError: A folder or file cannot be used, or a tracker has no result of a sequence.
    """
    _check_protocol(protocol)
    folders = [results] if isinstance(results, str | os.PathLike) else list(results)
    known = annotations.load(os.fspath(annotated))
    found = result_folders.load([os.fspath(folder) for folder in folders], known)
    evaluation = summary.evaluate(found, known, protocol)
    names = _names(sequences)
    for name in names:
        if name not in known.targets:
            text = f"{annotated} has no {name!r}{near(name, known.targets)}"
            raise SettingError("sequences", text)
    if not names:
        having = [set(of) for of in evaluation.curves.values() if of]
        common = set.intersection(*having) if having else set()
        names = [name for name in known.targets if name in common]
    rows: dict[str, dict[str, Value]] = {}
    for tracker, of in evaluation.curves.items():
        if missing := [name for name in names if name not in of]:
            raise SettingError("sequences", f"{tracker} has no result of {', '.join(missing)}")
        mean = evaluation.mean(tracker, names)
        if mean is not None:
            rows[tracker] = {"n": len(names)} | _of(mean)
    failed = {str(problem.sequence or problem.tracker): problem.line for problem in found.problems}
    return Scoreboard(PROTOCOLS[protocol], rows, first="Tracker", failed=failed)


def _experiment(config: _Path | Experiment) -> Experiment:
    if isinstance(config, Experiment):
        return config
    if not isinstance(config, str | os.PathLike):
        raise SettingError("config", "it must be a name, a file or an Experiment")
    return settings.load(os.fspath(config))


def _changes(data_dir: _Path | None, protocol: str, changes: dict[str, Any]) -> dict[str, Any]:
    _check_protocol(protocol)
    given = {n: os.fspath(v) if isinstance(v, os.PathLike) else v for n, v in changes.items()}
    if "sequences" in given:
        given["sequences"] = tuple(_names(given["sequences"]))
    if data_dir is not None:
        given["data_dir"] = os.fspath(data_dir)
    return given | {"protocols": (protocol,)}


def _check_protocol(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        text = f"no {protocol!r}{near(str(protocol), PROTOCOLS)}; {listed(PROTOCOLS)}"
        raise SettingError("protocol", text)


def _names(given: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)


def _of(scores: Scores | metrics.Curves | None) -> dict[str, Value]:
    """Return the measures of a row, None each where nothing could be scored."""
    row: dict[str, Value] = {
        name: None if scores is None else scale * getattr(scores, measure)
        for measure, (name, scale, _) in COLUMNS.items()
    }
    return row | {CLE: None if scores is None else scores.cle}


def _of_settings(comparison: Comparison) -> dict[str, dict[str, Value]]:
    rows: dict[str, dict[str, Value]] = {}
    for setting in comparison.counts:
        of = comparison.measures.get(setting, {})
        row: dict[str, Value] = {"n": len(comparison.sequences)}
        for measure, (column, scale, _) in COLUMNS.items():
            value = of.get(measure)
            row[column] = scale * value.mean if value else None
            ends = value.difference_interval if value else None
            row[f"{column} minus the first"] = (
                scale * value.difference if value and value.difference is not None else None
            )
            for name, end in zip(("from", "to"), ends or (None, None), strict=True):
                row[f"{column}, {name}"] = None if end is None else scale * end
        rows[setting] = row
    return rows
