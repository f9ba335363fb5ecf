"""Table 1 and Figures 5 and 6: all trackers on the benchmark, by protocol and by attribute."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from hcft_jax.evaluation import plots, tables
from hcft_jax.evaluation.annotations import ATTRIBUTES
from hcft_jax.evaluation.metrics import Curves
from hcft_jax.evaluation.plots import KINDS, Kind, Panel
from hcft_jax.evaluation.summary import COMMON, Evaluation, having
from hcft_jax.evaluation.tables import Table
from hcft_jax.util.errors import InputError

from . import EIGHT, NothingToShow, folders

BENCHMARKS = ("CVPR13", "OTB100")  # the paper's Benchmark I and II

# the property of Curves, the header, whether larger is better, the factor and the digits
_COLUMNS = (
    ("dp20", "DP@20 (%)", True, 100, 1),
    ("os50", "OS@0.5 (%)", True, 100, 1),
    ("cle", "CLE (px)", False, 1, 1),
)


def table1(evaluation: Evaluation, origins: Mapping[str, Path]) -> Table:
    """Make Table 1: DP, OS, CLE and speed of all trackers on both benchmarks, the best two marked.

    Where a tracker lacks targets, those that all trackers have make a third benchmark. Speed is
    known for result folders of this program only; it is not ranked, since machines differ.
    """
    subsets = [s for s in (*BENCHMARKS, COMMON) if s in evaluation.subsets]
    trackers = list(evaluation.curves)
    means = {
        s: [evaluation.mean(tracker, evaluation.subsets[s]) for tracker in trackers]
        for s in subsets
    }
    rows = [[tracker] for tracker in trackers]
    header, places = ["Tracker"], {}
    for field, title, largest, factor, digits in _COLUMNS:
        for subset in subsets:
            values = [getattr(mean, field) if mean else None for mean in means[subset]]
            for i, place in tables.places(values, largest=largest).items():
                places[i, len(header)] = place
            for row, value in zip(rows, values, strict=True):
                row.append(tables.number(None if value is None else factor * value, digits))
            header.append(f"{title}, {tables.TITLES[subset]}")
    for subset in subsets:
        header.append(f"frames/s, {tables.TITLES[subset]}")
        for tracker, row in zip(trackers, rows, strict=True):
            rate = folders.fps(origins[tracker], evaluation.subsets[subset])
            row.append(tables.number(rate, 1))
    titles = [tables.named(subset, len(evaluation.subsets[subset])) for subset in subsets]
    return Table(f"Table 1: {', '.join(titles)}", header, rows, places)


def means(evaluation: Evaluation, targets: Sequence[str]) -> dict[str, Curves]:
    """Return the mean curves of each tracker that has all of the targets."""
    of = {tracker: evaluation.mean(tracker, targets) for tracker in evaluation.curves}
    return {tracker: mean for tracker, mean in of.items() if mean}


def figure5(evaluations: Mapping[str, Evaluation], subset: str) -> Figure:
    """Draw Figure 5: success plots above precision plots, one column per protocol.

    The numbers in the legends are AUC and precision at 20 px, as in the paper.

    Args:
        evaluations: By protocol; those in which no tracker has the whole subset are left out.
        subset: The name of a subset.

    Raises:
        NothingToShow: no tracker has all targets of the subset under any protocol.
    """
    held = {
        protocol: (of, found)
        for protocol, of in evaluations.items()
        if (found := means(of, of.subsets.get(subset, [])))
    }
    if not held:
        raise NothingToShow(f"{tables.TITLES[subset]}: no tracker has results of all its targets")
    panels = [
        Panel(
            f"{kind.title} of {protocol.upper()}, {tables.named(subset, len(of.subsets[subset]))}",
            kind,
            found,
        )
        for kind in (KINDS["success"], KINDS["precision"])
        for protocol, (of, found) in held.items()
    ]
    return plots.grid(panels, columns=len(held))


def figure6(
    evaluation: Evaluation,
    subset: str,
    attributes: Sequence[str] = EIGHT,
    kind: Kind = KINDS["success"],
) -> Figure:
    """Draw Figure 6: one plot per attribute, over the targets of a subset that have it.

    Args:
        evaluation: Under any protocol.
        subset: The name of one of its subsets.
        attributes: Keys or names in ``annotations.ATTRIBUTES``; those no target has are left out.
        kind: One of ``plots.KINDS``.

    Raises:
        InputError: an attribute is unknown.
        NothingToShow: no tracker has all targets of any of the attributes.
    """
    panels = []
    for name in map(attribute, attributes):
        targets = having(evaluation, subset, name)
        if found := means(evaluation, targets):
            panels.append(Panel(f"{ATTRIBUTES[name]} ({len(targets)})", kind, found))
    if not panels:
        raise NothingToShow(
            f"{tables.TITLES[subset]}: no tracker has all targets of any of {', '.join(attributes)}"
        )
    return plots.grid(panels, columns=min(4, len(panels)), scale=0.75)


def attribute(name: str) -> str:
    """Return the key of an attribute that is given by its key or its name.

    Raises:
        InputError: there is no such attribute.
    """
    known = {spelling.lower(): key for key, full in ATTRIBUTES.items() for spelling in (key, full)}
    if name.lower() not in known:
        listed = ", ".join(f"{key} ({full})" for key, full in ATTRIBUTES.items())
        raise InputError(f"{name!r}: not an attribute, there are {listed}")
    return known[name.lower()]
