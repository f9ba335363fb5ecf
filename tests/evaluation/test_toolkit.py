from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.evaluation import toolkit
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from tests import damage
from tests.conftest import shared

BOXES = np.array([[1, 2, 3, 4], [250, 2, 30, 4]], np.float64)


def write_mat(path: Path, runs: int = 1, **fields: Any) -> Path:
    run = {"type": "rect", "res": BOXES, **fields}
    cell = np.empty((1, runs), object)
    for index in range(runs):
        cell[0, index] = {key: value for key, value in run.items() if value is not None}
    scipy.io.savemat(path, {"results": cell})
    return path


def test_boxes_and_start_are_read(tmp_path: Path) -> None:
    run = toolkit.read_mat(write_mat(tmp_path / "a.mat", startFrame=300.0))
    np.testing.assert_array_equal(run.boxes, BOXES)
    assert run.boxes.dtype == np.float64
    assert run.start == 300


def test_a_start_that_was_left_out_is_none(tmp_path: Path) -> None:
    assert toolkit.read_mat(write_mat(tmp_path / "a.mat")).start is None


def test_small_integers_do_not_wrap_around(tmp_path: Path) -> None:
    path = write_mat(tmp_path / "a.mat", res=np.array([[250, 250, 100, 100]], np.uint8))
    run = toolkit.read_mat(path)
    np.testing.assert_array_equal(run.boxes[0, :2] + run.boxes[0, 2:], [350, 350])


def test_a_struct_outside_a_cell_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"results": {"type": "rect", "res": BOXES}})
    np.testing.assert_array_equal(toolkit.read_mat(path).boxes, BOXES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"type": "circle"}, "'circle'"),
        ({"type": "ivtAff"}, r"\[T, 6\]"),
        ({"res": BOXES[:, :3]}, r"\[2, 3\]"),
        ({"res": "text"}, "numbers"),
        ({"res": None}, "no res"),
        ({"runs": 12}, "12 results"),
    ],
)
def test_other_contents_are_refused_by_name(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = write_mat(tmp_path / "a.mat", **changes)
    with pytest.raises(InputError, match=message) as caught:
        toolkit.read_mat(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a MATLAB file" * 20])
def test_a_file_of_another_kind_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mat"):
        toolkit.read_mat(path)


def test_a_missing_file_and_one_without_results_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        toolkit.read_mat(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "b.mat", {"other": 1})
    with pytest.raises(InputError, match="0 results"):
        toolkit.read_mat(tmp_path / "b.mat")


@pytest.mark.parametrize(
    "stem", ["Skating2-1_TLD", "skating2.1_TLD", "Skating2.1_tld", "Skating2_1_TLD"]
)
def test_a_file_is_found_in_any_spelling(stem: str, tmp_path: Path) -> None:
    path = write_mat(tmp_path / f"{stem}.mat")
    assert toolkit.find(tmp_path, "Skating2-1", "TLD") == path
    with pytest.raises(InputError, match="Skating2_TLD"):
        toolkit.find(tmp_path, "Skating2", "TLD")


def truth(*invalid: int) -> Boxes:
    boxes = np.arange(1.0, 21).reshape(5, 4)
    boxes[list(invalid), 2] = 0
    return boxes


@pytest.mark.parametrize("start", [None, 1, 7, 10, 300])
def test_a_run_over_the_evaluated_frames_is_taken_whatever_numbers_it_gives_them(
    start: int | None,
) -> None:
    run = toolkit.Published(np.ones((5, 4)), start)
    np.testing.assert_array_equal(toolkit.align(run, truth(), 10, 7), run.boxes)


@pytest.mark.parametrize("start", [None, 7])
def test_a_run_over_all_annotated_frames_loses_those_before_the_evaluation(
    start: int | None,
) -> None:
    run = toolkit.Published(np.arange(32.0).reshape(8, 4), start)
    np.testing.assert_array_equal(toolkit.align(run, truth(), 10, 7), run.boxes[3:])


def test_a_run_that_starts_earlier_is_aligned_by_its_start() -> None:
    run = toolkit.Published(np.arange(28.0).reshape(7, 4), 8)
    np.testing.assert_array_equal(toolkit.align(run, truth(), 10), run.boxes[2:])


def test_a_run_may_end_before_last_frames_without_truth() -> None:
    boxes = toolkit.align(toolkit.Published(np.ones((3, 4)), None), truth(3, 4), 1)
    assert len(boxes) == 5
    assert np.isnan(boxes[3:]).all()


@pytest.mark.parametrize(
    ("count", "start"), [(4, None), (6, None), (4, 11), (6, 10), (7, 9), (4, 99), (3, 2)], ids=str
)
def test_a_run_over_other_frames_is_refused(count: int, start: int | None) -> None:
    with pytest.raises(InputError, match="5 frames evaluated from frame 10"):
        toolkit.align(toolkit.Published(np.ones((count, 4)), start), truth(), 10)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    boxes = np.array([[1.5, 2, 3, 4], [np.nan] * 4])
    toolkit.write_mat(tmp_path / "a.mat", boxes, start=6, annotated_from=1)
    run = toolkit.read_mat(tmp_path / "a.mat")
    np.testing.assert_array_equal(run.boxes, boxes)
    assert run.start == 6


def test_an_infinite_box_is_none(tmp_path: Path) -> None:
    run = toolkit.read_mat(write_mat(tmp_path / "a.mat", res=np.array([[1, 2, np.inf, 4.0]])))
    np.testing.assert_array_equal(run.boxes, [[1, 2, np.nan, 4]])


@pytest.mark.parametrize("compressed", [True, False])
def test_a_half_written_file_is_one_line(compressed: bool, tmp_path: Path) -> None:
    cell = np.empty((1, 1), object)
    cell[0, 0] = {"type": "rect", "res": BOXES, "startFrame": 1.0}
    scipy.io.savemat(tmp_path / "a.mat", {"results": cell}, do_compression=compressed)
    good = (tmp_path / "a.mat").read_bytes()
    for length in range(0, len(good) - 1, 5):
        (tmp_path / "b.mat").write_bytes(good[:length])
        with pytest.raises(InputError, match=r"b\.mat") as caught:
            toolkit.read_mat(tmp_path / "b.mat")
        assert "\n" not in str(caught.value)


def test_all_runs_of_a_cell_are_read_in_order(tmp_path: Path) -> None:
    cell = np.empty((1, 3), object)
    for index in range(3):
        cell[0, index] = {"type": "rect", "res": BOXES + index, "startFrame": 1.0 + index}
    scipy.io.savemat(tmp_path / "tre.mat", {"results": cell})
    runs = toolkit.read_runs(tmp_path / "tre.mat")
    assert [run.start for run in runs] == [1, 2, 3]
    np.testing.assert_array_equal(runs[2].boxes, BOXES + 2)


def test_regions_of_another_type_are_read_as_boxes(tmp_path: Path) -> None:
    res = np.array([[10.0, 20, 0.5, 0, 0, 0.5]])
    path = write_mat(tmp_path / "a.mat", type="ivtAff", res=res, tmplsize=np.array([[8.0, 4.0]]))
    np.testing.assert_array_equal(toolkit.read_mat(path).boxes, [[8, 19, 4, 2]])
    with pytest.raises(InputError, match="tmplsize"):
        toolkit.read_mat(write_mat(tmp_path / "b.mat", type="ivtAff", res=res))


def test_every_published_file_is_readable() -> None:
    paths = sorted(shared("published", "mat").glob("*_CSK.mat"))
    assert len(paths) == 100
    assert all(toolkit.read_mat(path).boxes.shape[1] == 4 for path in paths)


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"a\.mat: a .*, not a regular file"):
        toolkit.read_mat(damage.no_file(tmp_path / "a.mat", kind))


@pytest.mark.parametrize(
    "fields",
    [
        {"type": 7.0},
        {"type": {"a": 1.0}},
        {"res": {"a": 1.0}},
        {"res": np.ones((2, 4)) * 1j},
        {"type": "ivtAff", "res": np.ones((2, 6)), "tmplsize": "32"},
    ],
)
def test_values_of_another_kind_are_refused_by_name(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"a\.mat: "):
        toolkit.read_mat(write_mat(tmp_path / "a.mat", **fields))


@damage.SETTINGS
@given(data=st.data())
def test_a_damaged_file_is_an_error_or_has_boxes(tmp_path: Path, data: st.DataObject) -> None:
    content = write_mat(tmp_path / "whole.mat", startFrame=3.0).read_bytes()
    content = data.draw(damage.of(content))
    found = damage.read(tmp_path / "a.mat", content, toolkit.read_runs)
    assert found is None or all(run.boxes.shape[1:] == (4,) for run in found)
