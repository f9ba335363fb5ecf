"""What the first frame fixes about a track: the target's size and the operators that follow.

The operators are made on the host, in NumPy, and are data for the tracker: targets of all sizes
share an executable if they are in the same ``Bucket``, which pads images, windows and grids.
"""

import dataclasses
import functools
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.core import sampling, scale, spectrum
from hcft_jax.core.arrays import Array, namespace
from hcft_jax.core.sampling import CELL, PAPER, Crop, Geometry, Layout, Pair
from hcft_jax.core.scale import Scales
from hcft_jax.core.spectrum import FFT, Transform
from hcft_jax.util import arguments
from hcft_jax.util.errors import InputError

_SAMPLES = (0, 16, 24, 32, 48, scale.LONGEST)  # pixels of a side
LEAST_RUNG = 32  # cells: below that a smaller grid saves next to nothing of a frame
SPECTRAL = {
    "float32": jax.lax.Precision.HIGHEST,
    "bfloat16x3": jax.lax.Precision.HIGHEST,
    "tf32": jax.lax.Precision.HIGH,
    "bfloat16": jax.lax.Precision.HIGH,
}
"""The precision of the products with features and spectra, by the network's: at least TF32's."""


@dataclass(frozen=True)
class Bucket:
    """Static sizes, (height, width), that hold those of several targets."""

    image: tuple[int, int]  # pixels
    grid: tuple[int, int]  # cells
    window: tuple[int, int] = (0, 0)  # search window, pixels; (0, 0): the largest of such a grid
    patch: tuple[int, int] | None = None  # pixels that features are made of; None: a square
    sample: tuple[int, int] = (0, 0)  # of a target's scales, pixels; (0, 0): none follows them

    def __post_init__(self) -> None:
        if self.window == (0, 0):
            largest = (CELL * self.grid[0] + CELL - 1, CELL * self.grid[1] + CELL - 1)
            object.__setattr__(self, "window", largest)

    def holds(self, geometry: Geometry) -> bool:
        """Return whether a target fits."""
        return (self.patch is None) == (geometry.patch is None) and all(
            own <= most
            for name in ("image", "grid", "window", "patch", "sample")
            for own, most in zip(
                getattr(geometry, name) or (), getattr(self, name) or (), strict=True
            )
        )


def buckets(
    geometries: Collection[Geometry], weights: Collection[float], most: int
) -> list[Bucket]:
    """Return at most ``most`` buckets with the least padding for all targets, smallest first.

    Args:
        geometries: of the targets, at least one.
        weights: of the targets, such as their numbers of frames: each frame pays for the padding.
        most: number of buckets, each of which is compiled anew.
    """
    image, sample = (_largest([getattr(g, n) for g in geometries]) for n in ("image", "sample"))
    total: dict[tuple[int, int], float] = {}
    of_grid: dict[tuple[int, int], list[Geometry]] = {}
    for geometry, weight in zip(geometries, weights, strict=True):
        grid = geometry.grid
        total[grid] = total.get(grid, 0.0) + weight
        of_grid.setdefault(grid, []).append(geometry)
    grids = sorted(total, key=lambda grid: grid[0] * grid[1])
    # the cheapest way to divide the first n grids, in the order of their area
    ways: list[tuple[float, tuple[Bucket, ...]]] = [(0.0, ())]
    ways += [(math.inf, ())] * len(grids)
    for _ in range(most):
        divided = [ways[0]]
        for last in range(1, len(grids) + 1):
            best, size, weight = ways[last], (0, 0), 0.0
            for first in reversed(range(last)):
                size = _largest([size, grids[first]])
                weight += total[grids[first]]
                cost = ways[first][0] + weight * size[0] * size[1]
                if cost < best[0]:
                    own = [g for grid in grids[first:last] for g in of_grid[grid]]
                    window, patches = _largest([g.window for g in own]), [g.patch for g in own]
                    patch = _largest([p for p in patches if p]) if any(patches) else None
                    best = cost, (*ways[first][1], Bucket(image, size, window, patch, sample))
            divided.append(best)
        ways = divided
    return sorted(ways[-1][1], key=lambda bucket: bucket.grid[0] * bucket.grid[1])


def common_bucket(geometries: Collection[Geometry]) -> Bucket:
    """Return a bucket that holds all targets, one of few, for sizes that are not known in advance.

    The sides of its grid, and those of its window in cells, are on a ladder of 32, 48, 64, 96, 128,
    ... (``rung``), and the longer one is at most twice the shorter one. So there are at most five
    buckets for each length of the longer side. A side of more than 32 cells grows by less than a
    half, if it is not less than half the other one. Images are only padded to the largest of them.

    The first boxes of the 100 sequences of OTB-100, in images taken as 640 x 480 or 320 x 240 px,
    have 16 buckets, of 1.6 times their own cells (median).

    Args:
        geometries: of the targets, at least one.
    """
    (own,) = buckets(geometries, [1.0] * len(geometries), 1)
    height, width = (next(n for n in _SAMPLES if n >= side) for side in own.sample)
    sample, grid = (height, width), _rounded_up(own.grid)
    if own.patch is None:
        cells = own.window[0] // CELL, own.window[1] // CELL
        window = Bucket(own.image, _rounded_up(cells)).window
        return Bucket(own.image, grid, window, None, sample)
    cell, zoom = (max(n) for n in zip(*(_own(g) for g in geometries), strict=True))
    patch = cell * grid[0] + cell - 1, cell * grid[1] + cell - 1
    return Bucket(own.image, grid, (zoom * patch[0], zoom * patch[1]), patch, sample)


def _own(geometry: Geometry) -> tuple[int, int]:
    """Return a cell's side in pixels of the patch, and how many pixels of the image these are."""
    assert geometry.patch is not None
    zoom = geometry.window[0] // geometry.patch[0]
    return geometry.cell[0] // zoom, zoom


def rung(cells: float) -> int:
    """Return the least of 32, 48, 64, 96, 128, 192, ... that is not below a number of cells."""
    size = LEAST_RUNG
    while size < cells:
        # from 2^k to 3 x 2^(k - 1), and from there to 2^(k + 1)
        size = size * 4 // 3 if size % 3 == 0 else size * 3 // 2
    return size


def _rounded_up(cells: tuple[int, int]) -> tuple[int, int]:
    """Return the least shape of ``common_bucket`` that holds (height, width) in cells."""
    longer = rung(max(cells))
    return rung(max(cells[0], longer / 2)), rung(max(cells[1], longer / 2))


def _largest(sizes: Collection[tuple[int, int]]) -> tuple[int, int]:
    """Return the (height, width) that holds all of them."""
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["size", "cell", "crop", "transform", "scales"],
    meta_fields=["image"],
)
@dataclass(frozen=True)
class Target:
    """The operators of a track, which stay the same in all frames."""

    size: Array  # float32 [2]: (h, w) of the target in pixels
    cell: Array  # float32 [2]: (height, width) of a cell in pixels
    crop: Crop
    transform: Transform
    image: tuple[int, int]  # static: (height, width) of the images, with padding
    scales: Scales | None = None  # None: the target keeps its size


def place(
    box: npt.ArrayLike,
    image: tuple[int, int],
    layout: Layout = PAPER,
) -> tuple[Geometry, Any]:
    """Return the sizes that follow from a first box, and the position of its centre.

    Args:
        box: (x, y, w, h), 0-based pixels.
        image: (H, W) in pixels.
        layout: the configuration's.

    Raises:
        InputError: the box cannot be tracked (see ``checked_box``) or is too thin to.
    """
    x, y, w, h = checked_box(box, image)
    try:
        geometry = sampling.geometry((h, w), image, layout)
    except ValueError as error:
        raise InputError(f"first box: {w:g} x {h:g} px is too thin to track: {error}") from None
    if layout.margin is not None:
        height, width = scale.sample_size((h, w), layout.margin)
        geometry = dataclasses.replace(geometry, sample=(int(height), int(width)))
    return geometry, centre((x, y, w, h))


def centre(box: tuple[Any, Any, Any, Any]) -> Array:
    """Return the centre (row, column) of a box (x, y, w, h) as the authors' program has it.

    Half of each size is rounded down; float32 ``[2]``.
    """
    x, y, w, h = box
    xp = namespace(x)
    return xp.stack([y + xp.floor(h / 2), x + xp.floor(w / 2)]).astype(xp.float32)


def fixed(
    geometry: Geometry,
    size: Pair,
    patch: tuple[int, int] | None,
    maps: Collection[tuple[int, int]],
    *,
    dft: str = "matmul",
    bucket: Bucket | None = None,
    precision: str = "float32",
    margin: float | None = None,
) -> Target:
    """Return the operators of a track, in NumPy, or traced where the geometry is.

    Of traced sizes nothing can be checked: a target beyond the bucket has useless operators.

    Args:
        geometry: of the target.
        size: (h, w) of the target in pixels.
        patch: (height, width) of the network's input; None: the geometry's own.
        maps: (height, width) of the network's maps; without a network they have the grid's cells.
        dft: as in ``TrackerConfig``.
        bucket: the sizes to pad to; needed for traced sizes. None: no padding.
        precision: as in ``TrackerConfig``; that of the spectral products follows (``SPECTRAL``).
        margin: as in ``TrackerConfig``; None: the target's size is not followed.

    Raises:
        ValueError: the target does not fit into the bucket, or ``dft="fft"`` with a bucket.
    """
    xp = namespace(*geometry.window)
    if bucket is not None and (dft == "fft" or (xp is np and not bucket.holds(geometry))):
        raise ValueError(f"{geometry} cannot be put into {bucket} with dft={dft!r}")
    transform: Transform = FFT(geometry.grid)
    if dft != "fft":
        padded = bucket.grid if bucket else None
        own = geometry.patch is not None
        transform = spectrum.matrices(
            geometry.grid,
            [padded or geometry.grid] if own else maps,
            padded,
            precision=SPECTRAL[precision],
            own=own,
        )
    if geometry.patch is not None:
        patch = (bucket.patch if bucket else None) or geometry.patch
    assert patch is not None
    scales = None
    if margin is not None:
        sample = bucket.sample if bucket else geometry.sample
        scales = scale.scales(size, geometry.image, margin, sample)
    return Target(
        size=xp.stack(size).astype(xp.float32),
        cell=xp.stack([xp.asarray(side, xp.float64) for side in geometry.cell]).astype(xp.float32),
        crop=sampling.crop(geometry, patch, bucket.window if bucket else None),
        transform=transform,
        image=bucket.image if bucket else geometry.image,
        scales=scales,
    )


def placed_and_fixed(
    box: jax.Array,
    image: jax.Array,
    patch: tuple[int, int] | None,
    maps: Collection[tuple[int, int]],
    bucket: Bucket,
    layout: Layout = PAPER,
    precision: str = "float32",
) -> tuple[Target, Any]:
    """Return what a traced box fixes, and its position: ``place`` and ``fixed`` in one program.

    Nothing is checked: a target of a larger window than the bucket's has a ``transform.grid``
    beyond it, and its operators are useless. To be traced under ``jax.enable_x64``.

    Args:
        box: (x, y, w, h), 0-based pixels, ``[4]``.
        image: (H, W), ``[2]``.
        patch: as for ``fixed``.
        maps: as for ``fixed``.
        bucket: the sizes to pad to.
        layout: the configuration's.
        precision: as for ``fixed``.
    """
    x, y, w, h = box.astype(jnp.float64)
    height, width = image.astype(jnp.float64)
    geometry = sampling.geometry((h, w), (height, width), layout)
    target = fixed(
        geometry, (h, w), patch, maps, bucket=bucket, precision=precision, margin=layout.margin
    )
    return target, centre((x, y, w, h))


def _shown(values: npt.NDArray[np.float64]) -> str:
    """Return numbers as a message can show them, in one line."""
    if values.size > 8:
        return f"an array of shape {values.shape}"
    return " ".join(np.array2string(values).split())


def checked_box(box: npt.ArrayLike, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the first box (x, y, w, h) as floats if it can be tracked in an image (height, width).

    Raises:
        InputError: it cannot be; the message shows the problem, the box and the image's size.
    """
    values = arguments.numbers("first box", box).astype(np.float64)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise InputError(f"first box: {_shown(values)} is not four finite numbers")
    x, y, w, h = (float(v) for v in values)
    height, width = size
    shown = f"first box: {w:g} x {h:g} px at ({x:g}, {y:g})"
    if w <= 0 or h <= 0:
        raise InputError(f"{shown} is empty: width and height must be above zero")
    if x + w <= 0 or y + h <= 0 or x >= width or y >= height:
        raise InputError(f"{shown} lies outside the image of {width} x {height} px")
    if w > width or h > height:
        raise InputError(f"{shown} is larger than the image of {width} x {height} px")
    return x, y, w, h


def beyond(box: npt.ArrayLike, size: tuple[int, int]) -> str:
    """Return what is odd about a first box (x, y, w, h) that leaves an image (height, width).

    Such a box is tracked, but a second corner that was taken for a size gives one, too.

    Args:
        box: (x, y, w, h), 0-based pixels, as ``checked_box`` accepts it.
        size: of the image.

    Returns:
        A line for the user; empty for a box within the image, or one pixel beyond it, as where
        pixels are counted from 1.
    """
    x, y, w, h = (float(v) for v in arguments.numbers("first box", box))
    height, width = size
    if min(x, y) >= -1 and x + w <= width + 1 and y + h <= height + 1:
        return ""
    line = f"{w:g} x {h:g} px at ({x:g}, {y:g}) leaves the image of {width} x {height} px"
    if 0 <= x < w <= width and 0 <= y < h <= height:
        line += f"; if these are two corners, the box is {x:g},{y:g},{w - x:g},{h - y:g}"
    return line
