"""``python -m hcft_jax.evaluation`` as a user runs it."""

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.evaluation import annotations, plots, result_folders, summary
from hcft_jax.evaluation.annotations import Benchmark
from tests.conftest import shared


def run(**given: Any) -> subprocess.CompletedProcess[str]:
    arguments = [f"--{flag}={value}" for flag, value in given.items()]
    return subprocess.run(
        [sys.executable, "-m", "hcft_jax.evaluation", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


@pytest.fixture
def place(small: Benchmark, tmp_path: Path) -> Path:
    """Results of two trackers; one lacks a target."""
    boxes = {t: {n: target.truth for n, target in small.targets.items()} for t in ("a", "b_1")}
    boxes["b_1"] = {n: b + np.array([6, 0, 0, 0]) for n, b in boxes["b_1"].items() if n != "Tiger1"}
    result_folders.export(boxes, small, "plain", tmp_path / "results")
    return tmp_path / "results"


def test_all_files_are_written(place: Path, folder: Path, tmp_path: Path) -> None:
    (place / "b_1" / "One.txt").write_text("1,2\n")
    out = tmp_path / "out"
    done = run(results=place, annotations=folder, output_dir=out, resamples=50)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {place}/b_1/One.txt, line 1: 2 columns, expected x,y,w,h",
        "error: b_1: no result of 1 targets: Tiger1",
    ]
    content = json.loads((out / "summary.json").read_text())
    assert {s: of["n"] for s, of in content["b_1"].items()} == {
        "OTB100": 3,
        "CVPR13": 1,
        "TB50": 1,
        "common": 3,
    }
    assert content["b_1"]["OTB100"]["missing"] == ["One", "Tiger1"]
    assert content["b_1"]["OTB100"]["dp20"] is None
    assert content["a"]["OTB100"]["dp20"] == 1
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    tables = ["", "_attributes_auc", "_attributes_dp20"]
    assert names == {
        *(f"{name}.json" for name in ("attributes", "curves", "intervals", "sequences")),
        *("problems.json", "summary.json"),
        *(f"tables/{s}{t}.{e}" for s in content["a"] for t in tables for e in ("md", "tex", "csv")),
        *(f"plots/{s}_{k}.{e}" for s in content["a"] for k in plots.KINDS for e in ("png", "pdf")),
    }
    rows = list(csv.reader((out / "tables" / "common.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["Tracker", "a", "b_1"]
    assert "| b_1 | 3 |" in done.stdout
    for suffix, magic in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        for path in (out / "plots").glob(f"*{suffix}"):
            assert path.read_bytes().startswith(magic)


ODD = [r"$\frac$", "=1+1", "a}\\input{x}", "a\nb", "a\udcff", "<script>x", "_x", "x" * 240]


def test_trackers_of_any_name_are_evaluated(place: Path, folder: Path, tmp_path: Path) -> None:
    for name in ODD:
        shutil.copytree(place / "a", place / name)
    out = tmp_path / "out"
    done = run(results=place, annotations=folder, output_dir=out, resamples=50, report=True)
    assert done.returncode == 1  # b_1 has no result of one target
    assert done.stderr.splitlines() == ["error: b_1: no result of 1 targets: Tiger1"]
    rows = list(csv.reader((out / "tables" / "common.csv").read_text().splitlines()))
    names = {"'=1+1", "a b", "a\\udcff", *ODD} - {"=1+1", "a\nb", "a\udcff"}
    assert {row[0] for row in rows[1:]} == names | {"a", "b_1"}
    assert "<script>x" not in (out / "report.html").read_text()


def test_a_second_run_writes_the_same_bytes(place: Path, folder: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        run(results=place, annotations=folder, output_dir=tmp_path / out, resamples=50)
    for path in (tmp_path / "one").rglob("*.*"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes(), path


def test_what_an_earlier_run_left_is_replaced(place: Path, folder: Path, tmp_path: Path) -> None:
    given = {"annotations": folder, "output_dir": tmp_path / "out", "resamples": 50}
    run(results=place, **given)
    assert (tmp_path / "out" / "tables" / "common.md").exists()
    (tmp_path / "out" / "plots" / "mine.png").write_bytes(b"")
    assert run(results=place / "a", **given).returncode == 0
    assert not list((tmp_path / "out").rglob("common*"))
    assert (tmp_path / "out" / "plots" / "mine.png").exists()
    assert list(json.loads((tmp_path / "out" / "summary.json").read_text())) == ["a"]


def test_a_report_is_written_and_its_size_told(place: Path, folder: Path, tmp_path: Path) -> None:
    (place / "a" / "One.txt").write_text("1,2,3,4\n")
    out = tmp_path / "out"
    given = {"results": place, "annotations": folder, "output_dir": out, "resamples": 50}
    done = run(**given, report="true")
    assert done.returncode == 1
    size = (out / "report.html").stat().st_size / 1e6
    assert f"{out}/report.html: {size:.1f} MB in " in done.stdout
    assert "2 trackers x 5 targets: read in " in done.stdout
    assert "a/One.txt: 1 boxes do not fit" in (out / "report.html").read_text()
    run(**given)
    assert not (out / "report.html").exists()  # it would tell of an earlier evaluation


def test_scores_are_kept_where_the_report_fails(place: Path, folder: Path, tmp_path: Path) -> None:
    video = tmp_path / "frames" / "One"
    (video / "img").mkdir(parents=True)
    (video / "img" / "0001.png").write_bytes(b"no picture")
    (video / "groundtruth_rect.txt").write_text("1,2,3,4\n")
    out = tmp_path / "out"
    given = {"results": place, "annotations": folder, "output_dir": out, "resamples": 50}
    done = run(**given, report="true", data_dir=tmp_path / "frames")
    assert done.returncode == 2
    assert "1 frames, but the annotations have 4 of One" in done.stderr
    assert "summary.json, tables and plots: " in done.stdout  # all else is done by then
    assert (out / "summary.json").exists()
    assert not (out / "report.html").exists()


def test_results_are_exported(place: Path, folder: Path, small: Benchmark, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(results=place, annotations=folder, output_dir=out, export="otb")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(out.glob("*.mat"))) == 9
    one, other = (result_folders.load([path], small).boxes for path in (place, out))
    np.testing.assert_array_equal(one["b_1"]["One"], other["b_1"]["One"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"results": None}, "--results: must be given"),
        ({"annotations": None}, "--annotations: must be given"),
        ({"output_dir": None}, "--output_dir: must be given"),
        ({"results": "absent"}, "absent: cannot list it"),
        ({"annotations": "absent"}, "absent: no such folder"),
        ({"export": "vot"}, "'vot' is not a format"),
        ({"resamples": 0}, "--resamples: 0"),
        ({"data_dir": "absent"}, "--data_dir: only --report shows frames"),
        ({"data_dir": "absent", "report": "true"}, "absent: no such folder"),
        ({"max_side": 0, "report": "true"}, "--max_side: 0"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    changes: dict[str, Any], message: str, place: Path, folder: Path, tmp_path: Path
) -> None:
    given = {"results": place, "annotations": folder, "output_dir": tmp_path / "out"} | changes
    done = run(**{flag: value for flag, value in given.items() if value is not None})
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_jax_is_not_imported() -> None:
    code = "import sys, hcft_jax.evaluation.__main__; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# The table of the published results, DP@20 / OS@0.5 / AUC (and CLE) by subset.
PUBLISHED = {
    "CF2": ["83.71 65.53 0.5618 22.80", "89.07 73.98 0.6047 15.75", "80.26 58.19 0.5130"],
    "MEEM": ["78.12 62.16 0.5296", "83.00 69.56 0.5660", "71.22 54.18 0.4733"],
    "KCF": ["69.57 55.13 0.4771", "74.00 62.27 0.5138", "61.06 45.45 0.4030"],
    "Struck": ["58.37 48.27 0.4294", "64.10 56.55 0.4744", "50.24 38.36 0.3663"],
    "TLD": ["54.57 46.72 0.4056", "55.26 48.94 0.4071", "42.87 36.77 0.3219"],
    "CSK": ["51.90 41.23 0.3824", "54.46 44.26 0.3980", "40.61 33.24 0.3096"],
}


def test_the_published_table_is_reproduced_to_the_last_digit(tmp_path: Path) -> None:
    given = {"results": shared("published", "mat"), "annotations": shared("otb_meta")}
    done = run(**given, output_dir=tmp_path, resamples=100)
    assert (done.returncode, done.stderr) == (0, "")
    content = json.loads((tmp_path / "summary.json").read_text())
    assert len(content) == 17
    assert {s: of["n"] for s, of in content["CF2"].items()} == {
        "OTB100": 100,
        "CVPR13": 51,
        "TB50": 50,
    }
    for tracker, rows in PUBLISHED.items():
        for subset, row in zip(annotations.SUBSETS, rows, strict=True):
            of = content[tracker][subset]
            shown = [f"{100 * of['dp20']:.2f}", f"{100 * of['os50']:.2f}", f"{of['auc']:.4f}"]
            shown += [f"{of['cle']:.2f}"] * (len(row.split()) - 3)
            assert " ".join(shown) == row, (tracker, subset)


def test_a_benchmark_is_scored_in_seconds() -> None:
    benchmark = annotations.load(shared("otb_meta"))
    results = result_folders.load([shared("published", "mat")], benchmark)
    start = time.process_time()
    evaluation = summary.evaluate(results, benchmark)
    for part in (summary.summary, summary.by_attribute, summary.by_sequence, summary.intervals):
        part(evaluation)
    assert time.process_time() - start < 5
    assert [len(of) for of in evaluation.curves.values()] == [100] * 17


def test_published_results_survive_every_layout(tmp_path: Path) -> None:
    benchmark = annotations.load(shared("otb_meta"))
    mats = tmp_path / "mat"
    mats.mkdir()
    for path in shared("published", "mat").glob("*_MDNet.mat"):  # whose boxes lack last frames
        (mats / path.name).symlink_to(path)
    boxes = result_folders.load([mats], benchmark).boxes
    for form in result_folders.FORMATS:
        result_folders.export(boxes, benchmark, form, tmp_path / form)
        read = result_folders.load([tmp_path / form], benchmark)
        assert not read.problems
        for name, rows in boxes["MDNet"].items():
            np.testing.assert_allclose(
                read.boxes["MDNet"][name], rows, rtol=1e-9, err_msg=f"{form} {name}"
            )
