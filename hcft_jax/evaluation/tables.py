"""Tables as Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hcft_jax.evaluation.annotations import ATTRIBUTES
from hcft_jax.evaluation.summary import COMMON, Evaluation, having
from hcft_jax.files import replacing

TITLES = {
    "OTB100": "OTB-100",
    "CVPR13": "CVPR 2013",
    "TB50": "TB-50",
    COMMON: "what every tracker has",
}
_LATEX = {character: f"\\{character}" for character in "_%&#$"} | {"@": "@"}


def named(subset: str, count: int) -> str:
    """A subset as titles have it."""
    return f"{TITLES[subset]} ({count} target{'' if count == 1 else 's'})"


class Table(NamedTuple):
    """Cells as text; the first column is a name, the others are numbers or "-"."""

    title: str
    header: list[str]
    rows: list[list[str]]


def overall(
    evaluation: Evaluation, subset: str, summary: Mapping[str, Any], intervals: Mapping[str, Any]
) -> Table:
    """Everyone's measures on a subset, with intervals; "-" where a tracker lacks a target."""
    count = len(evaluation.subsets[subset])
    rows = []
    for tracker in _ranked(evaluation, subset, summary):
        of = summary[tracker][subset]
        ends = intervals["means"][subset].get(tracker, {})
        rows.append(
            [
                tracker,
                str(of["n"]),
                _percent(of["dp20"]),
                _interval(ends.get("dp20"), 100, 1),
                _percent(of["os50"]),
                _interval(ends.get("os50"), 100, 1),
                _number(of["auc"], 4),
                _interval(ends.get("auc"), 1, 3),
                _number(of["norm_auc"], 4),
                _number(of["cle"], 2),
            ]
        )
    header = ["Tracker", "n", "DP@20 (%)", "95 % interval", "OS@0.5 (%)", "95 % interval"]
    header += ["AUC", "95 % interval", "Norm. AUC", "CLE (px)"]
    return Table(f"One-pass evaluation, {named(subset, count)}", header, rows)


def attributes(
    evaluation: Evaluation,
    subset: str,
    summary: Mapping[str, Any],
    by_attribute: Mapping[str, Any],
    measure: str,
) -> Table:
    """A measure, "auc" or "dp20", of everyone by attribute; the header says on how many targets."""
    header = ["Tracker", *(f"{a} ({len(having(evaluation, subset, a))})" for a in ATTRIBUTES)]
    show = _percent if measure == "dp20" else lambda value: _number(value, 4)
    rows = [
        [tracker, *(show(by_attribute[tracker][subset][a][measure]) for a in ATTRIBUTES)]
        for tracker in _ranked(evaluation, subset, summary)
    ]
    name = "DP@20 (%)" if measure == "dp20" else "AUC"
    count = len(evaluation.subsets[subset])
    return Table(f"{name} by attribute, {named(subset, count)}", header, rows)


def _ranked(evaluation: Evaluation, subset: str, summary: Mapping[str, Any]) -> list[str]:
    def rank(tracker: str) -> float:
        auc = summary[tracker][subset]["auc"]
        return 1.0 if auc is None else -auc

    return sorted(evaluation.curves, key=rank)


def _percent(value: float | None) -> str:
    return _number(None if value is None else 100 * value, 2)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(ends: list[float] | None, scale: float, digits: int) -> str:
    return "-" if ends is None else " to ".join(f"{scale * end:.{digits}f}" for end in ends)


def markdown(table: Table) -> str:
    """A pipe table below its title."""
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    rows = [[cell.replace("|", "\\|") for cell in row] for row in [table.header, *table.rows]]
    lines = ["| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]]]
    return f"{table.title}\n\n" + "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A tabular that needs no package; the title is a comment."""
    lines = [
        f"% {table.title}",
        f"\\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        "\\hline",
        _latex_row(table.header),
        "\\hline",
        *(_latex_row(row) for row in table.rows),
        "\\hline",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: list[str]) -> str:
    escaped = ["".join(_LATEX.get(c, c) for c in cell).replace(" to ", "--") for cell in cells]
    return " & ".join(escaped) + " \\\\"


def comma_separated(table: Table) -> str:
    """CSV (RFC 4180) without the title."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.header, *table.rows])
    return text.getvalue()


def write(table: Table, stem: str | Path) -> None:
    """Writes ``<stem>.md``, ``.tex`` and ``.csv``.

    Raises:
        InputError: the folder cannot be written to.
    """
    for suffix, form in ((".md", markdown), (".tex", latex), (".csv", comma_separated)):
        with replacing(f"{stem}{suffix}") as temporary:
            temporary.write_text(form(table), encoding="utf-8")
