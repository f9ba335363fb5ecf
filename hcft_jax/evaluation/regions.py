"""Regions that trackers report to the OTB toolkit, as the boxes that the toolkit judges.

The rules are those of the MATLAB toolkit (calcSeqErrRobust and the functions it calls). Every box
is ``(x, y, w, h)``, 1-based.

``rect``
    ``res [T, 4]``, the box as it stands.
``ivtAff``
    ``res [T, 6]``, p, and ``tmplsize`` (width, height): a point (u, v) of the template, whose
    centre is (0, 0), is at (p1 + p3 u + p4 v, p2 + p5 u + p6 v). The box has the rounded-down
    images of the corners (-w/2, -h/2) and (w/2, h/2); its size is their difference, with no + 1.
``L1Aff``
    ``res [T, 6]``, a, and ``tmplsize`` (height, width): the point in row r and column c of the
    template, from 1, is in row a1 r + a2 c + a5 and column a3 r + a4 c + a6. The box spans the
    rounded images of the first and the last corner, both included.
``LK_Aff``
    ``res [2 T, 3]``, two rows M per frame, and ``tmplsize`` (height, width): (x, y), from (1, 1),
    is at (x, y) + M (x, y, 1). The box is that of the four corners, as for ``4corner``.
``SIMILARITY``
    ``res [T, 4]``, scale s, angle t in radians and a shift: (x, y), from (1, 1), is at
    s R(t) (x, y) + shift; corners as for ``LK_Aff``.
``4corner``, ``affine``
    ``res [2 T, 4]``, one row of x and one row of y per frame. The box spans the corners, both ends
    included (w = largest x - smallest x + 1), and is rounded.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hcft_jax.util.boxes import Boxes

Floats = npt.NDArray[np.float64]


def to_boxes(kind: str, res: npt.ArrayLike, size: npt.ArrayLike | None = None) -> Boxes:
    """Return the boxes of regions, float64 ``[T, 4]``, 1-based.

    Args:
        kind: The toolkit's ``type``, in any letter case.
        res: The regions, in the shape of their kind.
        size: ``tmplsize``, two numbers, for the kinds that need it.

    Raises:
        ValueError: the kind is unknown, ``res`` has another shape, or ``tmplsize`` is missing.
    """
    names = {name.lower(): name for name in _KINDS}
    if kind.lower() not in names:
        raise ValueError(f"type {kind!r} is unknown, there are {', '.join(_KINDS)}")
    rows, columns, needs_size, convert = _KINDS[names[kind.lower()]]
    # MATLAB stores doubles in the smallest integer type that holds them: uint8 would wrap around.
    values = np.asarray(res)
    good = values.dtype.kind in "iuf" and values.ndim == 2 and values.shape[1] == columns
    if not good or not len(values) or len(values) % rows:
        frame = f"[{'' if rows == 1 else rows}T, {columns}]"
        raise ValueError(f"res is {values.dtype}{list(values.shape)}, expected numbers {frame}")
    values = values.astype(np.float64)
    if not needs_size:
        return convert(values, np.ones(2))
    template = np.asarray([] if size is None else size).ravel()
    if template.dtype.kind not in "iuf" or template.size != 2:
        raise ValueError(f"tmplsize has {template.size} numbers, type {kind!r} needs 2")
    return convert(values, template.astype(np.float64))


def matlab_round(values: npt.ArrayLike) -> Floats:
    """Round to the nearest integers, halves away from zero, as MATLAB does."""
    values = np.asarray(values, np.float64)
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def _span(corners: Floats) -> Boxes:
    """Return the rounded boxes ``[T, 4]`` of corners ``[T, 2, 4]``, x and y."""
    low, high = corners.min(axis=2), corners.max(axis=2)
    return matlab_round(np.concatenate([low, high - low + 1], axis=1))


def _corners(size: Floats) -> Floats:
    """Return the homogeneous corners ``[3, 4]`` of a template (height, width) from pixel (1, 1)."""
    height, width = size
    return np.array([[1, 1, width, width], [1, height, height, 1], [1, 1, 1, 1]])


def _rect(res: Floats, size: Floats) -> Boxes:
    return res


def _ivt(res: Floats, size: Floats) -> Boxes:
    shift, along, across = res[:, [0, 1]], res[:, [2, 4]], res[:, [3, 5]]
    half = (along * size[0] + across * size[1]) / 2
    first, last = np.floor(shift - half), np.floor(shift + half)
    return np.concatenate([first, last - first], axis=1)


def _l1(res: Floats, size: Floats) -> Boxes:
    matrix = res[:, [[0, 1, 4], [2, 3, 5]]]  # [T, (row, column), (r, c, 1)]
    first = matlab_round(matrix @ np.array([1.0, 1.0, 1.0]))[:, ::-1]
    last = matlab_round(matrix @ np.array([size[0], size[1], 1.0]))[:, ::-1]
    return np.concatenate([first, last - first + 1], axis=1)


def _lk(res: Floats, size: Floats) -> Boxes:
    return _span((res.reshape(-1, 2, 3) + np.eye(2, 3)) @ _corners(size))


def _similarity(res: Floats, size: Floats) -> Boxes:
    scale, angle, x, y = res.T
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.stack([np.stack([cosine, -sine, x], 1), np.stack([sine, cosine, y], 1)], 1)
    return _span(matrix @ _corners(size))


def _four_corners(res: Floats, size: Floats) -> Boxes:
    return _span(res.reshape(-1, 2, 4))


# Rows per frame, columns, whether tmplsize is needed, and the rule.
_KINDS: dict[str, tuple[int, int, bool, Callable[[Floats, Floats], Boxes]]] = {
    "rect": (1, 4, False, _rect),
    "ivtAff": (1, 6, True, _ivt),
    "L1Aff": (1, 6, True, _l1),
    "LK_Aff": (2, 3, True, _lk),
    "SIMILARITY": (1, 4, True, _similarity),
    "4corner": (2, 4, False, _four_corners),
    "affine": (2, 4, False, _four_corners),
}
