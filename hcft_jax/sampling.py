"""From an image and a position to the network's input: search window, crop, resize."""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax import resize

CELL = 4  # pixels a cell of the response grid
_PADDED = 2.8  # search window, in target sizes
_PADDED_TALL = 1.4  # in height, for targets more than twice as tall as wide
_PADDED_LARGE = 2.0  # for targets that fill more than a twentieth of the image
_LEAST_GRID = 3  # cells: a symmetric Hann window of two is zero everywhere


@dataclass(frozen=True)
class Geometry:
    """The static sizes of one target's track, all (height, width)."""

    image: tuple[int, int]  # pixels
    window: tuple[int, int]  # search window, pixels
    grid: tuple[int, int]  # cells: floor(window / 4)


def geometry(target: tuple[float, float], image: tuple[int, int]) -> Geometry:
    """Search window and grid of a target (h, w) in an image (H, W), by the authors' rule.

    The window follows from the first frame and stays (github.com/jbhuang0604/CF2, commit 4b895b5).

    Raises:
        ValueError: the target is too thin for a grid of three cells.
    """
    (h, w), (height, width) = target, image
    if h / w > 2:
        factors = (_PADDED_TALL, _PADDED)
    elif h * w / (height * width) > 0.05:
        factors = (_PADDED_LARGE, _PADDED_LARGE)
    else:
        factors = (_PADDED, _PADDED)
    window = (math.floor(h * factors[0]), math.floor(w * factors[1]))
    grid = (window[0] // CELL, window[1] // CELL)
    if min(grid) < _LEAST_GRID:
        raise ValueError(
            f"its search window of {window[1]} x {window[0]} px has a grid of {grid[1]} x "
            f"{grid[0]} cells, and the tracker needs at least {_LEAST_GRID} x {_LEAST_GRID}"
        )
    return Geometry(image, window, grid)


def patch(
    image: jax.Array, position: jax.Array, window: tuple[int, int], size: tuple[int, int]
) -> jax.Array:
    """The search window around a position, resized.

    Args:
        image: RGB ``[H, W, 3]`` in [0, 255], uint8 or float.
        position: (row, column), 0-based pixels, ``[2]``.
        window: (M, N) pixels.
        size: (height, width) of the result.

    Returns:
        float32 ``[*size, 3]`` in [0, 255]. Pixels outside the image repeat its edge
        and the resizing is the authors' (``hcft_jax.resize``).
    """
    rows, columns = (
        jnp.clip(
            jnp.floor(position[axis]).astype(jnp.int32)
            + jnp.arange(1 - window[axis] // 2, window[axis] - window[axis] // 2 + 1),
            0,
            image.shape[axis] - 1,
        )
        for axis in (0, 1)
    )
    crop = image[rows][:, columns].astype(jnp.float32)
    vertical, horizontal = (
        resize.matrix(m, n).astype(np.float32) for m, n in zip(window, size, strict=True)
    )
    return jnp.einsum(
        "iy,yxc,jx->ijc", vertical, crop, horizontal, precision=jax.lax.Precision.HIGHEST
    )
