"""Resizing as a linear operator: Piotr Dollar's imResample, one matrix per axis.

The authors' program resizes patches and features with imResample, which decides **per axis**
(github.com/jbhuang0604/CF2, commit 4b895b5):

* shrinking: area average. Output i is the mean over [i s, (i + 1) s), s = in / out, with the
  fractional ends weighted by what they cover (OpenCV's INTER_AREA);
* growing: bilinear between pixel centres, edges clamped (OpenCV's INTER_LINEAR).
"""

from typing import Any

import numpy as np

from hcft_jax.core.arrays import index, namespace


def matrix(size_in: Any, size_out: Any, shape: tuple[int, int] | None = None) -> Any:
    """Return the operator ``[size_out, size_in]`` of one axis, float64; each row sums to one.

    Args:
        size_in: number of pixels, an integer or a traced float64.
        size_out: number of pixels, likewise.
        shape: of a larger matrix, zero beyond the operator; needed for traced sizes.

    Raises:
        ValueError: a size is below one.
    """
    xp = namespace(size_in, size_out)
    if xp is np and (size_in < 1 or size_out < 1):
        raise ValueError(f"sizes must be at least 1, not {size_in} -> {size_out}")
    height, width = shape or (size_out, size_in)
    outputs, inputs = index(height, xp)[:, None], index(width, xp)[None, :]
    scale = size_in / size_out
    covered = xp.minimum(inputs + 1, (outputs + 1) * scale) - xp.maximum(inputs, outputs * scale)
    shrinking = xp.maximum(covered, 0.0) / scale
    centre = xp.clip((outputs + 0.5) * scale - 0.5, 0.0, size_in - 1.0)
    growing = xp.maximum(1.0 - xp.abs(centre - inputs), 0.0)
    inside = (outputs < size_out) & (inputs < size_in)
    return xp.where(inside, xp.where(size_out < size_in, shrinking, growing), 0.0)
