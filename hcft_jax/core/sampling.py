"""From an image and a position to the network's input: search window, crop, resize."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.core import resize
from hcft_jax.core.arrays import Array, namespace

CELL = 4  # pixels per cell of the response grid
PADDED = 2.8  # search window, in target sizes
PADDED_TALL = 1.4  # in height, for targets more than twice as tall as wide
PADDED_LARGE = 2.0  # for targets that fill more than a twentieth of the image
MOST_TAPS = 4  # of an axis, beyond which matrix products are faster
LEAST_GRID = 3  # cells: a symmetric Hann window of two is zero everywhere

Pair = tuple[Any, Any]  # (height, width): numbers, or traced float64


@dataclass(frozen=True)
class Geometry:
    """The sizes of one target's track, all (height, width): numbers, or traced float64."""

    image: Pair  # pixels
    window: Pair  # search window, pixels
    grid: Pair  # cells: floor(window / 4), or as set
    cell: Pair = (CELL, CELL)  # pixels


def geometry(
    target: tuple[float, float], image: tuple[int, int], grid: int | None = None
) -> Geometry:
    """Return the search window and the grid of a target (h, w) in an image (H, W).

    The window follows from the first frame and stays. ``grid`` lays so many cells per side over the
    window instead of cells of 4 px.

    Raises:
        ValueError: the target is too thin for a grid of three cells.
    """
    height, width = (int(side) for side in search_window(target, image))
    own = (height // CELL, width // CELL)
    if min(own) < LEAST_GRID:
        raise ValueError(
            f"its search window of {width} x {height} px has a grid of {own[1]} x {own[0]} cells, "
            f"and the tracker needs at least {LEAST_GRID} x {LEAST_GRID}"
        )
    if grid is None:
        return Geometry(image, (height, width), own)
    return Geometry(image, (height, width), (grid, grid), (height / grid, width / grid))


def search_window(target: Pair, image: Pair) -> Pair:
    """Return the search window's (height, width) in whole pixels, by the authors' rule.

    (github.com/jbhuang0604/CF2, commit 4b895b5)
    """
    floor = namespace(*target).floor
    vertical, horizontal = padding(target, image)
    return floor(target[0] * vertical), floor(target[1] * horizontal)


def padding(target: Pair, image: Pair) -> Pair:
    """Return the search window of a target (h, w) in an image (H, W), in the target's sizes."""
    where = namespace(*target).where
    (h, w), (height, width) = target, image
    tall = h / w > 2
    usual = where(h * w / (height * width) > 0.05, PADDED_LARGE, PADDED)
    return where(tall, PADDED_TALL, usual), where(tall, PADDED, usual)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["image", "window", "vertical", "horizontal"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Crop:
    """Crop and resize as data, for a window of at most [P, Q] pixels."""

    image: Array  # int32 [2]: (H, W) of the image without padding
    window: Array  # int32 [2]: (M, N) of the search window
    vertical: Array  # [height, P], zero from column M on
    horizontal: Array  # [width, Q], zero from column N on


def crop(geometry: Geometry, size: tuple[int, int], padded: tuple[int, int] | None = None) -> Crop:
    """Return the operator of a target's search window.

    Args:
        geometry: the target's.
        size: (height, width) of the patch.
        padded: (P, Q), pixels of the windows that share an executable. None: the window's own.

    Raises:
        ValueError: the window does not fit into that.
    """
    xp, shape = namespace(*geometry.window), padded or geometry.window
    if xp is np and any(m > p for m, p in zip(geometry.window, shape, strict=True)):
        raise ValueError(f"a search window of {geometry.window} px does not fit into {padded}")
    vertical, horizontal = (
        resize.matrix(m, n, (n, p)).astype(xp.float32)
        for m, n, p in zip(geometry.window, size, shape, strict=True)
    )
    image, window = (xp.stack(pair).astype(xp.int32) for pair in (geometry.image, geometry.window))
    return Crop(image, window, vertical, horizontal)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["store", "slot"], meta_fields=[])
@dataclass(frozen=True)
class Stored:
    """An image that lies among others, each with its pixels row by row from a slot's beginning."""

    store: jax.Array  # uint8 [N, S]: N slots of S bytes, at least 3 H W
    slot: jax.Array  # int32 []


Image = jax.Array | Stored


def patch(
    image: Image, position: jax.Array, crop: Crop, *, sparse: bool | None = None
) -> jax.Array:
    """Return the search window around a position, resized.

    Args:
        image: RGB ``[>= H, >= W, 3]`` in [0, 255], uint8 or float; pixels below and to the right
            of the H x W are padding, and are not used. Or one that is stored.
        position: (row, column), 0-based pixels, ``[2]``.
        crop: the window's operator.
        sparse: whether only the pixels that a value of the patch depends on are read for it, two
            or a few an axis, instead of two matrix products. None: as is fastest on the device.

    Returns:
        ``[height, width, 3]`` in [0, 255], of the operator's dtype (float32). Pixels outside the
        image repeat its edge and the resizing is the authors' (``hcft_jax.core.resize``).
    """
    rows, columns = (
        jnp.clip(
            jnp.floor(position[axis]).astype(jnp.int32)
            + jnp.arange(1, operator.shape[1] + 1, dtype=jnp.int32)
            - crop.window[axis] // 2,
            0,
            crop.image[axis] - 1,
        )
        for axis, operator in enumerate((crop.vertical, crop.horizontal))
    )
    pixels = functools.partial(_pixels, image, crop.image[1])
    count = max(_taps(operator.shape) for operator in (crop.vertical, crop.horizontal))
    if sparse is None:
        sparse = jax.default_backend() != "cpu" and count <= MOST_TAPS
    if sparse:
        return _sparse(pixels, (rows, columns), crop)
    return jnp.einsum(
        "iy,yxc,jx->ijc",
        crop.vertical,
        pixels(rows, columns).astype(crop.vertical.dtype),
        crop.horizontal,
        precision=jax.lax.Precision.HIGHEST,
    )


def _pixels(image: Image, width: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Return the pixels at each of the rows and columns, [rows, columns, 3]."""
    if not isinstance(image, Stored):
        return image[rows][:, columns]
    first = 3 * (rows[:, None] * width + columns[None, :])
    return image.store[image.slot, first[:, :, None] + jnp.arange(3, dtype=jnp.int32)[None, None]]


def _sparse(
    pixels: Callable[[jax.Array, jax.Array], jax.Array], places: Pair, crop: Crop
) -> jax.Array:
    """Return the patch as a sum over pairs of taps: one gather each, which compilers fuse."""
    (above, vertical), (left, horizontal) = (
        _tapped(operator, place)
        for operator, place in zip((crop.vertical, crop.horizontal), places, strict=True)
    )
    terms = (
        pixels(row, column).astype(weight.dtype) * (weight[:, None] * other[None, :])[:, :, None]
        for row, weight in zip(above, vertical, strict=True)
        for column, other in zip(left, horizontal, strict=True)
    )
    return functools.reduce(jnp.add, terms)


def _tapped(operator: Array, places: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the pixels that each output depends on, and their weights: [taps, outputs] each."""
    operator = jnp.asarray(operator)
    first = jnp.argmax(operator > 0, axis=1).astype(jnp.int32)
    count = _taps(operator.shape)
    taps = first[None, :] + jnp.arange(count, dtype=jnp.int32)[:, None]
    inside = taps < operator.shape[1]
    taps = jnp.where(inside, taps, 0)
    weights = jnp.take_along_axis(operator, taps.T, axis=1).T
    return places[taps], jnp.where(inside, weights, 0.0)


def _taps(shape: tuple[int, ...]) -> int:
    """Return the most pixels that an output depends on: two where it grows, else what it covers."""
    return max(2, -(-shape[1] // shape[0]) + 1)
