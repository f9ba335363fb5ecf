from typing import Any

import numpy as np
import pytest

from hcft_jax.evaluation.regions import to_boxes


@pytest.mark.parametrize(
    ("kind", "res", "size", "box"),
    [
        ("rect", [[1.5, 2, 3, 4]], None, [1.5, 2, 3, 4]),
        # Scale 1/2 about (10.2, 20.7): corners (8.2, 19.7) and (12.2, 21.7), rounded down.
        ("ivtAff", [[10.2, 20.7, 0.5, 0, 0, 0.5]], [8, 4], [8, 19, 4, 2]),
        # A quarter turn, (u, v) to (-v, u): corners (12, 16) and (8, 24), so the width is negative.
        ("ivtAff", [[10, 20, 0, -1, 1, 0]], [8, 4], [12, 16, -4, 8]),
        # Row r, column c at row 2 r + 5.4, column c + 9.5: (7.4, 10.5) to (25.4, 14.5).
        ("L1Aff", [[2, 0, 0, 1, 5.4, 9.5]], [10, 5], [11, 7, 5, 19]),
        # (x, y) moved by (4, 6): template columns 1 to 5, rows 1 to 10.
        ("LK_Aff", [[0, 0, 4], [0, 0, 6]], [10, 5], [5, 7, 5, 10]),
        # x doubled on top of that, M being added to the identity.
        ("LK_Aff", [[1, 0, 4], [0, 0, 6]], [10, 5], [6, 7, 9, 10]),
        ("SIMILARITY", [[2, 0, 3, 4]], [10, 5], [5, 6, 9, 19]),
        # A quarter turn: (x, y) at (20 - y, x + 3).
        ("SIMILARITY", [[1, np.pi / 2, 20, 3]], [10, 5], [10, 4, 10, 5]),
        ("4corner", [[3, 1, 7, 9], [2, 6, 8, 4]], None, [1, 2, 9, 7]),
        ("affine", [[3, 1, 7, 9], [2, 6, 8, 4]], None, [1, 2, 9, 7]),
        # MATLAB rounds halves away from zero.
        ("4corner", [[-2.5, 2, 2, -2.5], [0.5, 0.5, 3, 3]], None, [-3, 1, 6, 4]),
    ],
)
def test_regions_worked_by_hand(
    kind: str, res: list[Any], size: list[float] | None, box: list[float]
) -> None:
    np.testing.assert_array_equal(to_boxes(kind, np.array(res, float), size), [box])
    np.testing.assert_array_equal(to_boxes(kind.upper(), np.array(res, float), size), [box])


def test_frames_stay_apart() -> None:
    rng = np.random.default_rng(0)
    for kind, rows, columns in [
        ("ivtAff", 1, 6),
        ("L1Aff", 1, 6),
        ("LK_Aff", 2, 3),
        ("SIMILARITY", 1, 4),
        ("4corner", 2, 4),
    ]:
        res = rng.normal(size=(3 * rows, columns)) * 9
        single = [to_boxes(kind, res[rows * t : rows * t + rows], [7, 9])[0] for t in range(3)]
        np.testing.assert_array_equal(to_boxes(kind, res, [7, 9]), single)


def test_a_region_that_is_nan_gives_a_box_that_is_nan() -> None:
    corners = np.array([[1.0, 2, 3, 4], [1, 2, 3, 4], [np.nan] * 4, [np.nan] * 4])
    boxes = to_boxes("4corner", corners)
    assert np.isfinite(boxes[0]).all()
    assert np.isnan(boxes[1]).all()


def test_small_integers_do_not_wrap_around() -> None:
    res = np.array([[250, 250, 255, 255], [1, 9, 9, 1]], np.uint8)
    np.testing.assert_array_equal(to_boxes("4corner", res), [[250, 1, 6, 9]])


@pytest.mark.parametrize(
    ("kind", "shape", "size", "message"),
    [
        ("circle", (1, 4), None, "'circle' is unknown, there are rect"),
        ("rect", (2, 3), None, r"expected numbers \[T, 4\]"),
        ("4corner", (3, 4), None, r"expected numbers \[2T, 4\]"),
        ("rect", (0, 4), None, r"\[0, 4\]"),
        ("ivtAff", (1, 6), None, "0 numbers"),
        ("LK_Aff", (2, 3), [1, 2, 3], "3 numbers"),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: str, shape: tuple[int, int], size: list[float] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        to_boxes(kind, np.ones(shape), size)
