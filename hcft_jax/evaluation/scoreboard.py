"""Scores as one table of numbers: what benchmarks, sweeps and evaluations return in Python."""

import html
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hcft_jax.evaluation import results, tables
from hcft_jax.evaluation.comparison import COLUMNS
from hcft_jax.evaluation.tables import Table

Value = float | int | str | None

CLE, FPS = "CLE (px)", "frames/s"
DIGITS = {name: digits for name, _, digits in COLUMNS.values()} | {CLE: 2, FPS: 1}
"""Digits after the point, by column; in the columns of differences those of what is subtracted."""


@dataclass(frozen=True)
class Scoreboard:
    """Rows of numbers by name: shown as a table by ``print`` and by a notebook.

    Attributes:
        title: What the rows are.
        rows: The values by row, then by column; None where there is none.
        first: The name of the column that names the rows.
        folder: Where the files are that the numbers come from; None where there are none.
        failed: What is wrong, by sequence (of a sweep: by setting and sequence).
    """

    title: str
    rows: Mapping[str, Mapping[str, Value]]
    first: str = "Sequence"
    folder: Path | None = None
    failed: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Mapping[str, Value]:
        """Return the values of a row by column.

        Args:
            name: The row's.

        Raises:
            KeyError: There is no such row; the message has those that there are.
        """
        if name not in self.rows:
            raise KeyError(f"no row {name!r}; there are {', '.join(self.rows)}")
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        """Return the rows' names."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    @property
    def columns(self) -> list[str]:
        """The names of the columns of values."""
        return list(dict.fromkeys(column for row in self.rows.values() for column in row))

    @property
    def table(self) -> Table:
        """The table as text, as ``hcft_jax.evaluation.tables`` formats it."""
        cells = [
            [name, *(_shown(column, row.get(column)) for column in self.columns)]
            for name, row in self.rows.items()
        ]
        return Table(self.title, [self.first, *self.columns], cells)

    def __str__(self) -> str:
        """Return the aligned table below its title, and a line for each failure."""
        table = self.table
        lines = [f"{self.title}\n", results.aligned([table.header, *table.rows])]
        lines += [f"failed: {name}: {problem}" for name, problem in self.failed.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        table = self.table

        def row(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        failed = "".join(
            f"<p>failed: {html.escape(f'{name}: {problem}')}</p>"
            for name, problem in self.failed.items()
        )
        return (
            f"<table><caption>{html.escape(self.title)}</caption>"
            f"<thead>{row(table.header, 'th')}</thead>"
            f"<tbody>{''.join(row(cells, 'td') for cells in table.rows)}</tbody></table>{failed}"
        )

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row for each row, indexed by its name.

        Raises:
            ImportError: pandas is not installed.
        """
        pandas = importlib.import_module("pandas")
        frame = pandas.DataFrame.from_dict(
            {name: dict(row) for name, row in self.rows.items()},
            orient="index",
            columns=self.columns,
        )
        return frame.rename_axis(self.first)

    def save(self, stem: str | Path) -> None:
        """Write ``<stem>.md``, ``.tex`` and ``.csv``.

        Args:
            stem: The files' path without the ending.

        Raises:
            InputError: The folder cannot be written to.
        """
        tables.write(self.table, stem)


def _shown(column: str, value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, str | int):
        return str(value)
    of = next((digits for name, digits in DIGITS.items() if column.startswith(name)), 4)
    return tables.number(value, of)
