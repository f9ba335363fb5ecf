"""Ground truth of one's own, some sequences alone, and folders with commas in their names."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags

from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import __main__ as evaluate
from hcft_jax.evaluation import annotations, result_folders, scoring, summary
from hcft_jax.evaluation.annotations import ALL, Benchmark
from hcft_jax.util.errors import InputError, InputWarning, SettingError
from tests.commands import call

TRUTH = np.array([[20.0 + 3 * t, 30, 10, 20] for t in range(5)])  # 1-based


def run(**given: Any) -> int:
    return call(evaluate, *(f"--{flag}={value}" for flag, value in given.items()))


def texts(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        np.savetxt(folder / f"{name}.txt", TRUTH, "%g", delimiter=",")
    return folder


def drawn(folder: Path, *names: str) -> Path:
    for name in names:
        sequence = synthetic(Synthetic(frames=5, height=48, width=64, target=(16, 16), motion=8.0))
        otb.write(sequence.__class__(name, sequence.frames, TRUTH - [1, 1, 0, 0], 1), folder)
    return folder


@pytest.mark.parametrize("make", [texts, drawn, lambda folder, *n: texts(folder / "anno", *n)])
def test_any_folder_of_ground_truth_is_a_benchmark(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "truth", "cat", "dog")
    benchmark = annotations.load(tmp_path / "truth")
    assert list(benchmark.targets) == ["cat", "dog"]
    assert benchmark.subset(ALL) == ["cat", "dog"]
    for target in benchmark.targets.values():
        np.testing.assert_array_equal(target.truth, TRUTH)
        assert (target.attributes, target.omit) == (frozenset(), ())


def test_it_is_scored_without_attributes_and_with_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, results = texts(tmp_path / "truth", "cat", "dog"), texts(tmp_path / "me", "cat", "dog")
    out = tmp_path / "out"
    given = {"results": results, "annotations": truth, "output_dir": out, "resamples": 20}
    assert run(**given, report="true") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "One-pass evaluation, these sequences (2 targets)" in said.out
    content = json.loads((out / "summary.json").read_text())
    assert (content["me"][ALL]["n"], content["me"][ALL]["dp20"]) == (2, 1.0)
    assert sorted(p.name for p in (out / "tables").iterdir()) == ["all.csv", "all.md", "all.tex"]
    assert (out / "report.html").stat().st_size > 1000


def test_what_cannot_be_used_is_left_out_with_a_note(tmp_path: Path) -> None:
    truth = texts(tmp_path / "truth", "cat")
    (truth / "bad.txt").write_text("1,2\n")
    (truth / "gone.txt").write_text("0,0,0,0\n1,1,5,5\n")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert list(annotations.load(truth).targets) == ["cat"]
    assert [type(w.message) for w in said] == [InputWarning] * 2
    assert "bad.txt, line 1: 2 columns, expected x,y,w,h; it is left out" in str(said[0].message)
    assert "gone.txt: the first frame has no valid ground truth" in str(said[1].message)


@pytest.mark.parametrize(
    ("files", "message"),
    [([], "no ground truth there; want attributes.csv with anno/"), (["bad"], "bad.txt, line 1")],
)
def test_a_folder_without_ground_truth_is_refused(
    files: list[str], message: str, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / f"{name}.txt").write_text("no numbers\n")
    with pytest.raises(InputError, match=message):
        annotations.load(tmp_path)


def test_only_the_named_sequences_are_asked_for(
    folder: Path, small: Benchmark, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = {"me": {n: t.truth for n, t in small.targets.items() if n in ("One", "Two-1")}}
    result_folders.export(boxes, small, "hcft", tmp_path)
    (tmp_path / "me" / "ope" / "other.txt").write_text("1,2,3,4\n")
    out = tmp_path / "out"
    given = {"results": tmp_path / "me", "annotations": folder, "output_dir": out, "resamples": 20}
    assert run(**given, sequences="one,two.1") == 0
    assert capsys.readouterr().err == ""
    content = json.loads((out / "summary.json").read_text())
    assert {name: of["n"] for name, of in content["me"].items()} == {ALL: 2}
    whole = result_folders.load([tmp_path / "me"], small)
    video = small.only(["Two"])  # both of its targets
    assert scoring.missing_lines(summary.evaluate(whole.only(video), video)) == [
        "me: no result of 1 targets: Two-2"
    ]
    assert scoring.missing_lines(summary.evaluate(whole, small)) == [
        "me: no result of 3 targets: Two-2, Human4-2, Tiger1"
    ]


def test_a_name_that_is_not_annotated_is_named(small: Benchmark) -> None:
    with pytest.raises(SettingError, match=r"sequences: no 'Onee' .*did you mean One\?"):
        small.only(["Onee"])
    assert list(small.only(["human4"]).targets) == ["Human4-2"]


def test_folders_of_ours_have_commas_in_their_names(tmp_path: Path) -> None:
    truth = texts(tmp_path / "truth", "cat")
    names = ["hcft,eta=0.02-1f0c2a9b", "hcft,eta=0.05,radius=4.0-5d7e0a11"]
    for name in names:
        texts(tmp_path / name / "ope", "cat")
    values = flags.FlagValues()
    evaluate.define_flags(values)
    values(["evaluate", f"--results={','.join(str(tmp_path / name) for name in names)}"])
    found = result_folders.load(values.results, annotations.load(truth))
    assert list(found.boxes) == names
