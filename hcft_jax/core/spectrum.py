"""Eq. 1 and the transform of Eq. 2: feature maps to windowed spectra on the response grid.

Spectra are real arrays whose first axis holds the real and the imaginary part, and of the mirrored
halves of a real signal's spectrum only the left one is kept: ``[2, gh, gw // 2 + 1, ...]``.
(Accelerators multiply real matrices fastest, and no complex type then meets a real one.)

There are two transforms with the same methods. ``FFT`` takes one step after the other on a static
grid. ``Matrices`` holds the same linear operators as matrices of small feature maps: they are data,
so that targets of different sizes share an executable and can be batched; on a larger, padded grid
they are zero outside the target's own.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.core import resize
from hcft_jax.core.arrays import Array, index, namespace, product
from hcft_jax.core.sampling import Pair

_HIGHEST = jax.lax.Precision.HIGHEST
FAR = 1e6  # cells: where the label is zero, and its derivative too

Window = Callable[[Array], Array]  # of k / (size - 1), the place of each cell in [0, 1]


def cosine(order: int) -> Window:
    """Return the window cos(2 pi m k / (size - 1)) of order m."""
    return lambda turns: namespace(turns).cos(2 * np.pi * order * turns)


def hann(turns: Array) -> Array:
    """Return the symmetric Hann window, 0.5 - 0.5 cos(2 pi k / (size - 1)), whose ends are zero.

    Args:
        turns: k / (size - 1) of each cell, in [0, 1].
    """
    return 0.5 - 0.5 * cosine(1)(turns)


@functools.partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["grid"])
@dataclass(frozen=True)
class FFT:
    """Resizing, window and ``jnp.fft`` one after the other: the path that others must equal."""

    grid: tuple[int, int]  # (gh, gw) in cells

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a response map."""
        return self.grid

    @property
    def cells(self) -> int:
        """Number of cells, gh gw."""
        return self.grid[0] * self.grid[1]

    def spectrum(self, features: jax.Array) -> jax.Array:
        """Return ``[2, gh, gw // 2 + 1, D]`` of a feature map ``[fh, fw, D]``, windowed."""
        vertical, horizontal = (
            (hann(index(n, np) / (n - 1))[:, None] * resize.matrix(m, n)).astype(features.dtype)
            for m, n in zip(features.shape[:2], self.grid, strict=True)
        )
        x = jnp.einsum("iy,yxd,jx->ijd", vertical, features, horizontal, precision=_HIGHEST)
        return split(jnp.fft.rfft2(x, axes=(0, 1)))

    def label(self, deviation: jax.Array) -> jax.Array:
        """Return Y ``[2, gh, gw // 2 + 1]``, the spectrum of the label of deviation ``[2]``."""
        rows, columns = (gaussian(distances(n), deviation[i]) for i, n in enumerate(self.grid))
        return split(jnp.fft.rfft2(jnp.outer(rows, columns)))

    def inverse(self, spectrum: jax.Array) -> jax.Array:
        """Return the map ``[gh, gw]`` of a one-channel spectrum, with index 0 at the centre."""
        values = jnp.fft.irfft2(jax.lax.complex(spectrum[0], spectrum[1]), s=self.grid)
        return jnp.fft.fftshift(values)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["grid", "left", "right", "distance", "rows", "columns", "back", "forth"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Matrices:
    """The same steps as matrices, on a grid of [G, K] cells that is at least the target's [gh, gw].

    Resizing, Hann window and DFT of an axis are linear, hence one matrix F diag(hann) U of the
    small map. All of it is made in float64 and zero where it belongs to no cell of the target.
    """

    grid: Array  # int32 [2]: (gh, gw) in cells
    left: dict[str, Array]  # by map size: [2, 2, G, fh], a complex product on (real, imaginary)
    right: dict[str, Array]  # by map size: [2, K // 2 + 1, fw]
    distance: tuple[Array, Array]  # [G], [K]: cells from the label's peak, far outside
    rows: Array  # [2, G, G] and
    columns: Array  # [2, K // 2 + 1, K]: the DFT of an axis
    back: Array  # [2, 2, G, G]: inverse DFT of an axis with its shift, as a complex product
    forth: Array  # [2, K // 2 + 1, K]: of the other axis, real part only

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a response map, with the padding."""
        return self.distance[0].shape[-1], self.distance[1].shape[-1]

    @property
    def cells(self) -> jax.Array:
        """Number of cells, gh gw, in the operators' dtype."""
        return jnp.prod(jnp.asarray(self.grid, self.forth.dtype))

    def spectrum(self, features: jax.Array) -> jax.Array:
        """Return ``[2, G, K // 2 + 1, D]`` of a feature map ``[fh, fw, D]``, windowed."""
        key = _key(features.shape)
        x = jnp.einsum("cjx,yxd->ycjd", self.right[key], features, precision=_HIGHEST)
        return jnp.einsum("pciy,ycjd->pijd", self.left[key], x, precision=_HIGHEST)

    def label(self, deviation: jax.Array) -> jax.Array:
        """Return Y ``[2, G, K // 2 + 1]``, the spectrum of the label of deviation ``[2]``."""
        a, b = (
            jnp.einsum("cki,i->ck", dft, gaussian(distance, deviation[i]), precision=_HIGHEST)
            for i, (dft, distance) in enumerate(
                zip((self.rows, self.columns), self.distance, strict=True)
            )
        )
        return jnp.stack(
            [
                jnp.outer(a[0], b[0]) - jnp.outer(a[1], b[1]),
                jnp.outer(a[0], b[1]) + jnp.outer(a[1], b[0]),
            ]
        )

    def inverse(self, spectrum: jax.Array) -> jax.Array:
        """Return the map ``[G, K]`` of a one-channel spectrum, index 0 at the grid's centre."""
        x = jnp.einsum("pcik,ckl->pil", self.back, spectrum, precision=_HIGHEST)
        return jnp.einsum("pil,plj->ij", x, self.forth, precision=_HIGHEST)


Transform = FFT | Matrices


def matrices(
    grid: Pair,
    maps: Iterable[tuple[int, int]],
    padded: tuple[int, int] | None = None,
    window: Window = hann,
) -> Matrices:
    """Return the operators of a grid (gh, gw).

    Args:
        grid: cells of the target's response map: integers, or traced float64.
        maps: the (height, width) of the feature maps.
        padded: cells of the map that holds it, at least as many. None: as many.
        window: that features are multiplied with along an axis.

    Raises:
        ValueError: the padded grid is smaller than the grid.
    """
    xp, size = namespace(*grid), padded or grid
    if xp is np and any(p < g for p, g in zip(size, grid, strict=True)):
        raise ValueError(f"a grid of {grid} cells does not fit into {size}")
    half = size[1] // 2 + 1
    kept = xp.floor(grid[1] / 2) + 1  # frequencies: the left half, of the others the grid's
    rows = _dft(grid[0], (size[0], size[0]), grid[0])
    columns = _dft(grid[1], (half, size[1]), kept)
    left: dict[str, Array] = {}
    right: dict[str, Array] = {}
    for shape in maps:
        vertical, horizontal = (
            window(index(p, xp) / (g - 1))[:, None] * resize.matrix(m, g, (p, m))
            for m, g, p in zip(shape, grid, size, strict=True)
        )
        left[_key(shape)] = _product(product(rows, vertical))
        right[_key(shape)] = product(columns, horizontal)
    back = _inverse(grid[0], (size[0], size[0]), grid[0])
    # the half that is not kept mirrors the other one: all but the ends count twice
    frequency = index(half, xp)[:, None]
    twice = xp.where((frequency > 0) & (frequency < xp.floor((grid[1] + 1) / 2)), 2.0, 1.0)[None]
    real, imaginary = twice * _inverse(grid[1], (half, size[1]), kept)
    # Re((a + ib)(c + id)) = a c - b d
    operators = Matrices(
        grid=xp.stack(grid),
        left=left,
        right=right,
        distance=(_far(grid[0], size[0]), _far(grid[1], size[1])),
        rows=rows,
        columns=columns,
        back=_product(xp.swapaxes(back, 1, 2)),
        forth=xp.stack([real, -imaginary]),
    )
    single = jax.tree.map(lambda a: a.astype(xp.float32), operators)
    return dataclasses.replace(single, grid=operators.grid.astype(xp.int32))


def blend(basis: Sequence[Matrices], weights: jax.Array) -> Matrices:
    """Return the operators of a weighted sum of windows along each axis, linear in the weights.

    Args:
        basis: operators of equal sizes that differ in their window.
        weights: ``[len(basis)]``, one per window.
    """

    def mixed(*operators: Array) -> jax.Array:
        return jnp.tensordot(weights, jnp.stack(operators), axes=1, precision=_HIGHEST)

    left = jax.tree.map(mixed, *(b.left for b in basis))
    right = jax.tree.map(mixed, *(b.right for b in basis))
    return dataclasses.replace(basis[0], left=left, right=right)


def deviation(target: jax.Array, sigma: jax.Array | float, cell: jax.Array) -> jax.Array:
    """Return the label's standard deviation in cells, ``[2]``: along rows and along columns.

    Args:
        target: (h, w) of the target in pixels, ``[2]``.
        sigma: relative to sqrt(h w) / cell.
        cell: height and width of a cell in pixels, ``[2]``.
    """
    return sigma * jnp.sqrt(target[0] * target[1]) / cell


def gaussian(distance: Array, deviation: jax.Array) -> jax.Array:
    """Return one axis of the label y in [0, 1]; y, the outer product of two, peaks at (0, 0)."""
    return jnp.exp(-0.5 * jnp.square(jnp.asarray(distance, deviation.dtype) / deviation))


def distances(size: Any, count: int | None = None) -> Array:
    """Return the distance of each cell of an axis from the label's peak at index 0, in cells.

    Args:
        size: number of cells, an integer or a traced float64.
        count: number of values; those beyond ``size`` mean nothing. None: ``size``.
    """
    xp = namespace(size)
    # MATLAB's (1:n) - floor(n/2), rolled: an odd grid reaches one cell further to the right
    before = xp.floor(size / 2)
    return xp.mod(index(count or size, xp) - 1 + before, size) + 1 - before


def split(values: Any) -> Any:
    """Return a complex array, NumPy's or JAX's, as real and imaginary part on a new first axis."""
    return namespace(values).stack([values.real, values.imag])


def _far(size: Any, count: int) -> Array:
    """``distances``, and ``FAR`` beyond the cells."""
    xp = namespace(size)
    return xp.where(index(count, xp) < size, distances(size, count), FAR)


def _dft(size: Any, shape: tuple[int, int], frequencies: Any) -> Array:
    """Return the DFT of an axis, [2, frequency, cell], zero beyond both."""
    xp = namespace(size)
    k, i = index(shape[0], xp)[:, None], index(shape[1], xp)[None, :]
    angle = 2 * np.pi * (xp.mod(k * i, size) / size)
    inside = ((k < frequencies) & (i < size))[None]
    return xp.where(inside, xp.stack([xp.cos(angle), -xp.sin(angle)]), 0.0)


def _inverse(size: Any, shape: tuple[int, int], frequencies: Any) -> Array:
    """Return the inverse DFT, [2, frequency, cell], with cell 0 moved to the centre."""
    xp = namespace(size)
    k, i = index(shape[0], xp)[:, None], index(shape[1], xp)[None, :]
    angle = 2 * np.pi * (xp.mod(k * (i - xp.floor(size / 2)), size) / size)
    inside = ((k < frequencies) & (i < size))[None]
    return xp.where(inside, xp.stack([xp.cos(angle), xp.sin(angle)]) / size, 0.0)


def _product(values: Array) -> Array:
    """Return the product with a + ib as a matrix on (c, d), from (a, b) on the first axis."""
    real, imaginary = values
    stack = namespace(real).stack
    return stack([stack([real, -imaginary]), stack([imaginary, real])])


def _key(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
