"""The calibration: its threshold, its errors, and what counts as lost."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments.lost import calibration
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.util.errors import InputError


def test_lost_is_a_centre_outside_of_the_true_box() -> None:
    truth = np.array([[10.0, 10, 20, 20]] * 3 + [[10, 10, 0, 20]])
    tracked = np.array([[10.0, 10, 20, 20], [19, 10, 20, 20], [21, 10, 20, 20], [0, 0, 5, 5]])
    outside, known = calibration.lost(tracked, truth)
    assert outside[:3].tolist() == [False, False, True]
    assert known.tolist() == [True, True, True, False]


def test_the_threshold_is_in_the_middle_of_the_gap() -> None:
    psr = np.array([1.0, 2.0, 3.0, 9.0, 10.0])
    is_lost = np.array([True, True, True, False, False])
    assert calibration.threshold(psr, is_lost) == 6.0
    assert calibration.errors(psr, is_lost, 6.0) == (0.0, 0.0)
    assert calibration.errors(psr, is_lost, 2.5) == (pytest.approx(1 / 3), 0.0)
    assert calibration.errors(psr, is_lost, 9.5) == (0.0, 0.5)
    assert calibration.separation(psr, is_lost) == 1.0


@example([(0.0, False), (0.0, True)])
@given(st.lists(st.tuples(st.floats(0, 50), st.booleans()), min_size=4, max_size=30))
def test_no_threshold_has_a_smaller_balanced_error(frames: list[tuple[float, bool]]) -> None:
    psr, is_lost = (np.array(column) for column in zip(*frames, strict=True))
    if is_lost.all() or not is_lost.any():
        return
    best = sum(calibration.errors(psr, is_lost, calibration.threshold(psr, is_lost)))
    values = np.unique(psr)
    for other in (values[:-1] + values[1:]) / 2:
        assert best <= sum(calibration.errors(psr, is_lost, other)) + 1e-9


def test_each_sequence_is_judged_by_the_others() -> None:
    def run(kept: float, gone: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([kept, kept, gone]), np.array([False, False, True])

    result = calibration.analyse({"a": run(10, 2), "b": run(10, 4), "c": run(30, 20)})
    assert result["threshold"] == 7.0
    assert (result["missed"], result["false alarms"]) == (pytest.approx(1 / 3), 0.0)
    assert result["sequences"]["c"]["threshold of the others"] == 7.0
    assert result["left out in turn"]["missed"] == pytest.approx(1 / 3)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(InputError, match="no target was lost"):
        calibration.analyse({"a": (np.ones(3), np.zeros(3, bool))})
    kept, gone = (np.ones(3), np.zeros(3, bool)), (np.arange(3.0), np.array([True, False, False]))
    with pytest.raises(InputError, match="only one sequence has lost frames"):
        calibration.analyse({"a": kept, "b": gone})


def test_frames_are_left_out_and_boxes_with_them() -> None:
    whole = synthetic(Synthetic(frames=11, height=64, width=80, target=(20, 20), motion=12.0))
    part = calibration.every(whole, 3, 100)
    assert len(part) == len(part.boxes) == 4
    np.testing.assert_array_equal(part.frames.read(2), whole.frames.read(6))
    np.testing.assert_array_equal(part.boxes[2], whole.boxes[6])
    assert len(calibration.every(whole, 1, 5)) == 5


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "Deer-every1.npz"
    rows, psr = np.zeros((3, 4)), np.zeros(3)
    np.savez(path, boxes=rows, truth=rows, psr=psr)
    for found, put in zip(calibration.kept(path), (rows, rows, psr), strict=True):
        np.testing.assert_array_equal(found, put)
    np.savez(path, boxes=rows, truth=rows[:2], psr=psr)
    with pytest.raises(InputError, match=r"Deer-every1\.npz: not a run"):
        calibration.kept(path)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match=r"Deer-every1\.npz: truncated or damaged"):
        calibration.kept(path)
