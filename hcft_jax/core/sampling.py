"""From an image and a position to the network's input: search window, crop, resize."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.core import resize

CELL = 4  # pixels a cell of the response grid
PADDED = 2.8  # search window, in target sizes
PADDED_TALL = 1.4  # in height, for targets more than twice as tall as wide
PADDED_LARGE = 2.0  # for targets that fill more than a twentieth of the image
LEAST_GRID = 3  # cells: a symmetric Hann window of two is zero everywhere

Array = jax.Array | npt.NDArray[Any]  # built on the host, traced in the tracker


@dataclass(frozen=True)
class Geometry:
    """The static sizes of one target's track, all (height, width)."""

    image: tuple[int, int]  # pixels
    window: tuple[int, int]  # search window, pixels
    grid: tuple[int, int]  # cells: floor(window / 4), or as set
    cell: tuple[float, float] = (CELL, CELL)  # pixels


def geometry(
    target: tuple[float, float], image: tuple[int, int], grid: int | None = None
) -> Geometry:
    """Search window and grid of a target (h, w) in an image (H, W), by the authors' rule.

    The window follows from the first frame and stays (github.com/jbhuang0604/CF2, commit 4b895b5).
    ``grid`` lays so many cells a side over the window instead of cells of 4 px.

    Raises:
        ValueError: the target is too thin for a grid of three cells.
    """
    h, w = target
    factors = padding(target, image)
    window = (math.floor(h * factors[0]), math.floor(w * factors[1]))
    own = (window[0] // CELL, window[1] // CELL)
    if min(own) < LEAST_GRID:
        raise ValueError(
            f"its search window of {window[1]} x {window[0]} px has a grid of {own[1]} x "
            f"{own[0]} cells, and the tracker needs at least {LEAST_GRID} x {LEAST_GRID}"
        )
    if grid is None:
        return Geometry(image, window, own)
    return Geometry(image, window, (grid, grid), (window[0] / grid, window[1] / grid))


def padding(target: tuple[float, float], image: tuple[int, int]) -> tuple[float, float]:
    """The search window's height and width, in those of a target (h, w) in an image (H, W)."""
    (h, w), (height, width) = target, image
    if h / w > 2:
        return PADDED_TALL, PADDED
    if h * w / (height * width) > 0.05:
        return PADDED_LARGE, PADDED_LARGE
    return PADDED, PADDED


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
    """The operator of a target's search window, in NumPy.

    Args:
        geometry: the target's.
        size: (height, width) of the patch.
        padded: (P, Q), pixels of the windows that share an executable. None: the window's own.

    Raises:
        ValueError: the window does not fit into that.
    """
    operators = []
    for m, n, p in zip(geometry.window, size, padded or geometry.window, strict=True):
        if m > p:
            raise ValueError(f"a search window of {geometry.window} px does not fit into {padded}")
        operators.append(np.pad(resize.matrix(m, n), ((0, 0), (0, p - m))).astype(np.float32))
    return Crop(np.array(geometry.image, np.int32), np.array(geometry.window, np.int32), *operators)


def patch(image: jax.Array, position: jax.Array, crop: Crop) -> jax.Array:
    """The search window around a position, resized.

    Args:
        image: RGB ``[>= H, >= W, 3]`` in [0, 255], uint8 or float; what is below and to the right
            of the H x W pixels is not looked at.
        position: (row, column), 0-based pixels, ``[2]``.
        crop: the window's operator.

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
    cropped = image[rows][:, columns].astype(crop.vertical.dtype)
    return jnp.einsum(
        "iy,yxc,jx->ijc",
        crop.vertical,
        cropped,
        crop.horizontal,
        precision=jax.lax.Precision.HIGHEST,
    )
