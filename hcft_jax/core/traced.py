"""``target.fixed`` with sizes that are traced: a program whose input is a first box.

It is what exported programs begin with. The tracker itself makes these operators in NumPy, once a
track and in float64, and so does this where it is traced under ``jax.enable_x64``; the tests hold
the two against each other. Whatever lies beyond the target's own sizes is zero.
"""

from collections.abc import Collection

import jax
import jax.numpy as jnp

from hcft_jax.core import sampling
from hcft_jax.core.sampling import CELL, Crop
from hcft_jax.core.spectrum import FAR, Matrices
from hcft_jax.core.target import Bucket, Target

Array = jax.Array


def begin(
    box: Array,
    image: Array,
    patch: tuple[int, int],
    maps: Collection[tuple[int, int]],
    bucket: Bucket,
) -> tuple[Target, Array]:
    """What a first box fixes, and the position (row, column) of its centre.

    Nothing is checked: a target of a larger window than the bucket's has a ``transform.grid``
    beyond it, and its operators are useless.

    Args:
        box: (x, y, w, h), 0-based pixels, ``[4]``.
        image: (H, W), int32 ``[2]``.
        patch: (height, width) of the network's input.
        maps: (height, width) of the network's maps.
        bucket: The sizes that are padded to.
    """
    x, y, w, h = box.astype(jnp.float64)
    window = _window(h, w, image.astype(jnp.float64))
    grid = jnp.floor(window / CELL)
    crop = [
        _resizing(window[axis], jnp.float64(patch[axis]), (patch[axis], bucket.window[axis]))
        for axis in range(2)
    ]
    position = jnp.stack([y + jnp.floor(h / 2), x + jnp.floor(w / 2)])
    target = Target(
        size=_single(jnp.stack([h, w])),
        cell=jnp.full(2, CELL, jnp.float32),
        crop=Crop(
            image.astype(jnp.int32), window.astype(jnp.int32), _single(crop[0]), _single(crop[1])
        ),
        transform=_matrices(grid, maps, bucket.grid),
        image=bucket.image,
    )
    return target, _single(position)


def _window(h: Array, w: Array, image: Array) -> Array:
    """The rule of ``sampling.geometry``, (height, width)."""
    tall = h / w > 2
    large = h * w / jnp.prod(image) > 0.05
    usual = jnp.where(large, sampling.PADDED_LARGE, sampling.PADDED)
    vertical = jnp.where(tall, sampling.PADDED_TALL, usual)
    horizontal = jnp.where(tall, sampling.PADDED, usual)
    return jnp.floor(jnp.stack([h * vertical, w * horizontal]))


def _single(values: Array) -> Array:
    return values.astype(jnp.float32)


def _resizing(size_in: Array, size_out: Array, shape: tuple[int, int]) -> Array:
    """``resize.matrix``, in a larger matrix of zeros."""
    scale = size_in / size_out
    outputs, inputs = _indices(shape)
    covered = jnp.minimum(inputs + 1, (outputs + 1) * scale) - jnp.maximum(inputs, outputs * scale)
    shrinking = jnp.maximum(covered, 0.0) / scale
    centre = jnp.clip((outputs + 0.5) * scale - 0.5, 0.0, size_in - 1.0)
    growing = jnp.maximum(1.0 - jnp.abs(centre - inputs), 0.0)
    inside = (outputs < size_out) & (inputs < size_in)
    return jnp.where(inside, jnp.where(size_out < size_in, shrinking, growing), 0.0)


def _indices(shape: tuple[int, int]) -> tuple[Array, Array]:
    rows, columns = (jnp.arange(n, dtype=jnp.float64) for n in shape)
    return rows[:, None], columns[None, :]


def _hann(size: Array, padded: int) -> Array:
    k = jnp.arange(padded, dtype=jnp.float64)
    return jnp.where(k < size, 0.5 - 0.5 * jnp.cos(2 * jnp.pi * k / (size - 1)), 0.0)


def _matrices(grid: Array, maps: Collection[tuple[int, int]], padded: tuple[int, int]) -> Matrices:
    """``spectrum.matrices``."""
    half = padded[1] // 2 + 1
    # the left half of the frequencies is kept, of the others those of the grid
    rows = _dft(grid[0], (padded[0], padded[0]), grid[0])
    columns = _dft(grid[1], (half, padded[1]), jnp.floor(grid[1] / 2) + 1)
    left: dict[str, sampling.Array] = {}
    right: dict[str, sampling.Array] = {}
    for shape in maps:
        vertical, horizontal = (
            _hann(grid[axis], padded[axis])[:, None]
            * _resizing(jnp.float64(shape[axis]), grid[axis], (padded[axis], shape[axis]))
            for axis in range(2)
        )
        key = f"{shape[0]}x{shape[1]}"
        left[key] = _single(_product(_times(rows, vertical)))
        right[key] = _single(_times(columns, horizontal))
    back = _inverse(grid[0], (padded[0], padded[0]), grid[0])
    forth = _inverse(grid[1], (half, padded[1]), jnp.floor(grid[1] / 2) + 1)
    # the half that is not kept mirrors the other one: all but the ends count twice
    frequency = jnp.arange(half, dtype=jnp.float64)[:, None]
    twice = (frequency > 0) & (frequency < jnp.floor((grid[1] + 1) / 2))
    forth = jnp.where(twice, 2.0, 1.0)[None] * forth
    return Matrices(
        grid=grid.astype(jnp.int32),
        left=left,
        right=right,
        distance=(_distances(grid[0], padded[0]), _distances(grid[1], padded[1])),
        rows=_single(rows),
        columns=_single(columns),
        back=_single(_product(jnp.swapaxes(back, 1, 2))),
        forth=_single(forth * jnp.array([1.0, -1.0])[:, None, None]),
    )


def _wave(turns: Array, sign: float) -> Array:
    """exp(sign 2 pi i turns), real and imaginary part on a new first axis."""
    angle = 2 * jnp.pi * turns
    return jnp.stack([jnp.cos(angle), sign * jnp.sin(angle)])


def _dft(size: Array, shape: tuple[int, int], frequencies: Array) -> Array:
    k, i = _indices(shape)
    inside = ((k < frequencies) & (i < size))[None]
    return jnp.where(inside, _wave(jnp.mod(k * i, size) / size, -1.0), 0.0)


def _inverse(size: Array, shape: tuple[int, int], frequencies: Array) -> Array:
    """The inverse DFT, [2, frequency, cell], cell 0 moved to the centre."""
    k, i = _indices(shape)
    inside = ((k < frequencies) & (i < size))[None]
    turns = jnp.mod(k * (i - jnp.floor(size / 2)), size) / size
    return jnp.where(inside, _wave(turns, 1.0) / size, 0.0)


def _times(dft: Array, matrix: Array) -> Array:
    return jnp.einsum("cki,iy->cky", dft, matrix, precision=jax.lax.Precision.HIGHEST)


def _product(values: Array) -> Array:
    """``spectrum._product`` of [2, ...]: the product with a + ib as a matrix on (c, d)."""
    real, imaginary = values
    return jnp.stack([jnp.stack([real, -imaginary]), jnp.stack([imaginary, real])])


def _distances(size: Array, padded: int) -> Array:
    k = jnp.arange(padded, dtype=jnp.float64)
    own = jnp.mod(k - 1 + jnp.floor(size / 2), size) + 1 - jnp.floor(size / 2)
    return _single(jnp.where(k < size, own, FAR))
