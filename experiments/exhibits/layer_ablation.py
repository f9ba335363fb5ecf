"""Figure 7: how well the features of each layer do, for each network that has results.

The rows are recognised by the settings in each result folder's ``summary.json``, whatever the
folder is called.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from hcft_jax.evaluation import bootstrap, plots, summary, tables
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.plots import KINDS, Panel
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.summary import COMMON, Evaluation
from hcft_jax.evaluation.tables import Table
from hcft_jax.util.errors import InputError

from . import NothingToShow, folders
from .folders import Settings
from .scores import means

ALL = "all"
# The paper's rows, in its order: the blocks whose last layers are used; whether as one filter.
ROWS = {
    "C5": ((5,), False),
    "C4": ((4,), False),
    "C3": ((3,), False),
    "C5-C4": ((5, 4), False),
    "C543": ((5, 4, 3), True),
    ALL: ((5, 4, 3), False),
}
NETWORKS = {"vgg19": "VGG-19", "alexnet": "AlexNet"}

# the last layer of a block is conv5_4 in VGG-19 and conv5 in AlexNet
_LAST_LAYER = re.compile(r"conv([0-9])(?:_4)?")
_VARIED = ("layers", "gamma", "hypercolumn", "backbone", "weights")  # what rows may differ in


def network(settings: Settings) -> str:
    """Return the network's name; settings from before there was a choice mean VGG-19."""
    name = str(settings.get("backbone", "vgg19"))
    return NETWORKS.get(name, name)


def row(settings: Settings) -> str | None:
    """Return the name of the row of ``ROWS`` that settings are, if any."""
    matches = [_LAST_LAYER.fullmatch(layer) for layer in settings["layers"]]
    blocks = tuple(sorted((int(match[1]) for match in matches if match), reverse=True))
    whole = len(blocks) == len(matches)
    # a hypercolumn of one layer is that layer
    key = blocks, bool(settings["hypercolumn"]) and len(blocks) > 1
    return next((name for name, of in ROWS.items() if whole and of == key), None)


def find(origins: Mapping[str, Path]) -> dict[str, str]:
    """Return the trackers to compare, by their labels in the comparison (``VGG-19 C5``).

    Compared rows differ in nothing but their features. Of each network these are the largest group
    of rows with equal other settings and weights; of equally large groups, one that has ``all``.

    Raises:
        InputError: two folders are the same row.
        NothingToShow: there are fewer than two rows.
    """
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for tracker, settings in folders.all_settings(origins).items():
        if name := row(settings):
            others = {k: v for k, v in settings.items() if k not in _VARIED}
            key = json.dumps([settings["weights"], others], sort_keys=True)
            group = groups.setdefault((network(settings), key), {})
            group.setdefault(name, []).append(tracker)
    best: dict[str, dict[str, list[str]]] = {}
    for (name, _), group in groups.items():
        held = best.setdefault(name, group)
        if (len(group), ALL in group) > (len(held), ALL in held):
            best[name] = group
    rows = {}
    for name in sorted(best, key=[*NETWORKS.values(), *best].index):
        for feature in (feature for feature in ROWS if feature in best[name]):
            one, *more = best[name][feature]
            if more:
                raise InputError(f"{one} and {more[0]}: both are {name} {feature}: give only one")
            rows[f"{name} {feature}"] = one
    if len(rows) < 2:
        raise NothingToShow(
            "no features to compare: give result folders of --config=hcft, c5, c4, c3, c5_c4, c543"
        )
    return rows


def evaluate(results: Results, benchmark: Benchmark) -> Evaluation:
    """Evaluate the compared features on the targets that all of them have, as one subset.

    Raises:
        InputError: two folders are the same row.
        NothingToShow: there are fewer than two rows, or they have no target in common.
    """
    rows = find({t: o for t, o in results.origins.items() if results.boxes.get(t)})
    boxes = {label: results.boxes[tracker] for label, tracker in rows.items()}
    evaluation = summary.evaluate(Results(boxes), benchmark)
    targets = [name for name in benchmark.targets if all(name in of for of in boxes.values())]
    if not targets:
        raise NothingToShow(f"{', '.join(rows.values())}: no target that all of them have")
    curves = {label: evaluation.curves[label] for label in rows}
    return dataclasses.replace(evaluation, curves=curves, subsets={COMMON: targets})


def title(evaluation: Evaluation) -> str:
    """Return the title of table and figure, with the number of targets that they are about."""
    count, total = len(evaluation.subsets[COMMON]), len(evaluation.benchmark.targets)
    of = f"{count} of {total} targets" if count < total else f"all {total} targets"
    return f"Features, {of}"


def figure7(evaluation: Evaluation) -> Figure:
    """Draw Figure 7: success and precision plots of the features that ``evaluate`` compared."""
    found = means(evaluation, evaluation.subsets[COMMON])
    kinds = KINDS["success"], KINDS["precision"]
    panels = [Panel(f"{kind.title}. {title(evaluation)}", kind, found) for kind in kinds]
    return plots.grid(panels, columns=2)


def table7(evaluation: Evaluation, resamples: int = bootstrap.RESAMPLES, seed: int = 0) -> Table:
    """Tabulate DP, OS and AUC of the features, and the difference to all layers of the network.

    Both have 95 % bootstrap intervals over targets; differences are paired.
    """
    content = summary.intervals(evaluation, resamples, seed)
    found = means(evaluation, evaluation.subsets[COMMON])
    header = ["Features"]
    rows = [[label] for label in found]
    places = {}
    for measure, name, factor, digits in (
        ("dp20", "DP@20 (%)", 100, 2),
        ("os50", "OS@0.5 (%)", 100, 2),
        ("auc", "AUC", 1, 4),
    ):
        values = [getattr(mean, measure) for mean in found.values()]
        for i, place in tables.places(values, largest=True).items():
            places[i, len(header)] = place
        header += [name, "95 % interval", f"minus {ALL}", "95 % interval"]
        for cells, label, value in zip(rows, found, values, strict=True):
            reference = f"{label.rpartition(' ')[0]} {ALL}"
            # a network's last row is ``all``, so the other row is the first of each pair
            pair = content["differences"][COMMON].get(label, {}).get(reference, {}).get(measure)
            cells += [
                tables.number(factor * value, digits),
                tables.interval(content["means"][COMMON][label][measure], factor, digits - 1),
                tables.number(factor * pair[0], digits) if pair else "-",
                tables.interval(pair[1:] if pair else None, factor, digits - 1),
            ]
    return Table(title(evaluation), header, rows, places)
