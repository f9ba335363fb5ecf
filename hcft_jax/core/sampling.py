"""From an image and a position to the network's input: search window, crop, resize."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones.handmade import brightness
from hcft_jax.core import resize
from hcft_jax.core.arrays import Array, namespace

CELL = 4  # pixels per cell of the response grid
PADDED = 2.8  # search window, in target sizes
PADDED_TALL = 1.4  # in height, for targets more than twice as tall as wide
PADDED_LARGE = 2.0  # for targets that fill more than a twentieth of the image
MOST_TAPS = 4  # of an axis, beyond which matrix products are faster
PLAIN = 2.0  # grey levels: a video's compression changes a plain colour by less
LEAST_GRID = 3  # cells: a symmetric Hann window of two is zero everywhere

Pair = tuple[Any, Any]  # (height, width): numbers, or traced float64


@dataclass(frozen=True)
class Layout:
    """What a configuration says about sizes: the fields are those of ``TrackerConfig``."""

    grid: int | None = None  # cells per side of every target's grid; None: as many as fit
    padding: float | None = None  # search window, in target sizes; None: the authors' rule
    halved_from: float | None = None  # sqrt(h w) of a target from which images are halved
    cell: int = CELL  # pixels
    own: bool = False  # whether features are made of the window's own pixels, not of a square
    margin: float | None = None  # ``scale_margin``; None: the target's size is not followed


@dataclass(frozen=True)
class Geometry:
    """The sizes of one target's track, all (height, width): numbers, or traced float64."""

    image: Pair  # pixels
    window: Pair  # search window, pixels
    grid: Pair  # cells: floor(window / 4), or as set
    cell: Pair = (CELL, CELL)  # pixels
    patch: Pair | None = None  # pixels that features are made of; None: a network's square
    sample: Pair = (0, 0)  # pixels of one sample of the target's scales, where they are followed


PAPER = Layout()


def geometry(target: Pair, image: Pair, layout: Layout = PAPER) -> Geometry:
    """Return the sizes of a target (h, w) in an image (H, W), but for that of its samples.

    The window follows from the first frame and stays.

    Args:
        target: (h, w) in pixels: numbers, or traced float64.
        image: (H, W) in pixels.
        layout: the configuration's.

    Raises:
        ValueError: the target is too thin for a grid of three cells (of traced sizes nothing can be
            checked).
    """
    xp = namespace(*target)
    zoom: Any = 1
    if layout.halved_from is not None:
        zoom = xp.where(target[0] * target[1] >= layout.halved_from**2, 2, 1)
    shrunk = (
        target
        if layout.halved_from is None
        else (xp.floor(target[0] / zoom), xp.floor(target[1] / zoom))
    )
    patch = search_window(shrunk, image, layout.padding)
    window: Pair = (patch[0] * zoom, patch[1] * zoom)
    grid: Pair = (xp.floor(patch[0] / layout.cell), xp.floor(patch[1] / layout.cell))
    cell: Pair = (layout.cell * zoom,) * 2
    if xp is np:
        window, patch, grid = ((int(m), int(n)) for m, n in (window, patch, grid))
        if min(grid) < LEAST_GRID:
            raise ValueError(
                f"its search window of {window[1]} x {window[0]} px has a grid of {grid[1]} x "
                f"{grid[0]} cells, and the tracker needs at least {LEAST_GRID} x {LEAST_GRID}"
            )
    if layout.grid is not None:
        cell = window[0] / layout.grid, window[1] / layout.grid
        grid = layout.grid, layout.grid
    return Geometry(image, window, grid, cell, patch if layout.own else None)


def search_window(target: Pair, image: Pair, times: float | None = None) -> Pair:
    """Return the search window's (height, width) in whole pixels, by the authors' rule.

    (github.com/jbhuang0604/CF2, commit 4b895b5)

    Args:
        target: (h, w) in pixels.
        image: (H, W) in pixels.
        times: how many target sizes it has instead.
    """
    floor = namespace(*target).floor
    vertical, horizontal = padding(target, image) if times is None else (times, times)
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
    data_fields=["image", "window", "size", "vertical", "horizontal"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Crop:
    """Crop and resize as data, for a window of at most [P, Q] pixels."""

    image: Array  # int32 [2]: (H, W) of the image without padding
    window: Array  # int32 [2]: (M, N) of the search window
    size: Array  # int32 [2]: (height, width) of the patch without padding
    vertical: Array  # [height, P], zero from column M on
    horizontal: Array  # [width, Q], zero from column N on


def crop(geometry: Geometry, size: tuple[int, int], padded: tuple[int, int] | None = None) -> Crop:
    """Return the operator of a target's search window.

    Args:
        geometry: the target's.
        size: (height, width) of the patch, with padding where the target has a size of its own.
        padded: (P, Q), pixels of the windows that share an executable. None: the window's own.

    Raises:
        ValueError: the window does not fit into that.
    """
    xp, shape = namespace(*geometry.window), padded or geometry.window
    if xp is np and any(m > p for m, p in zip(geometry.window, shape, strict=True)):
        raise ValueError(f"a search window of {geometry.window} px does not fit into {padded}")
    patch = geometry.patch or size
    vertical, horizontal = (
        resize.matrix(m, n, (o, p)).astype(xp.float32)
        for m, n, o, p in zip(geometry.window, patch, size, shape, strict=True)
    )
    image, window, own = (
        xp.stack([xp.asarray(side) for side in pair]).astype(xp.int32)
        for pair in (geometry.image, geometry.window, patch)
    )
    return Crop(image, window, own, vertical, horizontal)


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["store", "slot"], meta_fields=["shape"]
)
@dataclass(frozen=True)
class Stored:
    """An image that lies among others, each with its pixels row by row from a slot's beginning."""

    store: jax.Array  # uint8 [N, S]: N slots of S bytes, at least 3 H W
    slot: jax.Array  # int32 []
    shape: tuple[int, int]  # static: (height, width) of the largest that there may be


Image = jax.Array | Stored


def grey(image: Image, extent: Array) -> jax.Array:
    """Return an image's brightness as MATLAB's ``rgb2gray`` has it, rounded to 8 bits.

    Args:
        image: as for ``patch``.
        extent: int32 ``[2]``, (H, W) of the image without padding.

    Returns:
        ``[>= H, >= W]`` in [0, 255], float32, or float64 of an image of that; the padding's values
        mean nothing.
    """
    pixels = _whole(image, extent)
    return brightness(pixels.astype(jnp.float64 if pixels.dtype == jnp.float64 else jnp.float32))


def _whole(image: Image, extent: Array) -> jax.Array:
    """Return the pixels of an image, [>= H, >= W, 3]."""
    if not isinstance(image, Stored):
        return image
    rows, columns = (
        jnp.minimum(jnp.arange(n, dtype=jnp.int32), last - 1)
        for n, last in zip(image.shape, jnp.asarray(extent), strict=True)
    )
    return _pixels(image, extent[1], rows, columns)


class View(NamedTuple):
    """Where a search window lies, and how large it is."""

    position: jax.Array  # [2] (row, column) of its centre, 0-based pixels
    factor: jax.Array | None = None  # of its size, []; None: always that of the first frame


def patch(image: Image, view: View, crop: Crop, *, sparse: bool | None = None) -> jax.Array:
    """Return a search window, resized.

    Args:
        image: RGB ``[>= H, >= W, 3]`` in [0, 255], uint8 or float; pixels below and to the right
            of the H x W are padding, and are not used. Or one that is stored.
        view: where the window lies. With a factor the window is ``floor(factor window)`` pixels.
        crop: the window's operator.
        sparse: whether only the pixels that a value of the patch depends on are read for it, two
            or a few an axis, instead of two matrix products. None: as is fastest on the device.

    Returns:
        ``[height, width, 3]`` in [0, 255], of the operator's dtype (float32). Pixels outside the
        image repeat its edge and the resizing is the authors' (``hcft_jax.core.resize``).
    """
    position = view.position
    if view.factor is not None:
        return _scaled(image, position, view.factor, crop)
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


def plain(image: Image, view: View, crop: Crop) -> jax.Array:
    """Return whether a search window is of one colour: no channel varies by ``PLAIN``; bool [].

    Args:
        image: as for ``patch``; where that is called beside this, it is done once.
        view: as for ``patch``.
        crop: the window's operator.
    """
    return of_one_colour(patch(image, view, crop), crop.size)


def of_one_colour(pixels: jax.Array, size: Array) -> jax.Array:
    """Return whether a patch is of one colour: no channel varies by ``PLAIN``; bool [].

    Args:
        pixels: ``[height, width, 3]`` in [0, 255].
        size: int32 ``[2]``, (height, width) without padding.
    """
    rows, columns = (
        jnp.arange(n, dtype=jnp.int32) < own
        for n, own in zip(pixels.shape, jnp.asarray(size), strict=False)
    )
    inside = (rows[:, None] & columns[None, :])[:, :, None]
    most = jnp.max(jnp.where(inside, pixels, -jnp.inf), axis=(0, 1))
    least = jnp.min(jnp.where(inside, pixels, jnp.inf), axis=(0, 1))
    return jnp.all(most - least < PLAIN)


def _scaled(image: Image, position: jax.Array, factor: jax.Array, crop: Crop) -> jax.Array:
    """Return the search window of another size: its operators follow from the factor."""
    pixels = _whole(image, crop.image)
    dtype = jnp.asarray(crop.vertical).dtype
    operators = []
    for axis, operator in enumerate((crop.vertical, crop.horizontal)):
        window = jnp.asarray(crop.window)[axis].astype(dtype) * factor.astype(dtype)
        window = jnp.maximum(jnp.floor(window), 1.0)
        size = crop.size[axis]
        first = jnp.floor(position[axis]) + 1.0 - jnp.floor(window / 2)
        shape = operator.shape[0], pixels.shape[axis]
        operators.append(resize.cut(first, window, crop.image[axis], size, shape))
    return jnp.einsum(
        "iy,yxc,jx->ijc",
        operators[0],
        pixels.astype(dtype),
        operators[1],
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
