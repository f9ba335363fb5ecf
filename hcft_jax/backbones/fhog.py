"""Piotr Dollár's fHOG: 31 channels of gradient orientations per cell of an image.

These are the features of KCF and of DSST's scale filter, and of the 2018 program of HCFT, as the
function fhog of Dollár's toolbox computes them (github.com/pdollar/toolbox, channels/fhog.m and
channels/private/gradientMex.cpp, version 3.24 and later; after Felzenszwalb et al., PAMI 2010):

1. Centred differences, times a half; at a border the one-sided difference. Of several colour
   channels the one with the largest gradient counts at each pixel, the first of equals.
2. The direction is one of 18: bin k is about 20 k degrees, from +x (columns to the right) towards
   +y (rows downwards), for an image that brightens that way. Nothing is shared between bins.
3. Every pixel is shared bilinearly by the cells around it, and what falls beyond the outer cells is
   dropped; outer cells are then scaled by 8/7. Pixels that fill no cell count only as neighbours in
   the differences. Cells of one pixel are not interpolated, but are scaled likewise.
4. Four norms per cell, each over the 2 x 2 cells that meet in one of its corners, from the
   histogram of 9 directions without sign. Those of the borders repeat the nearest inner ones.
   Histograms times a norm are clipped at 0.2.

The program looks directions up in a table of arc cosines, at cosines cut to 1e-4. Its bins are
therefore split at whole multiples of 1e-4, and comparisons with these give the very bins of the
table: no arc cosine is needed. One thing is not reproduced. The program divides by the magnitude
with the processor's approximate instructions, good to 4e-4, which differ between processors; a
pixel whose cosine is that close to a split may be counted in the next bin there.
"""

import jax
import jax.numpy as jnp
import numpy as np

CHANNELS = 31
"""18 directions with sign, 9 without, 4 textures; the toolbox's 32nd, always zero, is left out."""

_DIRECTIONS = 18
_STEPS = 1e4  # of the table per unit of the cosine
_LEAST = 1e-10  # magnitude: what the toolbox has in place of zero
_CLIP = 0.2
_TEXTURE = 0.2357  # the toolbox's 1 / sqrt(18)
# Downwards from +x, a direction follows the one before where the cosine falls below 9849 steps, and
# so on. Cosines are cut towards zero: hence "below" for the first five, "not above" for the rest.
_BELOW = (9849, 8661, 6428, 3421, 1)
_NOT_ABOVE = (-3421, -6428, -8661, -9849)


def fhog(image: jax.Array, cell: int, size: jax.Array | None = None) -> jax.Array:
    """Return the 31 fHOG features of each cell, in the image's precision.

    The first 18 channels are the directions with sign (bin k about 20 k degrees, from +x towards
    +y, downwards), the next 9 those without (k and k + 9 together), all within [0, 0.4]. The last
    four, within [0, 0.85], are sums over all directions after each of the four norms: that of the
    cell's lower right, upper right, lower left and upper left corner.

    Batches are leading dimensions, or ``jax.vmap``. Derivatives are those of the bins and channels
    that were chosen; they are finite everywhere.

    Args:
        image: ``[H, W]`` of grey values or ``[..., H, W, C]`` of C colours, float32 or float64. Any
            range will do: KCF gives [0, 1], DSST's scale filter [0, 255]. Features are the same but
            for a constant in the norms, which damps gradients below about 0.005 / cell**2.
        cell: pixels along the side of a cell: 4 for KCF and for scales, 1 for DSST's translation.
        size: ``[2]``, whole numbers (height, width) of pixels, if the image is only the upper left
            part of the array: neither 1 nor more than the array's. As data, so one executable
            serves all sizes. Cells of the image are what they would be without padding, whatever
            that contains, and all others are zero.

    Returns:
        ``[..., H // cell, W // cell, 31]``. With a single row or column of cells the toolbox leaves
        its norms half made (energies stand in for them, and zeros); so does this function.

    Raises:
        ValueError: the image is not floating-point, has fewer than two dimensions, is less than two
            pixels or one cell high or wide, or the cell is below one.
    """
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim < 3 or not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(f"an image is [H, W] or [..., H, W, C] of floats, not {image.aval}")
    shape = image.shape[-3:-1]
    if cell < 1 or min(shape) < max(cell, 2):
        raise ValueError(f"{shape} px have no cell of {cell} px, or no gradient")
    height, width = shape if size is None else (size.astype(jnp.int32)[axis] for axis in (0, 1))
    if size is not None:  # not even a NaN of the padding may reach a derivative
        image = _keep(image, -3, height, width)
    rows, columns = height // cell, width // cell
    magnitude, direction = _directions(image, height, width)
    magnitude = _keep(magnitude, -2, rows * cell, columns * cell)
    # without the barriers XLA computes each pixel again for each of the directions
    magnitude, direction = jax.lax.optimization_barrier((magnitude, direction))
    histogram = jax.lax.optimization_barrier(_histogram(magnitude, direction, cell))
    return _keep(_channels(histogram, cell, rows, columns), -3, rows, columns)


def _place(array: jax.Array, axis: int) -> jax.Array:
    """Return the index of each element along an axis, in the array's shape."""
    return jax.lax.broadcasted_iota(jnp.int32, array.shape, array.ndim + axis)


def _keep(
    array: jax.Array, axis: int, height: jax.Array | int, width: jax.Array | int
) -> jax.Array:
    """Return the array with zeros outside the first rows (``axis``) and columns (the next)."""
    inside = (_place(array, axis) < height) & (_place(array, axis + 1) < width)
    return jnp.where(inside, array, 0)


def _difference(image: jax.Array, axis: int, length: jax.Array | int) -> jax.Array:
    """Return the derivative along an axis of whose pixels the first ``length`` are the image."""
    place = _place(image, axis)
    first, last = place == 0, place == length - 1
    forward = jnp.where(last, image, jnp.roll(image, -1, axis))
    backward = jnp.where(first, image, jnp.roll(image, 1, axis))
    half = jnp.asarray(0.5, image.dtype)
    return (forward - backward) * jnp.where(first | last, 2 * half, half)


def _directions(
    image: jax.Array, height: jax.Array | int, width: jax.Array | int
) -> tuple[jax.Array, jax.Array]:
    """Return magnitude and direction, 0 to 17, of each pixel of ``[..., H, W, C]``."""
    dy, dx = _difference(image, -3, height), _difference(image, -2, width)
    square = dx * dx + dy * dy
    gy, gx, most = dy[..., 0], dx[..., 0], square[..., 0]
    for colour in range(1, image.shape[-1]):
        larger = square[..., colour] > most
        gy, gx, most = (
            jnp.where(larger, values[..., colour], old)
            for values, old in ((dy, gy), (dx, gx), (square, most))
        )
    # the least value is below the root, so that the derivative of a flat image is zero
    magnitude = jnp.sqrt(jnp.maximum(most, _LEAST**2))
    up = gy < 0
    steps = _STEPS * jnp.where(up, -gx, gx)  # times the magnitude: this saves the division
    below = [steps < limit * magnitude for limit in _BELOW]
    below += [steps <= limit * magnitude for limit in _NOT_ABOVE]
    half_turn = sum(mask.astype(jnp.int32) for mask in below)  # 0 to 9
    direction = half_turn + jnp.where(up, _DIRECTIONS // 2, 0)
    return magnitude, jnp.where(direction == _DIRECTIONS, 0, direction)


def _share(offset: np.ndarray, cell: int) -> np.ndarray:
    """Return what part of a pixel falls to a cell whose first pixel is ``offset`` before it."""
    return np.maximum(1 - np.abs((offset + 0.5) / cell - 0.5), 0) / cell


def _histogram(magnitude: jax.Array, direction: jax.Array, cell: int) -> jax.Array:
    """Return the magnitude of each direction in each cell, ``[..., G, K, 18]``.

    Rows are added up slice by slice, each with its share: XLA makes one loop of it, and no array
    has both all pixels and all directions. The columns are then a product with a matrix.
    """
    height, width = magnitude.shape[-2:]
    rows, columns = height // cell, width // cell
    before, taps = cell // 2, 2 * cell - cell % 2  # the rows with a share in a cell
    last = (rows - 1) * cell
    padding = [(0, 0)] * (magnitude.ndim - 2)
    padding += [(before, max(last + taps - before - height, 0)), (0, 0)]
    magnitude, direction = jnp.pad(magnitude, padding), jnp.pad(direction, padding)
    total = jnp.zeros((*magnitude.shape[:-2], _DIRECTIONS, rows, width), magnitude.dtype)
    bins = _place(total, -3)
    for tap, share in enumerate(_share(np.arange(taps) - before, cell).tolist()):
        votes, chosen = (
            jax.lax.slice_in_dim(array, tap, tap + last + 1, cell, axis=array.ndim - 2)
            for array in (magnitude, direction)
        )
        one_hot = chosen[..., None, :, :] == bins
        total = total + jnp.where(one_hot, share * votes[..., None, :, :], 0)
    if cell > 1:
        offsets = np.arange(width)[:, None] - cell * np.arange(columns)
        across = jnp.asarray(_share(offsets, cell), magnitude.dtype)
        total = jnp.einsum("...x,xk->...k", total, across, precision=jax.lax.Precision.HIGHEST)
    return jnp.moveaxis(total, -3, -1)


def _borders(histogram: jax.Array, axis: int, count: jax.Array | int) -> jax.Array:
    """Return the histogram with the outer of the first ``count`` cells along an axis scaled."""
    place = _place(histogram, axis)
    for outer in (0, count - 1):  # one after the other: a single cell is scaled twice
        histogram = jnp.where(place == outer, 8 / 7 * histogram, histogram)
    return histogram


def _corners(cells: jax.Array, axis: int, count: jax.Array | int) -> jax.Array:
    """Return the values of the corners around the first ``count`` cells along an axis.

    Args:
        cells: at i, the value of the corner between cells i and i + 1; n of them.
        axis: of ``cells``.
        count: number of cells along this axis.

    Returns:
        n + 1 values, at i that of the corner before cell i; the outer ones repeat their neighbours.
    """
    first = jax.lax.slice_in_dim(cells, 0, 1, axis=axis)
    before = jnp.concatenate([first, cells], axis)
    repeated = jnp.concatenate([first, jax.lax.slice_in_dim(before, 0, -1, axis=axis)], axis)
    return jnp.where(_place(before, axis) == count, repeated, before)


def _norms(
    energy: jax.Array, cell: int, rows: jax.Array | int, columns: jax.Array | int
) -> jax.Array:
    """Return what to multiply histograms by, per corner of cells: ``[..., G + 1, K + 1]``."""
    padded = jnp.pad(energy, [(0, 0)] * (energy.ndim - 2) + [(0, 1), (0, 1)])
    down = padded[..., :-1, :] + padded[..., 1:, :]
    around = down[..., :-1] + down[..., 1:]
    inner = jax.lax.rsqrt(around + 1e-4 / 4 / cell**4)
    # a single row or column has no inner corner: the toolbox leaves energies, and at the ends of a
    # row zeros, where it would have written norms
    flat = jnp.logical_or(rows == 1, columns == 1)
    norms = _corners(_corners(jnp.where(flat, energy, inner), -1, columns), -2, rows)
    place = _place(norms, -1)
    return jnp.where((rows == 1) & ((place == 0) | (place == columns)), 0, norms)


def _channels(
    histogram: jax.Array, cell: int, rows: jax.Array | int, columns: jax.Array | int
) -> jax.Array:
    """Return the features ``[..., G, K, 31]`` of the histograms ``[..., G, K, 18]``."""
    signed = _borders(_borders(histogram, -3, rows), -2, columns)
    unsigned = signed[..., : _DIRECTIONS // 2] + signed[..., _DIRECTIONS // 2 :]
    norms = _norms(jnp.sum(unsigned**2, -1), cell, rows, columns)[..., None]
    both = jnp.concatenate([signed, unsigned], -1)
    lower, upper, right, left = np.s_[1:], np.s_[:-1], np.s_[1:], np.s_[:-1]
    corners = [(lower, right), (upper, right), (lower, left), (upper, left)]
    clipped = [jnp.minimum(both * norms[..., v, h, :], _CLIP) for v, h in corners]
    textures = [jnp.sum(values[..., :_DIRECTIONS], -1) for values in clipped]
    return jnp.concatenate(
        [0.5 * sum(clipped[1:], clipped[0]), _TEXTURE * jnp.stack(textures, -1)], -1
    )
