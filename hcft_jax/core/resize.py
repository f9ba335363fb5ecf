"""Resizing as a linear operator: Piotr Dollar's imResample, one matrix per axis.

The authors' program resizes patches and features with imResample, which decides **per axis**
(github.com/jbhuang0604/CF2, commit 4b895b5):

* shrinking: area average. Output i is the mean over [i s, (i + 1) s), s = in / out, with the
  fractional ends weighted by what they cover (OpenCV's INTER_AREA);
* growing: bilinear between pixel centres, edges clamped (OpenCV's INTER_LINEAR).

The matrices depend on static sizes only, so they are built in NumPy, in float64.
"""

import numpy as np
import numpy.typing as npt


def matrix(size_in: int, size_out: int) -> npt.NDArray[np.float64]:
    """The operator ``[size_out, size_in]`` of one axis; each row sums to one.

    Raises:
        ValueError: a size is below one.
    """
    if size_in < 1 or size_out < 1:
        raise ValueError(f"sizes must be at least 1, not {size_in} -> {size_out}")
    scale = size_in / size_out
    outputs = np.arange(size_out, dtype=np.float64)[:, None]
    inputs = np.arange(size_in, dtype=np.float64)[None, :]
    if size_out < size_in:
        covered = np.minimum(inputs + 1, (outputs + 1) * scale) - np.maximum(
            inputs, outputs * scale
        )
        return np.maximum(covered, 0.0) / scale
    centre = np.clip((outputs + 0.5) * scale - 0.5, 0.0, size_in - 1.0)
    return np.maximum(1.0 - np.abs(centre - inputs), 0.0)
