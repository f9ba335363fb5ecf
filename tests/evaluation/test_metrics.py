import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hcft_jax.evaluation import annotations, metrics, toolkit
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from tests.conftest import shared

LENGTHS = st.floats(0.5, 200)
BOXES = st.tuples(st.floats(1, 300), st.floats(1, 300), LENGTHS, LENGTHS).map(
    lambda box: np.array([box])
)


def boxes(*rows: tuple[float, ...]) -> Boxes:
    return np.array(rows, np.float64)


@given(BOXES, BOXES)
def test_overlap_lies_between_0_and_1(a: Boxes, b: Boxes) -> None:
    assert 0 <= metrics.overlap(a, b)[0] <= 1 + 1e-12


@given(BOXES, BOXES)
def test_overlap_and_centre_error_are_symmetric(a: Boxes, b: Boxes) -> None:
    np.testing.assert_allclose(metrics.overlap(a, b), metrics.overlap(b, a), atol=1e-12)
    np.testing.assert_array_equal(metrics.centre_error(a, b), metrics.centre_error(b, a))


@given(BOXES)
def test_a_box_overlaps_itself_wholly_at_no_distance(a: Boxes) -> None:
    np.testing.assert_allclose(metrics.overlap(a, a), 1, atol=1e-9)
    assert metrics.centre_error(a, a)[0] == 0


@given(BOXES, st.floats(0, 100), st.floats(0, 100))
def test_centre_error_of_a_shift_is_its_length(a: Boxes, dx: float, dy: float) -> None:
    moved = a + np.array([dx, dy, 0, 0])
    np.testing.assert_allclose(metrics.centre_error(moved, a), np.hypot(dx, dy), atol=1e-9)


def test_overlap_of_hand_worked_boxes() -> None:
    truth = np.tile([11.0, 21.0, 10.0, 10.0], (3, 1))
    tracked = boxes((16, 21, 10, 10), (21, 21, 10, 10), (11, 21, 5, 10))
    np.testing.assert_allclose(metrics.overlap(tracked, truth), [50 / 150, 0, 0.5])


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("value", [0.0, -3.0, np.nan])
def test_a_frame_whose_truth_has_an_entry_at_most_0_is_invalid(column: int, value: float) -> None:
    truth = boxes((5, 5, 10, 10))
    truth[0, column] = value
    tracked = boxes((5, 5, 10, 10))
    assert metrics.overlap(tracked, truth) == [-1]
    assert metrics.centre_error(tracked, truth) == [-1]


def test_an_invalid_frame_fails_success_and_passes_precision() -> None:
    assert not metrics.success_curve(np.array([-1.0])).any()
    assert metrics.precision_curve(np.array([-1.0])).all()


def test_success_is_strictly_above_the_threshold() -> None:
    curve = metrics.success_curve(np.array([0.5]))
    assert curve[9] == 1
    assert curve[10] == 0


def test_precision_is_at_most_the_threshold() -> None:
    curve = metrics.precision_curve(np.array([20.0, 20.0001]))
    np.testing.assert_array_equal(curve[[19, 20, 21]], [0, 0.5, 1])


def test_success_thresholds_are_built_from_both_ends() -> None:
    up, down = 0.05 * np.arange(10), 1 - 0.05 * np.arange(10)
    expected = [*up, 0.5, *down[::-1]]
    np.testing.assert_array_equal(metrics.SUCCESS_THRESHOLDS, expected)


@pytest.mark.parametrize(
    "broken", [(9, 9, 0, 5), (9, 9, 5, -1), (np.nan, 9, 5, 5), (np.nan, np.nan, np.nan, np.nan)]
)
def test_a_broken_box_becomes_the_one_before_it(broken: tuple[float, ...]) -> None:
    tracked = boxes((1, 1, 2, 2), (2, 2, 2, 2), broken, broken, (3, 3, 2, 2))
    repaired = metrics.repair(tracked, np.ones((5, 4)))
    np.testing.assert_array_equal(repaired[1:, 0], [2, 2, 2, 3])


def test_frame_1_is_the_given_box_whatever_the_tracker_wrote() -> None:
    truth = boxes((5, 5, 4, 4), (6, 5, 4, 4))
    for first in [(90.0, 90.0, 4.0, 4.0), (np.nan,) * 4]:
        repaired = metrics.repair(boxes(first, (6, 5, 4, 4)), truth)
        np.testing.assert_array_equal(repaired, truth)


def test_a_broken_second_box_takes_what_the_tracker_wrote_for_frame_1() -> None:
    tracked = boxes((1.5, 1, 2, 2), (0, 0, 0, 0))
    np.testing.assert_array_equal(metrics.repair(tracked, np.ones((2, 4)))[1], tracked[0])


def test_repair_leaves_its_argument_alone() -> None:
    tracked = boxes((2, 2, 2, 2), (0, 0, 0, 0))
    metrics.repair(tracked, np.ones((2, 4)))
    np.testing.assert_array_equal(tracked, boxes((2, 2, 2, 2), (0, 0, 0, 0)))


@given(arrays(np.float64, (7, 4), elements=st.integers(1, 50)))
def test_the_truth_scored_against_itself_is_perfect(truth: Boxes) -> None:
    scores = metrics.score(truth, truth)
    assert (scores.dp20, scores.os50, scores.cle, scores.frames) == (1, 1, 0, 7)
    assert scores.auc == pytest.approx(20 / 21)  # no overlap is above 1


def test_cle_is_the_mean_over_valid_frames_only() -> None:
    truth = boxes((5, 5, 4, 4), (5, 5, 4, 4), (5, 5, 0, 0))
    tracked = boxes((5, 5, 4, 4), (8, 9, 4, 4), (50, 50, 4, 4))
    assert metrics.score(tracked, truth).cle == 2.5


def test_score_refuses_what_cannot_be_scored() -> None:
    good = np.ones((3, 4))
    for tracked, truth in [(good[:2], good), (good[:, :3], good[:, :3]), (good[:0], good[:0])]:
        with pytest.raises(InputError, match=r"must both be \[T, 4\]"):
            metrics.score(tracked, truth)
    with pytest.raises(InputError, match="first frame"):
        metrics.score(good, good * 0)


def test_each_sequence_counts_once_in_the_mean() -> None:
    a = metrics.Scores(dp20=1, os50=0.5, auc=0.25, cle=4, frames=1000)
    b = metrics.Scores(dp20=0, os50=0, auc=0.75, cle=8, frames=10)
    assert metrics.mean([a, b]) == metrics.Scores(0.5, 0.25, 0.5, 6, 1010)
    with pytest.raises(InputError):
        metrics.mean([])


def test_the_normalised_error_is_in_sizes_of_the_target() -> None:
    truth = np.tile([11.0, 21.0, 10.0, 20.0], (3, 1))
    tracked = boxes((14, 29, 10, 20), (11, 21, 10, 20), (11, 11, 10, 40))
    np.testing.assert_allclose(metrics.normalised_error(tracked, truth), [0.5, 0, 0], atol=1e-15)
    truth[1, 2] = 0
    np.testing.assert_array_equal(metrics.normalised_error(tracked, truth)[1], -1)


def test_the_normalised_curve_goes_to_half_a_target() -> None:
    curve = metrics.normalised_curve(np.array([-1.0, 0.0, 0.25, 0.6]))
    assert len(curve) == len(metrics.NORMALISED_THRESHOLDS) == 51
    np.testing.assert_array_equal(curve[[0, 24, 25, 50]], [0.5, 0.5, 0.75, 0.75])
    assert metrics.NORMALISED_THRESHOLDS[-1] == 0.5


def test_the_mean_of_curves_has_the_mean_of_the_measures() -> None:
    truth = np.tile([11.0, 21.0, 10.0, 10.0], (4, 1))
    off = truth + np.array([[0, 0, 0, 0], [3, 0, 0, 0], [30, 0, 0, 0], [4, 4, 0, 0]])
    one, two = metrics.curves(truth, truth), metrics.curves(off, truth)
    mean = metrics.mean_curves([one, two])
    for name in metrics.MEASURES:
        both = [getattr(one, name), getattr(two, name)]
        assert getattr(mean, name) == pytest.approx(np.mean(both), abs=1e-15), name
    assert mean.scores.frames == 8
    assert mean.scores.auc == metrics.mean([one.scores, two.scores]).auc
    with pytest.raises(InputError):
        metrics.mean_curves([])


@pytest.fixture(scope="module")
def benchmark() -> Benchmark:
    return annotations.load(shared("otb_meta"))


def test_every_curve_of_the_matlab_toolkit_is_reproduced(benchmark: Benchmark) -> None:
    stored = scipy.io.loadmat(shared("published", "otb_toolkit_curves_OPE.mat"))
    trackers = [str(cell.item()) for cell in stored["nameTrkAll"].ravel()]
    # The stored order: the TB-50 half by name, then the other half by name.
    half = set(benchmark.subset("TB50"))
    names = sorted(benchmark.targets, key=lambda name: (name not in half, name))
    assert stored["success_curve"].shape == (len(trackers), len(names)) == (14, 100)
    worst = 0.0
    for row, tracker in enumerate(trackers):
        for column, name in enumerate(names):
            target = benchmark.targets[name]
            run = toolkit.read_mat(shared("published", "mat", f"{name}_{tracker}.mat"))
            curves = metrics.curves(target.align(run), target.truth)
            for ours, field in [(curves.success, "success"), (curves.precision, "precision")]:
                difference = np.abs(ours - stored[f"{field}_curve"][row, column].ravel()).max()
                worst = max(worst, difference)
    assert worst < 1e-9
