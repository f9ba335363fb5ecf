"""Results of TRE and SRE read from both layouts, and what they score."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from hcft_jax.evaluation import annotations, protocols, result_folders, summary
from hcft_jax.evaluation.annotations import ATTRIBUTES, Benchmark
from hcft_jax.evaluation.protocols import SRE
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError

FRAMES, FIRST = 45, 11  # file numbers 11 to 55
NAMES = ("Long", "Other-1")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotations of two targets; of the first, file frames 11 to 14 are omitted."""
    place = tmp_path_factory.mktemp("annotations")
    lines = ["name,startFrame,endFrame,frames,TB50,CVPR13," + ",".join(ATTRIBUTES)]
    for name in NAMES:
        lines.append(f"{name},{FIRST},{FIRST + FRAMES - 1},{FRAMES},1,1," + ",".join("0" * 11))
        truth = np.array([[20 + 3 * t, 30 + t, 12, 20] for t in range(FRAMES)])
        (place / "anno").mkdir(exist_ok=True)
        np.savetxt(place / "anno" / f"{name}.txt", truth, "%d", delimiter=",")
    (place / "attributes.csv").write_text("\n".join(lines) + "\n")
    (place / "initOmit").mkdir()
    (place / "initOmit" / "Long.txt").write_text("11 14\n")
    return place


@pytest.fixture
def benchmark(folder: Path) -> Benchmark:
    return annotations.load(folder)


def tracked(benchmark: Benchmark, protocol: str, name: str) -> list[Boxes]:
    """A tracker that never leaves its first box."""
    target = benchmark.targets[name]
    runs = protocols.plan(protocol, target.truth, omitted=target.omitted, size=(200, 300))
    return [np.tile(run.box, (run.frames, 1)) for run in runs]


def write_text(benchmark: Benchmark, place: Path) -> Path:
    for name in NAMES:
        for protocol in ("tre", "sre"):
            runs = tracked(benchmark, protocol, name)
            labels = SRE if protocol == "sre" else [f"{k:02d}" for k in range(1, len(runs) + 1)]
            for label, boxes in zip(labels, runs, strict=True):
                path = place / "still" / protocol / name / f"{label}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savetxt(path, boxes, "%.4f", delimiter=",")
    return place


def write_mat(benchmark: Benchmark, place: Path) -> Path:
    for name in NAMES:
        for protocol in ("tre", "sre"):
            runs = tracked(benchmark, protocol, name)
            cell = np.empty((1, len(runs)), object)
            cell[0, :] = [{"type": "rect", "res": boxes} for boxes in runs]
            folder = place / f"results_{protocol.upper()}_CVPR13"
            folder.mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(folder / f"{name}_still.mat", {"results": cell})
    return place


@pytest.mark.parametrize("write", [write_text, write_mat])
@pytest.mark.parametrize("protocol", ["tre", "sre"])
def test_both_layouts_score_what_the_runs_score(
    protocol: str,
    write: Callable[[Benchmark, Path], Path],
    benchmark: Benchmark,
    tmp_path: Path,
) -> None:
    results = result_folders.load([write(benchmark, tmp_path / "out")], benchmark)
    assert not results.problems
    assert not results.boxes
    evaluation = summary.evaluate(results, benchmark, protocol)
    assert list(evaluation.curves) == ["still"]
    for name in NAMES:
        target = benchmark.targets[name]
        runs = protocols.plan(protocol, target.truth, omitted=target.omitted, size=(200, 300))
        judged = [
            protocols.judge(run, boxes, target.truth)
            for run, boxes in zip(runs, tracked(benchmark, protocol, name), strict=True)
        ]
        got = evaluation.curves["still"][name]
        assert got.scores == protocols.pool(judged).scores
        assert got.frames == sum(run.frames for run in runs)
    assert 0 < summary.summary(evaluation)["still"]["OTB100"]["auc"] < 0.5


def test_omitted_frames_move_the_starts(benchmark: Benchmark, tmp_path: Path) -> None:
    runs = result_folders.load([write_text(benchmark, tmp_path / "out")], benchmark).runs["tre"][
        "still"
    ]
    firsts = {name: [run.first for run, _ in of] for name, of in runs.items()}
    assert firsts["Long"][0] == 4
    assert firsts["Other-1"][0] == 0
    assert all(len(of) == 20 for of in firsts.values())


def test_unscaling_reaches_the_runs(benchmark: Benchmark, tmp_path: Path) -> None:
    results = result_folders.load([write_text(benchmark, tmp_path / "out")], benchmark)
    plain, undone = (
        summary.evaluate(results, benchmark, "sre", unscale=u).curves["still"]["Long"].auc
        for u in (False, True)
    )
    assert plain != undone


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("tre/Long/07.txt", None, "07.txt is missing of the 20 runs of tre"),
        ("sre/Long/middle.txt", "1,2,3,4\n", "middle.txt is none of the 12 runs of sre"),
        ("sre/Long/left.txt", "1,2,3,4\n", "1 boxes do not fit the 45 frames"),
        ("tre/Long/01.txt", "1,2,3,4\n" * 45, "45 boxes do not fit the 41 .* without initOmit"),
        ("tre/Long/20.txt", "1,2,3\n", "line 1: 3 columns"),
    ],
)
def test_an_incomplete_or_bad_protocol_is_one_line(
    path: str, content: str | None, message: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    file = write_text(benchmark, tmp_path / "out") / "still" / path
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    results = result_folders.load([tmp_path / "out"], benchmark)
    (problem,) = results.problems
    assert (problem.tracker, problem.sequence) == ("still", "Long")
    assert problem.protocol == path[:3]
    assert re.search(message, problem.line)
    assert list(results.runs[path[:3]]["still"]) == ["Other-1"]
    assert summary.evaluate(results, benchmark, path[:3]).missing("still", NAMES) == ["Long"]
    assert not summary.evaluate(results, benchmark).problems


def test_a_mat_file_of_another_count_is_one_line(benchmark: Benchmark, tmp_path: Path) -> None:
    place = write_mat(benchmark, tmp_path / "out")
    shutil.copy(place / "results_SRE_CVPR13" / "Long_still.mat", place / "results_TRE_CVPR13")
    (problem,) = result_folders.load([place], benchmark).problems
    assert "12 results, but tre has 20 runs" in problem.line


def test_protocols_of_one_tracker_may_lie_apart(benchmark: Benchmark, tmp_path: Path) -> None:
    one = tmp_path / "results_OPE_CVPR13"
    boxes = {"still": {name: benchmark.targets[name].truth for name in NAMES}}
    result_folders.export(boxes, benchmark, "otb", one)
    results = result_folders.load([one, write_mat(benchmark, tmp_path / "out")], benchmark)
    assert list(results.boxes) == list(results.runs["tre"]) == list(results.runs["sre"])
    with pytest.raises(InputError, match="given twice"):
        result_folders.load([tmp_path / "out", tmp_path / "out"], benchmark)


def test_the_command_writes_each_protocol(
    folder: Path, benchmark: Benchmark, tmp_path: Path
) -> None:
    place = write_text(benchmark, tmp_path / "results")
    boxes = {"still": {name: benchmark.targets[name].truth for name in NAMES}}
    result_folders.export(boxes, benchmark, "hcft", place)
    flags = [f"--results={place}", f"--annotations={folder}", f"--output_dir={tmp_path / 'out'}"]
    command = [sys.executable, "-m", "hcft_jax.evaluation", *flags, "--resamples=50"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    aucs = [
        json.loads((tmp_path / "out" / part / "summary.json").read_text())["still"]["OTB100"]["auc"]
        for part in (".", "tre", "sre")
    ]
    assert aucs[0] == pytest.approx(20 / 21)
    assert aucs[1] > aucs[2]  # shorter runs, a target that leaves slowly
    text = (tmp_path / "out" / "tre" / "tables" / "OTB100.md").read_text()
    assert text.startswith("Temporal robustness evaluation, OTB-100 (2 targets)")
    shutil.rmtree(place / "still" / "sre")
    subprocess.run(command, capture_output=True, check=True)
    assert not (tmp_path / "out" / "sre" / "summary.json").exists()
