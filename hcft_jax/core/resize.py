"""Resizing as a linear operator: Piotr Dollar's imResample, one matrix per axis.

The authors' program resizes patches and features with imResample, which decides **per axis**
(github.com/jbhuang0604/CF2, commit 4b895b5):

* shrinking: area average. Output i is the mean over [i s, (i + 1) s), s = in / out, with the
  fractional ends weighted by what they cover (OpenCV's INTER_AREA);
* growing: bilinear between pixel centres, edges clamped (OpenCV's INTER_LINEAR).
"""

from typing import Any

import jax
import jax.numpy as jnp
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


def cut(
    first: jax.Array, size_in: jax.Array, length: jax.Array, size_out: Any, shape: tuple[int, int]
) -> jax.Array:
    """Return the operator of one axis that cuts a window out of an image and resizes it.

    It is ``matrix`` of the window, put where the window lies in the image: pixels outside the image
    repeat its edge, so an output's share of them is the edge's. All sizes are data.

    Args:
        first: the window's first pixel, a whole number; it may be outside the image.
        size_in: pixels of the window, a whole number >= 1.
        length: pixels of the image.
        size_out: number of outputs.
        shape: (outputs, pixels) of the operator, which is zero beyond ``size_out`` and ``length``.
    """
    dtype = size_in.dtype
    outputs, pixels = (jnp.arange(n).astype(dtype) for n in shape)
    outputs, pixels = outputs[:, None], pixels[None, :]
    length, size_out = jnp.asarray(length).astype(dtype), jnp.asarray(size_out).astype(dtype)
    # in units that make all of it whole numbers: nothing is rounded before the division at the end
    shrinks = size_out < size_in
    unit = jnp.where(shrinks, size_in, 2.0 * size_out)
    least, most = size_out, (2.0 * size_in - 1.0) * size_out
    centre = jnp.clip((2.0 * outputs + 1.0) * size_in, least, most) - size_out
    begin = jnp.where(shrinks, outputs * size_in, centre)
    pixel = jnp.where(shrinks, size_out, unit)

    def share(end: jax.Array) -> jax.Array:
        """Return how much each output has of the window's pixels before ``end``."""
        return jnp.clip(end * pixel - begin, 0.0, unit)

    before = jnp.where(pixels > 0, share(pixels - first), 0.0)
    upto = jnp.where(pixels < length - 1, share(pixels + 1 - first), unit)
    inside = (outputs < size_out) & (pixels < length)
    return jnp.where(inside, (upto - before) / unit, 0.0)
