import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from hcft_jax.evaluation import result_folders, results, summary
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.result_folders import FORMATS
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from tests import damage

Everyone = dict[str, dict[str, Boxes]]


@pytest.fixture
def everyone(small: Benchmark) -> Everyone:
    """Two trackers' boxes on every target; one lost a target for good, "nan" from frame 3 on."""
    rng = np.random.default_rng(0)
    boxes: Everyone = {}
    for tracker in ("CNN-SVM", "my_tracker"):
        boxes[tracker] = {
            name: np.round(target.truth + rng.normal(size=target.truth.shape), 4)
            for name, target in small.targets.items()
        }
    boxes["my_tracker"]["One"][2:] = np.nan
    return boxes


def same(one: Everyone, other: Everyone) -> None:
    assert {t: list(of) for t, of in one.items()} == {t: list(of) for t, of in other.items()}
    for tracker, of in one.items():
        for name, boxes in of.items():
            np.testing.assert_array_equal(boxes, other[tracker][name], err_msg=f"{tracker} {name}")


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_is_read_back(
    form: str, everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, form, tmp_path / "out")
    read = result_folders.load([tmp_path / "out"], small)
    assert not read.problems
    same(read.boxes, everyone)


@pytest.mark.parametrize(
    ("form", "path", "rows"),
    [
        ("hcft", "CNN-SVM/ope/Two-1.txt", 6),
        ("plain", "CNN-SVM/Human4-2.txt", 5),
        ("got10k", "OTB2015/CNN-SVM/Two.1.txt", 6),
        ("got10k", "OTB2015/CNN-SVM/Human4.txt", 5),
        ("got10k", "OTB2015/CNN-SVM/Tiger1.txt", 9),  # a row for every annotated frame
        ("pysot", "OTB100/CNN-SVM/Two-1.txt", 6),
        ("pysot", "OTB100/CNN-SVM/Tiger1.txt", 9),
        ("plain", "CNN-SVM/Tiger1.txt", 4),
    ],
)
def test_files_lie_where_the_other_program_looks(
    form: str, path: str, rows: int, everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, form, tmp_path)
    assert np.loadtxt(tmp_path / path, delimiter=",").shape == (rows, 4)


def test_the_toolkit_gets_its_fields(everyone: Everyone, small: Benchmark, tmp_path: Path) -> None:
    result_folders.export(everyone, small, "otb", tmp_path)
    struct = scipy.io.loadmat(tmp_path / "Tiger1_CNN-SVM.mat")["results"][0, 0][0, 0]
    fields = {name: struct[name].ravel()[0] for name in ("type", "len", "annoBegin", "startFrame")}
    assert fields == {"type": "rect", "len": 4, "annoBegin": 1, "startFrame": 6}


def test_one_tracker_may_be_given_alone(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "hcft", tmp_path)
    result_folders.export(everyone, small, "plain", tmp_path / "plain")
    for folder in (tmp_path / "CNN-SVM", tmp_path / "plain" / "CNN-SVM"):
        read = result_folders.load([folder], small)
        same(read.boxes, {"CNN-SVM": everyone["CNN-SVM"]})


def test_files_of_this_program_are_read(small: Benchmark, tmp_path: Path) -> None:
    truth = small.targets["One"].truth
    results.write_boxes(tmp_path / "otb-1a2b" / "ope" / "One.txt", truth - [1, 1, 0, 0])
    (tmp_path / "otb-1a2b" / "partial").mkdir()
    (tmp_path / "otb-1a2b" / "partial" / "Two-1.txt").write_text("1,2,3,4\n")
    results.write_json(tmp_path / "otb-1a2b" / "summary.json", {})
    (tmp_path / "otb-1a2b" / "ope" / ".x1.tmp.txt").touch()  # a killed process leaves such a file
    read = result_folders.load([tmp_path], small)
    assert not read.problems
    same(read.boxes, {"otb-1a2b": {"One": truth}})


@pytest.mark.parametrize("name", ["Two-1", "two.1", "TWO_1"])
@pytest.mark.parametrize("separator", [",", "\t", " ", " , ", ";"])
def test_any_spelling_and_separator_is_read(
    name: str, separator: str, small: Benchmark, tmp_path: Path
) -> None:
    rows = [separator.join(["1", "2.5", "3", "4e0"])] * 6
    (tmp_path / "KCF").mkdir()
    (tmp_path / "KCF" / f"{name}.txt").write_text("\n".join(rows))
    read = result_folders.load([tmp_path], small)
    same(read.boxes, {"KCF": {"Two-1": np.tile([1, 2.5, 3, 4], (6, 1))}})


def test_times_are_no_results(everyone: Everyone, small: Benchmark, tmp_path: Path) -> None:
    result_folders.export(everyone, small, "got10k", tmp_path)
    folder = tmp_path / "OTB2015" / "CNN-SVM"
    (folder / "times").mkdir()
    for path in (folder / "times" / "One_time.txt", folder / "One_time.txt"):
        path.write_text("0.1\n" * 4)
    assert not result_folders.load([tmp_path], small).problems


def test_results_on_other_data_sets_are_passed_by(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "pysot", tmp_path)
    (tmp_path / "VOT2018" / "CNN-SVM").mkdir(parents=True)
    (tmp_path / "VOT2018" / "CNN-SVM" / "ants1.txt").write_text("1\n")
    read = result_folders.load([tmp_path], small)
    assert not read.problems
    same(read.boxes, everyone)


def broken(folder: Path) -> dict[str, str]:
    """Breaks files of a tracker; what must be said of which."""
    (folder / "One.txt").write_text("1,2,3,4\n" * 3)
    (folder / "Two-1.txt").write_text("1,2,3,4\n" * 5 + "1,2")
    (folder / "Two-2.txt").write_bytes(b"\x89PNG\xff\x00")
    (folder / "Human4-2.txt").write_text("")
    (folder / "Readme.txt").write_text("hello\n")
    return {
        "One.txt": "3 boxes do not fit the 4 frames",
        "Two-1.txt": "line 6: 2 columns",
        "Two-2.txt": "not UTF-8",
        "Human4-2.txt": "the file is empty",
        "Readme.txt": "no annotated sequence's",
    }


def test_bad_files_are_one_line_each_and_the_others_are_read(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "plain", tmp_path)
    expected = broken(tmp_path / "CNN-SVM")
    read = result_folders.load([tmp_path], small)
    assert list(read.boxes["CNN-SVM"]) == ["Tiger1"]
    same({"my_tracker": read.boxes["my_tracker"]}, {"my_tracker": everyone["my_tracker"]})
    assert len(read.problems) == len(expected)
    for problem in read.problems:
        (name,) = [name for name in expected if f"CNN-SVM/{name}" in problem.line]
        assert expected[name] in problem.line
        assert "\n" not in problem.line
        assert problem.tracker == "CNN-SVM"
        assert problem.sequence == (None if name == "Readme.txt" else Path(name).stem)


def test_bad_mat_files_are_one_line_each(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "otb", tmp_path)
    good = (tmp_path / "One_CNN-SVM.mat").read_bytes()
    (tmp_path / "One_CNN-SVM.mat").write_bytes(good[: len(good) // 2])
    (tmp_path / "Two-1_CNN-SVM.mat").write_text("not MATLAB")
    (tmp_path / "perfmat_OPE.mat").write_bytes(good)
    cell = np.empty((1, 12), object)
    cell[0, :] = [{"type": "rect", "res": everyone["CNN-SVM"]["Two-2"]}] * 12
    scipy.io.savemat(tmp_path / "Two-2_CNN-SVM.mat", {"results": cell})
    read = result_folders.load([tmp_path], small)
    assert list(read.boxes["CNN-SVM"]) == ["Human4-2", "Tiger1"]
    lines = {Path(p.line.split(": ")[0]).name: p for p in read.problems}
    assert sorted(lines) == [
        "One_CNN-SVM.mat",
        "Two-1_CNN-SVM.mat",
        "Two-2_CNN-SVM.mat",
        "perfmat_OPE.mat",
    ]
    assert "12 results" in lines["Two-2_CNN-SVM.mat"].line
    assert lines["perfmat_OPE.mat"].sequence is None
    assert all("\n" not in problem.line for problem in read.problems)


def test_two_files_of_one_sequence_are_both_left_out(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "plain", tmp_path)
    folder = tmp_path / "CNN-SVM"
    (folder / "two.1.txt").write_bytes((folder / "Two-1.txt").read_bytes())
    read = result_folders.load([tmp_path], small)
    assert "Two-1" not in read.boxes["CNN-SVM"]
    (problem,) = read.problems
    assert "both are of Two-1" in problem.line


def test_trackers_of_one_name_are_called_by_their_paths(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        result_folders.export(everyone, small, "plain", tmp_path / folder)
    read = result_folders.load([tmp_path / "a", tmp_path / "b"], small)
    assert list(read.boxes) == [
        str(tmp_path / f / t) for f in "ab" for t in ("CNN-SVM", "my_tracker")
    ]
    with pytest.raises(InputError, match="another tracker is called CNN-SVM"):
        result_folders.export(read.boxes, small, "otb", tmp_path / "out")
    with pytest.raises(InputError, match="given twice"):
        result_folders.load([tmp_path / "a", tmp_path / "a"], small)


def test_a_folder_without_results_is_refused(small: Benchmark, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=str(folder)):
            result_folders.load([folder], small)
    with pytest.raises(InputError, match="'vot' is not a format"):
        result_folders.export({}, small, "vot", tmp_path)


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_what_is_no_file_is_one_problem_and_nothing_is_waited_for(
    kind: str, everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "plain", tmp_path)
    place = tmp_path / "CNN-SVM" / "One.txt"
    place.unlink()
    damage.no_file(place, kind)
    read = result_folders.load([tmp_path], small)
    (problem,) = read.problems
    assert (problem.tracker, problem.sequence) == ("CNN-SVM", "One")
    assert "One.txt: a " in problem.line
    assert "One" not in read.boxes["CNN-SVM"]
    assert "One" in read.boxes["my_tracker"]


def test_a_damaged_mat_file_is_one_problem(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "otb", tmp_path)
    place = tmp_path / "One_CNN-SVM.mat"
    content = bytearray(place.read_bytes())
    content[128 + 3] ^= 0x40  # the size of the compressed variable
    place.write_bytes(content)
    read = result_folders.load([tmp_path], small)
    (problem,) = read.problems
    assert problem.line.startswith(f"{place}: cannot be read as a MATLAB file")
    assert set(read.boxes["my_tracker"]) == set(small.targets)


@pytest.mark.parametrize("form", ["plain", "otb"])
@pytest.mark.parametrize("row", [[1e300, 1, 9, 9], [1, 1, 1e200, 1e200], [-3e8, 1, 9, 9]])
def test_boxes_in_no_image_are_the_fault_of_their_file_alone(
    form: str, row: list[float], everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    everyone["CNN-SVM"]["One"][1] = row
    result_folders.export(everyone, small, form, tmp_path)
    read = result_folders.load([tmp_path], small)
    (problem,) = read.problems
    assert (problem.tracker, problem.sequence) == ("CNN-SVM", "One")
    assert "One" in problem.line
    said = "line 2: .* is in no image" if form == "plain" else "box 2 is in no image"
    assert re.search(said, problem.line)
    assert set(read.boxes["my_tracker"]) == set(small.targets)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        json.dumps(summary.summary(summary.evaluate(read, small)), allow_nan=False)


def test_a_mat_file_of_nobody_keeps_no_text_back(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "plain", tmp_path)
    (tmp_path / "my_tracker" / "One_.mat").write_bytes(b"")
    read = result_folders.load([tmp_path], small)
    same(read.boxes, everyone)
    assert [problem.line for problem in read.problems] == [
        f"{tmp_path}/my_tracker/One_.mat: not used, because its name is no annotated sequence's"
    ]


def test_texts_beside_mat_files_are_said_not_to_be_used(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "otb", tmp_path)
    (tmp_path / "One.txt").write_text("1,2,3,4\n")
    read = result_folders.load([tmp_path], small)
    same(read.boxes, everyone)
    assert [problem.line for problem in read.problems] == [
        f"{tmp_path}/One.txt: not used, because there are .mat files beside it"
    ]


def test_a_link_that_leads_back_is_not_followed(
    everyone: Everyone, small: Benchmark, tmp_path: Path
) -> None:
    result_folders.export(everyone, small, "plain", tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    read = result_folders.load([tmp_path], small)
    assert list(read.boxes) == list(everyone)
