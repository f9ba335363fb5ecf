"""What was gained: settings side by side on sequences that nothing was learned from."""

from collections.abc import Mapping
from contextlib import closing

from hcft_jax.benchmark import execute, plan
from hcft_jax.benchmark.outcome import save
from hcft_jax.benchmark.progress import Line
from hcft_jax.evaluation.comparison import Comparison
from hcft_jax.evaluation.metrics import Scores
from hcft_jax.evaluation.tables import Table
from hcft_jax.experiment.settings import Experiment
from hcft_jax.weights.native import Weights

FEW = 10  # with fewer sequences, percentile intervals are markedly too narrow
_TITLES = {"dp20": "DP at 20 px", "os50": "OS at 0.5", "auc": "AUC"}

Scored = dict[str, dict[str, Scores]]  # by setting, then by sequence


def track(settings: Mapping[str, Experiment], weights: Weights) -> tuple[Scored, dict[str, str]]:
    """Evaluate settings in one pass over their sequences; existing results are used.

    The network runs once where the settings agree on the target's position.

    Returns:
        The scores, and what is wrong with sequences that failed (also printed).

    Raises:
        InputError: a setting, the data or the output folder cannot be used.
    """
    planned = plan.make([*settings.values()], [weights] * len(settings)).longest_first()
    if todo := planned.missing():
        with Line("held out", todo) as line, closing(execute.work(planned, todo, line)) as work:
            for done in work:
                planned.settle(done)
    planned.confirm(todo)
    for outcome in planned.outcomes:  # also of results that an ended run has left without
        save(outcome)
    scored: Scored = {}
    failed: dict[str, str] = {}
    for name, outcome in zip(settings, planned.outcomes, strict=True):
        rows = outcome.rows("ope")
        scored[name] = {target: row.scores for target, row in rows.items() if row.scores}
        failed |= outcome.failed
    return scored, failed


def verdict(comparison: Comparison) -> list[str]:
    """Return a sentence per measure: whether the last setting is better than the first one."""
    first, *_, last = comparison.measures
    count = len(comparison.sequences)
    lines = []
    for measure, title in _TITLES.items():
        low, high = comparison.measures[last][measure].difference_interval or (0.0, 0.0)
        if low <= 0 <= high:
            told = f"nothing shown to be gained or lost: the interval of {last} minus {first} "
            lines.append(f"{title}: {told}includes 0.")
        else:
            lines.append(f"{title}: {last} is {'higher' if low > 0 else 'lower'} than {first}.")
    if count < FEW:
        lines.append(f"{count} targets are few: such intervals are narrower than they should be.")
    return lines


def rows(scored: Scored, common: list[str]) -> Table:
    """Tabulate the measures of each setting per sequence, and the last minus the first."""
    first, *_, last = scored
    header = ["Target", "frames"]
    header += [f"{name} DP / OS / AUC" for name in [*scored, f"{last} minus {first}"]]
    cells = []
    for target in common:
        of = [_measures(scores[target]) for scores in scored.values()]
        apart = tuple(b - a for a, b in zip(of[0], of[-1], strict=True))
        shown = [_shown(values, "") for values in of] + [_shown(apart, "+")]
        cells.append([target, str(scored[first][target].frames), *shown])
    return Table("DP@20 and OS@0.5 in %, AUC", header, cells)


def _measures(scores: Scores) -> tuple[float, float, float]:
    return 100 * scores.dp20, 100 * scores.os50, scores.auc


def _shown(values: tuple[float, ...], sign: str) -> str:
    digits = (2, 2, 4)
    parts = zip(values, digits, strict=True)
    return " / ".join(f"{round(value, n) + 0.0:{sign}.{n}f}" for value, n in parts)  # no -0.0
