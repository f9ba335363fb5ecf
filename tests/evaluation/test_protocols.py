"""TRE's segments, SRE's boxes and the pooled scores, against cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.data import otb
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import metrics, protocols
from hcft_jax.evaluation.protocols import SRE, Judged, Run
from hcft_jax.util.boxes import Boxes, from_file, parse
from hcft_jax.util.errors import InputError
from tests.conftest import shared

SIZE = (240, 320)


def still(frames: int, box: tuple[float, ...] = (31.0, 41.0, 50.0, 30.0)) -> Boxes:
    return np.tile(np.array(box), (frames, 1))


def walking(frames: int) -> Boxes:
    """Moves by two pixels a frame to the right and one down."""
    return still(frames) + np.arange(frames)[:, None] * np.array([2.0, 1.0, 0.0, 0.0])


def all_runs(truth: Boxes, protocol: str) -> list[Run]:
    return protocols.plan(protocol, truth, size=SIZE)


def test_one_pass_is_the_whole_sequence() -> None:
    (run,) = all_runs(walking(5), "ope")
    assert (run.first, run.last, run.frames, run.label) == (0, 4, 5, "")
    assert run.box == (31, 41, 50, 30)


def test_thirty_eight_frames_start_at_every_one_of_nineteen() -> None:
    # 38 frames: the 19th is the last with 20 frames from it on, so E / 19 = 1
    assert protocols.tre_starts(still(38)) == [*range(19), 18]


def test_an_odd_length_by_hand() -> None:
    # 66 frames: E = 47; floor(1 + 47 k / 19), k = 0 ... 18, then 47; less one: indices
    starts = [0, 2, 4, 7, 9, 12, 14, 17, 19, 22, 24, 27, 29, 32, 34, 37, 39, 42, 44, 46]
    assert protocols.tre_starts(still(66)) == starts


def test_a_short_sequence_has_fewer_segments_and_some_twice() -> None:
    assert protocols.tre_starts(still(20)) == [0, 0]  # E = 1: k = 0, then E
    # E = 2: 1 + 2 k / 19 <= 2 for k = 0 ... 9, all of them floored to 1
    assert protocols.tre_starts(still(21)) == [0] * 10 + [1]


def test_too_short_a_sequence_is_refused() -> None:
    with pytest.raises(InputError, match="of 19 frames, none"):
        protocols.tre_starts(still(19))


def test_omitted_and_invalid_frames_are_no_starts() -> None:
    truth = still(44)
    truth[3] = 0
    truth[20, 2] = -1
    # without 0 to 2 (and before), 3 and 20 (invalid), 21 (omitted): 4 ... 19, 22, 23, 24: E = 19
    starts = protocols.tre_starts(truth, [(-5, 2), (21, 21), (40, 99)])
    assert starts == [*range(4, 20), 22, 23, 24, 24]


@given(
    st.lists(st.booleans(), min_size=20, max_size=150),
    st.lists(st.tuples(st.integers(-9, 160), st.integers(0, 9)), max_size=4),
)
def test_segments_are_the_rule_written_as_a_loop(seen: list[bool], spans: list[list[int]]) -> None:
    truth = still(len(seen)) * np.array(seen)[:, None]
    omitted = [(first, first + more) for first, more in spans]
    allowed = [i for i, ok in enumerate(seen) if ok and not any(a <= i <= b for a, b in omitted)]
    upto = [n for n, i in enumerate(allowed, 1) if len(seen) - i >= 20]
    if not upto:
        with pytest.raises(InputError):
            protocols.tre_starts(truth, omitted)
        return
    expected, k = [], 0
    while 19 + k * upto[-1] <= 19 * upto[-1]:
        expected.append(allowed[(19 + k * upto[-1]) // 19 - 1])
        k += 1
    assert protocols.tre_starts(truth, omitted) == [*expected, allowed[upto[-1] - 1]]


def test_segments_run_to_the_end_from_the_true_box() -> None:
    truth = walking(66)
    runs = all_runs(truth, "tre")
    assert [run.label for run in runs] == [f"{k:02d}" for k in range(1, 21)]
    assert {run.last for run in runs} == {65}
    assert runs[-1].frames == 20
    assert all(run.box == tuple(truth[run.first]) for run in runs)
    assert (runs[0].first, runs[0].frames) == (0, 66)


# A box of 50 x 30 whose tenths are whole numbers, well inside: by hand.
INSIDE = {
    "left": (26, 41, 50, 30),
    "right": (36, 41, 50, 30),
    "up": (31, 38, 50, 30),
    "down": (31, 44, 50, 30),
    "topLeft": (26, 38, 55, 33),
    "topRight": (31, 38, 55, 33),
    "bottomLeft": (26, 41, 55, 33),
    "bottomRight": (31, 41, 55, 33),
    "scale_8": (36, 44, 40, 24),
    "scale_9": (34, 43, 45, 27),  # 33.5 and 42.5 go up
    "scale_11": (28, 40, 55, 33),  # 1.1 * 50 is a little above 55: below 28.5; 39.5 goes up
    "scale_12": (26, 38, 60, 36),
}
# Odd sides, 35 x 23: tenths 3.5 and 2.3, so shifts of 4 and 3.
ODD = {
    "left": (27, 41, 35, 23),
    "right": (35, 41, 35, 23),
    "up": (31, 38, 35, 23),
    "down": (31, 44, 35, 23),
    "topLeft": (28, 39, 38, 25),  # 27.5 and 38.7; the last pixel stays (65, 63)
    "topRight": (31, 39, 39, 25),  # 65 + 3.5 = 68.5, up to 69
    "bottomLeft": (28, 41, 38, 25),  # 63 + 2.3, down to 65
    "bottomRight": (31, 41, 39, 25),
    "scale_8": (35, 43, 28, 18),  # 34.5; 52.5 - 9.2 = 43.3; 18.4
    "scale_9": (33, 42, 32, 21),  # 48.5 - 15.75; 52.5 - 10.35; 31.5; 20.7
    "scale_11": (29, 40, 39, 25),  # 48.5 - 19.25; 52.5 - 12.65; 38.5; 25.3
    "scale_12": (28, 39, 42, 28),  # 27.5; 52.5 - 13.8; 27.6
}
# At the left upper corner: an edge put on the first pixel keeps the size.
FIRST_PIXEL = {
    "left": (1, 1, 50, 30),
    "up": (1, 1, 50, 30),
    "topLeft": (1, 1, 55, 33),
    "topRight": (1, 1, 55, 33),
    "bottomLeft": (1, 1, 55, 33),
    "right": (6, 1, 50, 30),
    "scale_12": (1, 1, 60, 36),
}
# At the right lower corner of 320 x 240: what goes beyond is cut.
LAST_PIXEL = {
    "right": (276, 211, 45, 30),
    "down": (271, 214, 50, 27),
    "bottomRight": (271, 211, 50, 30),
    "topRight": (271, 208, 50, 33),
    "left": (266, 211, 50, 30),
    "scale_12": (266, 208, 55, 33),
    "scale_8": (276, 214, 40, 24),
}


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((31, 41, 50, 30), INSIDE),
        ((31, 41, 35, 23), ODD),
        ((1, 1, 50, 30), FIRST_PIXEL),
        ((271, 211, 50, 30), LAST_PIXEL),
    ],
)
def test_boxes_by_hand(box: tuple[float, ...], expected: dict[str, tuple[float, ...]]) -> None:
    assert {label: protocols.sre_box(box, label, SIZE) for label in expected} == expected


def test_a_shift_is_a_tenth_rounded_up() -> None:
    shifts = {
        side: protocols.sre_box((1, 1, side, 9), "right", SIZE)[0] - 1 for side in (60, 61, 69)
    }
    assert shifts == {60: 6, 61: 7, 69: 7}


def test_only_what_the_toolkit_rounds_is_rounded() -> None:
    box = (20.25, 30.5, 40.0, 20.0)
    assert protocols.sre_box(box, "right", SIZE) == (24.25, 30.5, 40, 20)
    # 16.25 and 28.5, up to 29; the last pixel stays at 59.25, 49.5
    assert protocols.sre_box(box, "topLeft", SIZE) == (16, 29, 44.25, 21.5)


def test_a_shift_out_of_the_image_leaves_an_empty_box() -> None:
    assert protocols.sre_box((320, 50, 10, 10), "right", SIZE)[2] <= 0


sides = st.integers(12, 60)


@given(st.integers(10, 250), st.integers(10, 170), sides, sides)
def test_shifts_have_the_toolkits_names_order_and_bounds(x: int, y: int, w: int, h: int) -> None:
    runs = all_runs(still(3, (x, y, w, h)), "sre")
    assert tuple(run.label for run in runs) == SRE
    assert [run.number for run in runs] == list(range(1, 13))
    for run in runs:
        left, top, width, height = run.box
        assert left >= 1
        assert top >= 1
        assert left + width - 1 <= 320
        assert top + height - 1 <= 240
        assert (run.first, run.last) == (0, 2)
        assert run.box != (x, y, w, h)


def scores(truth: Boxes, protocol: str, tracked: Boxes, unscale: bool = False) -> metrics.Scores:
    return protocols.pool(
        [
            protocols.judge(run, tracked[run.first :], truth, unscale=unscale)
            for run in all_runs(truth, protocol)
        ]
    ).scores


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
@pytest.mark.parametrize("frames", [20, 57, 90])
def test_the_truth_scores_100(protocol: str, frames: int) -> None:
    truth = walking(frames)
    perfect = scores(truth, protocol, truth)
    # no overlap is above 1, so the 21st point of a perfect success curve is 0
    assert (perfect.dp20, perfect.os50, perfect.auc, perfect.cle) == (1, 1, 20 / 21, 0)


def brute_force(truth: Boxes, starts: list[tuple[int, tuple[float, ...]]]) -> dict[str, float]:
    """Scores of a tracker that stays at its first box, frame by frame, over all its starts."""
    overlaps, errors, valid_errors = [], [], []
    for first, (x, y, w, h) in starts:
        for t in range(first, len(truth)):
            a, b, c, d = (float(v) for v in truth[t])
            if t == first:
                x0, y0, w0, h0 = a, b, c, d  # the first box counts as the true one
            else:
                x0, y0, w0, h0 = x, y, w, h
            if min(a, b, c, d) <= 0:
                overlaps.append(-1.0)
                errors.append(-1.0)
                continue
            wide = max(0.0, min(x0 + w0, a + c) - max(x0, a))
            high = max(0.0, min(y0 + h0, b + d) - max(y0, b))
            overlaps.append(wide * high / (w0 * h0 + c * d - wide * high))
            dx, dy = (x0 + w0 / 2) - (a + c / 2), (y0 + h0 / 2) - (b + d / 2)
            errors.append((dx * dx + dy * dy) ** 0.5)
            valid_errors.append(errors[-1])
    count = len(overlaps)
    curve = [sum(o > k / 20 for o in overlaps) / count for k in range(21)]
    return {
        "dp20": sum(e <= 20 for e in errors) / count,
        "os50": curve[10],
        "auc": sum(curve) / 21,
        "cle": sum(valid_errors) / len(valid_errors),
        "frames": count,
    }


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS)
def test_one_that_never_moves_scores_what_brute_force_says(protocol: str) -> None:
    truth = walking(57) + np.array([0.37, 0.21, 0.0, 0.0])  # no overlap just at a threshold
    truth[[30, 41]] = 0
    runs = all_runs(truth, protocol)
    judged = [protocols.judge(r, np.tile(r.box, (r.frames, 1)), truth) for r in runs]
    expected = brute_force(truth, [(r.first, r.box) for r in runs])
    assert vars(protocols.pool(judged).scores) == pytest.approx(expected, abs=1e-12)


def test_unscaling_gives_back_the_size() -> None:
    truth = walking(30)
    runs = [run for run in all_runs(truth, "sre") if run.label.startswith("scale")]
    centre = truth[:, :2] + truth[:, 2:] / 2
    for run in runs:
        size = truth[:, 2:] * protocols.SCALES[run.label]
        tracked = np.concatenate([centre - size / 2, size], axis=1)
        as_is = protocols.judge(run, tracked, truth).scores
        undone = protocols.judge(run, tracked, truth, unscale=True).scores
        assert as_is.auc < undone.auc
        assert undone.os50 == 1


def test_unscaling_by_hand() -> None:
    # centre 10 + 39 / 2 = 29.5, size 40 / 0.8 = 50: from 4.5, up to 5
    boxes = np.array([[10.0, 11.0, 40.0, 24.0]])
    assert protocols.unscaled(boxes, "scale_8").tolist() == [[5, 8, 50, 30]]
    assert protocols.unscaled(boxes, "left").tolist() == [[10, 11, 40, 24]]


def test_unscaling_is_for_sre_alone() -> None:
    truth = walking(30) + 0.25
    (run,) = all_runs(truth, "ope")
    as_is, undone = (protocols.judge(run, truth, truth, unscale=u) for u in (False, True))
    assert as_is.scores == undone.scores


def test_longer_runs_count_more() -> None:
    def flat(success: float, precision: float, cle: float, frames: int) -> metrics.Curves:
        return metrics.Curves(
            np.full(21, success), np.full(51, precision), np.full(51, 0.5), cle, frames
        )

    long, short = flat(0.5, 1.0, 10.0, 300), flat(0.1, 0.0, 50.0, 100)
    pooled = vars(protocols.pool([Judged(long, 200), Judged(short, 100)]).scores)
    expected = {"dp20": 0.75, "os50": 0.4, "auc": 0.4, "cle": 70 / 3, "frames": 400}
    assert pooled == pytest.approx(expected, abs=1e-15)


def test_one_run_is_its_own_mean() -> None:
    truth = walking(57)
    (run,) = all_runs(truth, "ope")
    judged = protocols.judge(run, still(57), truth)
    pooled, alone = protocols.pool([judged]), metrics.curves(still(57), truth)
    for name in vars(alone):
        np.testing.assert_array_equal(getattr(pooled, name), getattr(alone, name), err_msg=name)
    assert judged.scores == alone.scores


def test_no_runs_have_no_mean() -> None:
    with pytest.raises(InputError, match="no run was scored"):
        protocols.pool([])


def drawn(name: str, first_frame: int) -> Sequence:
    sequence = synthetic(Synthetic(frames=30, height=64, width=80, target=(20, 20), motion=12))
    return Sequence(name, sequence.frames, sequence.boxes, first_frame)


def test_the_annotations_of_tiger1_are_those_of_its_evaluated_frames() -> None:
    annotations = shared("otb_meta")
    ranges = otb.omitted(annotations, drawn("Tiger1", 6))
    assert ranges[:2] == [(-5, -1), (3, 9)]  # the file says 1 to 5 and 9 to 15
    # a copy of frames 6 to 354 that is numbered from 1
    assert otb.omitted(annotations, drawn("Tiger1", 1)) == ranges
    assert otb.omitted(annotations, drawn("Deer", 1)) == []


def test_every_annotated_sequence_has_twenty_segments() -> None:
    annotations = shared("otb_meta")
    for path in sorted((annotations / "anno").glob("*.txt")):
        truth = parse(path)
        sequence = Sequence(path.stem, drawn("", 1).frames, from_file(truth))
        if path.stem == "Tiger1":  # annotated from another frame than it is evaluated from
            continue
        omitted = otb.omitted(annotations, sequence)
        starts = protocols.tre_starts(truth, omitted)
        assert len(starts) == 20, path
        assert starts == sorted(starts)
        assert len(truth) - starts[-1] >= 20
        assert not any(a <= start <= b for start in starts for a, b in omitted)


def test_tiger1_starts_where_the_toolkit_has_it() -> None:
    # the toolkit splits all 354 annotated frames, we the 349 from frame 6 on
    annotations = shared("otb_meta")
    truth = parse(annotations / "anno" / "Tiger1.txt")
    ours = otb.omitted(annotations, drawn("Tiger1", 6))
    theirs = [(first + 5, last + 5) for first, last in ours]
    toolkit = protocols.tre_starts(truth, theirs)
    assert toolkit[0] == 5  # hence its one-pass evaluation from frame 6
    assert [start + 5 for start in protocols.tre_starts(truth[5:], ours)] == toolkit
