"""The benchmark as a command, with a small network on small drawn sequences."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.throughput import MORE, PARTS, contenders, feeding, measurement, starts, torch_hcft
from experiments.throughput import __main__ as throughput
from experiments.throughput.document import SECTIONS
from tests.commands import call

TINY = ["--weights=random", "--input_size=32", "--layers=conv2_2,conv1_2", "--gamma=1,0.5"]
DRAWN = [
    "--quick",
    "--drawn_scale=0.25",
    "--drawn=2",
    "--max_frames=5",
    "--precisions=float32,bfloat16",
]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither processes of their own nor PyTorch: both have tests."""

    def absent(*_: Any, **__: Any) -> None:
        raise ImportError("it is not installed")

    monkeypatch.setattr(torch_hcft, "precisions", absent)
    monkeypatch.setattr(measurement, "STAGED", (96, 128))
    monkeypatch.setattr(measurement, "STAGED_TARGET", 24.0)
    monkeypatch.setattr(feeding, "IMAGES", ((48, 64),))


def command(*arguments: str) -> int:
    return call(throughput, *arguments)


@pytest.mark.slow
def test_the_file_has_what_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output, table = tmp_path / "out.json", tmp_path / "BENCHMARKS.md"
    table.write_text(
        "before\n"
        + "".join(f"<!-- throughput: {name} -->\nold\n<!-- end -->\n" for name in SECTIONS)
        + "after\n"
    )
    parts = [part for part in (*PARTS, *MORE) if part != "startup"]
    monkeypatch.setattr(sys, "argv", ["throughput.py", "--quick"])
    files = [f"--output={output}", f"--table={table}"]
    arguments = [*TINY, *DRAWN, "--lane_counts=2", f"--parts={','.join(parts)}", *files]
    assert command(*arguments) == 0
    found = json.loads(output.read_text())
    assert {"rows", "ratios", "ceilings", "stages", "versions", "hardware"} <= set(found)
    assert {"frame", "video", "feed"} <= set(found)
    assert found["command"] == "python -m hcft_jax.experiments.throughput --quick"
    rows = {(r["name"], r["program"], r["lanes"], r["precision"]): r for r in found["rows"]}
    assert ("plain", "two passes, fft", 1, "float32") in rows
    assert ("exact", "track_sequence", 1, "float32") in rows
    assert ("exact", "track_many, frames in memory", 2, "float32") in rows
    for precision in ("float32", "bfloat16"):
        assert ("exact", "track_many", 2, precision) in rows
    for (_, program, _, precision), row in rows.items():
        assert row["fps_least"] <= row["fps"] <= row["fps_most"]
        assert row["frames"] == row["against_plain"]["frames"] == 10
        assert row["executables_later"] == 0, "something compiled twice"
        if precision == "float32":
            assert row["against_plain"]["frames_that_differ"] == 0
        if program.startswith("track_many"):
            assert row["executables"] <= 5
    assert any("no PyTorch" in note for note in found["notes"])

    text = table.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "`exact` (track_many)" in text
    assert text.count("Not measured.") == 2  # start-up and growth

    # the tables alone, from the file
    again = tmp_path / "again.md"
    again.write_text("<!-- throughput: speed -->\n<!-- end -->\n")
    assert command(f"--runs={output}", f"--table={again}") == 0
    assert "`exact` (track_many)" in again.read_text()


def test_real_sequences_are_cut(tmp_path: Path) -> None:
    from tests.experiments.conftest import draw

    data, output = draw(tmp_path / "data", 6, 9), tmp_path / "out.json"
    arguments = [*TINY, "--quick", "--parts=rows", "--precisions=float32", "--lane_counts=2"]
    assert command(*arguments, f"--data_dir={data}", "--max_frames=4", f"--output={output}") == 0
    found = json.loads(output.read_text())
    assert found["material"]["frames"] == [4, 4]
    assert found["material"]["what"] == "real"
    assert all(r["against_plain"]["frames_that_differ"] == 0 for r in found["rows"])


def test_lanes_are_spread_over_devices(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    arguments = [*TINY, *DRAWN, "--parts=rows", "--precisions=float32", "--lane_counts=2,3"]
    assert command(*arguments, "--devices=2", f"--output={output}") == 0
    exact = [r for r in json.loads(output.read_text())["rows"] if r["name"] == "exact"]
    assert [(r["lanes"], r["program"]) for r in exact] == [(2, "track_many")]
    assert exact[0]["device"].startswith("2 x ")
    assert exact[0]["against_plain"]["frames_that_differ"] == 0


def test_other_boxes_are_counted() -> None:
    same = np.zeros((3, 4), np.float32)
    other = same.copy()
    other[1:, 0] = 4.0
    found = contenders.against([same, other], [same, same])
    assert found == {
        "frames": 6,
        "frames_that_differ": 2,
        "largest_difference_px": 4.0,
        "sequences_that_differ": 1,
    }


def test_a_warm_start_compiles_nothing_new() -> None:
    tracker = {"layers": ["conv1_2"], "gamma": [1.0], "input_size": 32}
    found = starts.measure({"weights": "random", "tracker": tracker, "lanes": 1})
    (cold,), (warm,) = found["cold"], found["warm"]
    assert cold["cache_hits"] == 0
    assert warm["cache_hits"] == cold["executables"] >= 2
    assert cold["process"] > cold["import"] + cold["weights"] + cold["tracked"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output: must be given"),
        (["--runs=x.json"], "--table=FILE.md"),
        (["--runs=nowhere.json", "--table=x.md"], "nowhere.json: not the file of a run"),
        (["--output=x.json", "--precisions=float8"], "--precisions: no 'float8'; there are"),
        (["--output=x.json", "--parts=frame,film"], "--parts: no 'film'; there are startup,"),
        (["--output=x.json", "--lane_counts=0"], "--lane_counts, --repeats: must be at least 1"),
        (["--output=x.json", "--gamma=1"], "--gamma: 1 values for 3 layers"),
        (["stray"], "'stray'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("--weights=random", "--parts=rows", *arguments) == 2
    err = capsys.readouterr().err
    assert err.count("error: ") == 1
    assert message in err


@pytest.mark.parametrize(
    ("text", "message"),
    [("none", "no section begins"), ("<!-- throughput: x -->\n<!-- end -->", "no section 'x'")],
)
def test_a_table_file_needs_known_markers(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.md").write_text(text)
    (tmp_path / "r.json").write_text('{"rows": [], "hardware": {}}')
    assert command(f"--runs={tmp_path / 'r.json'}", f"--table={tmp_path / 'b.md'}") == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "b.md").read_text() == text
