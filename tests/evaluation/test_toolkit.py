from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from hcft_jax.boxes import Boxes
from hcft_jax.errors import InputError
from hcft_jax.evaluation import toolkit
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
        ({"type": "ivtAff"}, "'ivtAff'"),
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


@pytest.mark.parametrize("stem", ["Skating2-1_TLD", "skating2.1_TLD", "Skating2.1_tld"])
def test_a_file_is_found_in_any_spelling(stem: str, tmp_path: Path) -> None:
    path = write_mat(tmp_path / f"{stem}.mat")
    assert toolkit.find(tmp_path, "Skating2-1", "TLD") == path
    with pytest.raises(InputError, match="Skating2_TLD"):
        toolkit.find(tmp_path, "Skating2", "TLD")


def truth(*invalid: int) -> Boxes:
    boxes = np.arange(1.0, 21).reshape(5, 4)
    boxes[list(invalid), 2] = 0
    return boxes


def test_a_run_that_starts_later_is_aligned_by_its_start() -> None:
    run = toolkit.Published(np.ones((3, 4)), 12)
    boxes, covered = toolkit.align(run, truth(), 10)
    np.testing.assert_array_equal(covered, truth()[2:])
    np.testing.assert_array_equal(boxes, run.boxes)


def test_a_run_may_end_before_last_frames_without_truth() -> None:
    boxes, covered = toolkit.align(toolkit.Published(np.ones((3, 4)), None), truth(3, 4), 1)
    assert len(covered) == 5
    assert np.isnan(boxes[3:]).all()


@pytest.mark.parametrize(
    ("count", "start"), [(4, None), (6, None), (5, 11), (5, 9), (5, 99)], ids=str
)
def test_a_run_over_other_frames_is_refused(count: int, start: int | None) -> None:
    with pytest.raises(InputError, match="annotated from frame 10"):
        toolkit.align(toolkit.Published(np.ones((count, 4)), start), truth(), 10)


def test_every_published_file_is_readable() -> None:
    paths = sorted(shared("published", "mat").glob("*_CSK.mat"))
    assert len(paths) == 100
    assert all(toolkit.read_mat(path).boxes.shape[1] == 4 for path in paths)
