"""Runs that measured different parts, as one document."""

from pathlib import Path
from typing import Any

import pytest

from experiments.throughput import document
from hcft_jax.util.errors import InputError

MACHINE = {"cpu": "A", "device": "1 x cpu", "cores": 2, "memory_gib": 8.0, "load": 0.1}


def run(command: str, **parts: Any) -> dict[str, Any]:
    common = {"date": "2026-11-25", "notes": [], "rows": []}
    hardware, versions = dict(MACHINE), {"jax": "0.10.2"}
    return {**common, "hardware": hardware, "versions": versions, "command": command, **parts}


def test_each_run_is_stated_and_the_last_one_counts() -> None:
    ceiling: dict[str, Any] = {"matmul": {}, "sizes": {}}
    first = run("one", ceilings=ceiling, rows=[{"name": "old"}])
    whole = document.merged([first, run("two", rows=[{"name": "new"}]), run("three")])
    assert whole["ceilings"] == ceiling
    assert whole["rows"] == [{"name": "new"}]
    text = document.setting(whole)
    assert [f"`{name}`" in text for name in ("one", "two", "three")] == [True] * 3
    assert "`two`" in document.setting(run("two"))


@pytest.mark.parametrize(
    ("part", "changed", "message"),
    [
        ("hardware", {**MACHINE, "cpu": "B"}, "different machines .cpu."),
        ("versions", {"jax": "0.11"}, "different versions of jax"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(
    part: str, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        document.merged([run("one"), run("two", **{part: changed})])


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    earlier = run("one", paper={"frames": 1.8e9}, growth={"rows": [], "notes": []})
    text = "".join(f"<!-- throughput: {name} -->\n<!-- end -->\n" for name in document.SECTIONS)
    table = tmp_path / "tables.md"
    table.write_text(text)
    document.fill(table, document.merged([earlier]))
    assert table.read_text().count("Not measured.") == len(document.SECTIONS) - 1
    assert "`one`" in table.read_text()
