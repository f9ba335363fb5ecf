"""Eq. 5: from the layers' response maps to one displacement."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy.typing as npt

Grid = tuple[int, int] | jax.Array | npt.NDArray[Any]  # (gh, gw) in cells

PEAK = 11  # side in cells of the square around the maximum that is no sidelobe


def locate(response: jax.Array) -> jax.Array:
    """Return (row, column) of the maximum of ``[gh, gw]``, int32; of equal ones MATLAB's first.

    MATLAB stores columns one after the other, so the leftmost column wins, then the topmost row.
    """
    index = jnp.argmax(response.T)
    return jnp.stack([index % response.shape[0], index // response.shape[0]]).astype(jnp.int32)


def normalized(response: jax.Array, grid: Grid) -> jax.Array:
    """Return responses, each divided by its own maximum.

    Args:
        response: ``[..., gh, gw]``, or larger, padded.
        grid: (gh, gw); the maximum is sought inside it. Where it is not above 0, nothing is found,
            and the response stays.
    """
    where = jnp.broadcast_to(inside(response.shape[-2:], grid), response.shape)
    most = jnp.max(jnp.where(where, response, -jnp.inf), axis=(-2, -1), keepdims=True)
    return response / jnp.where(most > 0, most, 1.0)


def combine(
    responses: Sequence[jax.Array],
    gamma: Sequence[jax.Array | float],
    radius: jax.Array | float | None,
    grid: Grid,
) -> tuple[jax.Array, jax.Array]:
    """Add weighted responses layer by layer, deepest first (Eq. 5).

    Args:
        responses: maps ``[gh, gw]``, deepest layer first; or larger, padded maps.
        gamma: their weights.
        radius: cells; the maximum of each sum is sought within this L1 distance of the coarser
            one's (Eq. 5). None: only the maximum of the whole sum counts.
        grid: (gh, gw); no maximum is sought outside it.

    Returns:
        The weighted sum of all the maps ``[gh, gw]``, and (row, column) of its admitted maximum.
    """
    total = gamma[0] * responses[0]
    cells = inside(total.shape, grid)
    peak = locate(jnp.where(cells, total, -jnp.inf))
    for response, weight in zip(responses[1:], gamma[1:], strict=True):
        total = total + weight * response
        admitted = cells
        if radius is not None:
            admitted = cells & (distance(total.shape, peak, 1) <= radius)
        peak = locate(jnp.where(admitted, total, -jnp.inf))
    return total, peak


def expect(
    response: jax.Array, peak: jax.Array, temperature: jax.Array | float, grid: Grid
) -> jax.Array:
    """Return where the target is expected around a peak, (row, column) in cells: differentiable.

    The mean of the cells within ``PEAK // 2`` of the peak each way, by the softmax of
    response / temperature: the colder, the closer to the peak itself. (The peak is where the mean
    is taken; no gradient flows through the choice.)

    Args:
        response: ``[gh, gw]``, or larger, padded.
        peak: (row, column).
        temperature: > 0, in the response's units.
        grid: (gh, gw); no cell outside it counts.
    """
    near = inside(response.shape, grid) & (distance(response.shape, peak, jnp.inf) <= PEAK // 2)
    weights = jax.nn.softmax(jnp.where(near, response / temperature, -jnp.inf), axis=(0, 1))
    rows, columns = (jnp.arange(size).astype(response.dtype) for size in response.shape)
    return jnp.stack([jnp.sum(weights.sum(1) * rows), jnp.sum(weights.sum(0) * columns)])


def peak_to_sidelobe(response: jax.Array, peak: jax.Array, grid: Grid) -> jax.Array:
    """Return (maximum - mean) / deviation, the latter two outside 11 x 11 cells around the peak.

    From Bolme et al., CVPR 2010, section 3.5. A scalar; 0 where these cells leave no sidelobe.
    """
    outside = inside(response.shape, grid) & (distance(response.shape, peak, jnp.inf) > PEAK // 2)
    outside = outside.astype(response.dtype)
    count = jnp.maximum(jnp.sum(outside), 1.0)
    mean = jnp.sum(outside * response) / count
    variance = jnp.sum(outside * jnp.square(response - mean)) / count
    ratio = (response[peak[0], peak[1]] - mean) / jnp.sqrt(jnp.where(variance > 0, variance, 1.0))
    return jnp.where(variance > 0, ratio, 0.0)


def inside(shape: tuple[int, ...], grid: Grid) -> jax.Array:
    """Return which cells of a padded map ``[gh, gw]``, or larger, belong to the grid."""
    rows, columns = (jnp.arange(n, dtype=jnp.int32) < g for n, g in zip(shape, grid, strict=True))
    return rows[:, None] & columns[None, :]


def distance(shape: tuple[int, ...], centre: jax.Array, norm: float) -> jax.Array:
    """Return the distance of every cell of a map from one.

    Args:
        shape: (gh, gw) of the map.
        centre: (row, column).
        norm: 1 for the sum of both axes; else the larger of them.

    Returns:
        ``[gh, gw]`` in cells.
    """
    rows, columns = (
        jnp.abs(jnp.arange(size, dtype=jnp.int32) - c).astype(
            float
        )  # float32, or float64 where that is on
        for size, c in zip(shape, centre, strict=True)
    )
    rows, columns = rows[:, None], columns[None, :]
    return rows + columns if norm == 1 else jnp.maximum(rows, columns)
