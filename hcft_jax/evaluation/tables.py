"""Tables of scores as Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hcft_jax.evaluation.annotations import ALL, ATTRIBUTES
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.evaluation.summary import COMMON, Evaluation, having
from hcft_jax.util.files import replacing

TITLES = {
    "OTB100": "OTB-100",
    "CVPR13": "CVPR 2013",
    "TB50": "TB-50",
    ALL: "these sequences",
    COMMON: "shared by all trackers",
}
_LATEX = {character: f"\\{character}" for character in "_%&#${}"} | {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "\\textquotedbl{}",
}
_INTERVAL = re.compile(r"(?<=[0-9]) to (?=-?[0-9])")
_NUMBER = re.compile(r"-|[+-]?[0-9]+(?:\.[0-9]+)?(?: to -?[0-9]+(?:\.[0-9]+)?)?")
_FORMULA = ("=", "+", "-", "@")  # with which a cell begins that a spreadsheet computes


def named(subset: str, count: int) -> str:
    """Return the name of a subset in titles."""
    return f"{TITLES[subset]} ({count} target{'' if count == 1 else 's'})"


class Table(NamedTuple):
    """Cells as text; the first column is a name, the others are numbers or "-".

    Attributes:
        title: The text above the table.
        header: The names of the columns.
        rows: Rows of as many cells as the header.
        places: The places, 1 (best) or 2 (second), of the marked cells by (row, column).
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    places: Mapping[tuple[int, int], int] = {}


def overall(
    evaluation: Evaluation, subset: str, summary: Mapping[str, Any], intervals: Mapping[str, Any]
) -> Table:
    """Return all trackers' measures on a subset, with intervals; "-" if one lacks a target."""
    count = len(evaluation.subsets[subset])
    rows = []
    for tracker in _ranked(evaluation, subset, summary):
        of = summary[tracker][subset]
        ends = intervals["means"][subset].get(tracker, {})
        row = [tracker, str(of["n"])]
        for measure in ("dp20", "os50"):
            row += [percent(of[measure]), interval(ends.get(measure), 100, 1)]
        row += [number(of["auc"], 4), interval(ends.get("auc"), 1, 3)]
        rows.append([*row, number(of["norm_auc"], 4), number(of["cle"], 2)])
    header = ["Tracker", "n", "DP@20 (%)", "95 % interval", "OS@0.5 (%)", "95 % interval"]
    header += ["AUC", "95 % interval", "Norm. AUC", "CLE (px)"]
    return Table(f"{PROTOCOLS[evaluation.protocol]}, {named(subset, count)}", header, rows)


def attributes(
    evaluation: Evaluation,
    subset: str,
    summary: Mapping[str, Any],
    by_attribute: Mapping[str, Any],
    measure: str,
) -> Table:
    """Return a measure, "auc" or "dp20", by attribute; the header has the numbers of targets."""
    header = ["Tracker", *(f"{a} ({len(having(evaluation, subset, a))})" for a in ATTRIBUTES)]
    show = percent if measure == "dp20" else lambda value: number(value, 4)
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


def percent(value: float | None) -> str:
    """Format a fraction in % with two digits; "-" for None."""
    return number(None if value is None else 100 * value, 2)


def number(value: float | None, digits: int) -> str:
    """Format a value with a number of digits; "-" for None."""
    return "-" if value is None else f"{value:.{digits}f}"


def interval(ends: Sequence[float] | None, scale: float, digits: int) -> str:
    """Format an interval as ``low to high``, each times ``scale``; "-" for None."""
    return "-" if ends is None else " to ".join(f"{scale * end:.{digits}f}" for end in ends)


def places(values: Sequence[float | None], *, largest: bool) -> dict[int, int]:
    """Return the places, 1 or 2, of the best and the second best values; equal values share one."""
    ranked = sorted({v for v in values if v is not None}, reverse=largest)[:2]
    return {i: ranked.index(v) + 1 for i, v in enumerate(values) if v in ranked}


def _marked(table: Table, cells: list[list[str]], marks: Mapping[int, str]) -> list[list[str]]:
    """Return the cells, with marks put around those that have a place."""
    marked = [list(row) for row in cells]
    for (row, column), place in table.places.items():
        marked[row][column] = marks[place].format(marked[row][column])
    return marked


def markdown(table: Table) -> str:
    """Format a pipe table below its title; place 1 is bold and place 2 underlined."""
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    body = _marked(table, table.rows, {1: "**{}**", 2: "<u>{}</u>"})
    rows = [[_line(cell).replace("|", "\\|") for cell in row] for row in [table.header, *body]]
    lines = ["| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]]]
    return f"{_line(table.title)}\n\n" + "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """Format a tabular that needs no package; the title is a comment, places as in Markdown."""
    cells = [[_escaped(cell) for cell in row] for row in table.rows]
    rows = _marked(table, cells, {1: "\\textbf{{{}}}", 2: "\\underline{{{}}}"})
    lines = [
        f"% {_line(table.title)}",
        f"\\begin{{tabular}}{{l{'r' * (len(table.header) - 1)}}}",
        "\\hline",
        _latex_row(map(_escaped, table.header)),
        "\\hline",
        *map(_latex_row, rows),
        "\\hline",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _escaped(cell: str) -> str:
    ranged = _INTERVAL.sub("--", _line(cell))
    return "".join(_LATEX.get(character, character) for character in ranged)


def _line(cell: str) -> str:
    """Return a text with each run of white space, a line's end too, as one blank."""
    return " ".join(cell.split())


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + " \\\\"


def comma_separated(table: Table) -> str:
    """Format CSV (RFC 4180) without the title and the places.

    A name that a spreadsheet would compute (``=1+1``) has an apostrophe before it.
    """
    text = io.StringIO()
    cells = [[_inert(cell) for cell in row] for row in [table.header, *table.rows]]
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue()


def _inert(cell: str) -> str:
    cell = _line(cell)
    formula = cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def write(table: Table, stem: str | Path) -> None:
    """Write ``<stem>.md``, ``.tex`` and ``.csv``.

    Raises:
        InputError: the folder cannot be written to.
    """
    for suffix, form in ((".md", markdown), (".tex", latex), (".csv", comma_separated)):
        with replacing(f"{stem}{suffix}") as temporary:
            # a file's name need not be UTF-8, and names trackers
            temporary.write_text(form(table), encoding="utf-8", errors="backslashreplace")
