"""Eq. 1 and the transform of Eq. 2: feature maps to windowed spectra on the response grid.

Spectra are real arrays whose first axis holds the real and the imaginary part, and of the mirrored
halves of a real signal's spectrum only the left one is kept: ``[2, gh, gw // 2 + 1, ...]``.
(Accelerators multiply real matrices fastest, and no complex type then meets a real one.)

There are two transforms with the same methods. ``FFT`` does one thing after the other on a static
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
import numpy.typing as npt

from hcft_jax.core import resize

_HIGHEST = jax.lax.Precision.HIGHEST
FAR = 1e6  # cells: where the label is zero, and its derivative too

Array = jax.Array | npt.NDArray[Any]  # built on the host, traced in the tracker


def hann(size: int) -> npt.NDArray[np.float64]:
    """The symmetric Hann window, ``[size]``: 0.5 (1 - cos(2 pi k / (size - 1))), ends zero."""
    return np.hanning(size)


@functools.partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=["grid"])
@dataclass(frozen=True)
class FFT:
    """Resizing, window and ``jnp.fft`` one after the other: the path that others must equal."""

    grid: tuple[int, int]  # (gh, gw) in cells

    @property
    def shape(self) -> tuple[int, int]:
        """Of a response map."""
        return self.grid

    @property
    def cells(self) -> int:
        """How many there are, gh gw."""
        return self.grid[0] * self.grid[1]

    def spectrum(self, features: jax.Array) -> jax.Array:
        """A feature map ``[fh, fw, D]`` on the grid, windowed: ``[2, gh, gw // 2 + 1, D]``."""
        vertical, horizontal = (
            (hann(n)[:, None] * resize.matrix(m, n)).astype(features.dtype)
            for m, n in zip(features.shape[:2], self.grid, strict=True)
        )
        x = jnp.einsum("iy,yxd,jx->ijd", vertical, features, horizontal, precision=_HIGHEST)
        return split(jnp.fft.rfft2(x, axes=(0, 1)))

    def label(self, deviation: jax.Array) -> jax.Array:
        """Y, the spectrum of the label of deviation ``[2]``: ``[2, gh, gw // 2 + 1]``."""
        rows, columns = (gaussian(distances(n), deviation[i]) for i, n in enumerate(self.grid))
        return split(jnp.fft.rfft2(jnp.outer(rows, columns)))

    def inverse(self, spectrum: jax.Array) -> jax.Array:
        """The map ``[gh, gw]`` of a single-channel spectrum, index 0 moved to the centre."""
        values = jnp.fft.irfft2(jax.lax.complex(spectrum[0], spectrum[1]), s=self.grid)
        return jnp.fft.fftshift(values)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["grid", "left", "right", "distance", "rows", "columns", "back", "forth"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Matrices:
    """The same as matrices, on a grid of [G, K] cells that is at least the target's [gh, gw].

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
        """Of a response map, with the padding."""
        return self.distance[0].shape[-1], self.distance[1].shape[-1]

    @property
    def cells(self) -> jax.Array:
        """How many there are, gh gw, in the operators' dtype."""
        return jnp.prod(jnp.asarray(self.grid, self.forth.dtype))

    def spectrum(self, features: jax.Array) -> jax.Array:
        """A feature map ``[fh, fw, D]`` on the grid, windowed: ``[2, G, K // 2 + 1, D]``."""
        key = _key(features.shape)
        x = jnp.einsum("cjx,yxd->ycjd", self.right[key], features, precision=_HIGHEST)
        return jnp.einsum("pciy,ycjd->pijd", self.left[key], x, precision=_HIGHEST)

    def label(self, deviation: jax.Array) -> jax.Array:
        """Y, the spectrum of the label of deviation ``[2]``: ``[2, G, K // 2 + 1]``."""
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
        """The map ``[G, K]`` of a single-channel spectrum, index 0 moved to the grid's centre."""
        x = jnp.einsum("pcik,ckl->pil", self.back, spectrum, precision=_HIGHEST)
        return jnp.einsum("pil,plj->ij", x, self.forth, precision=_HIGHEST)


Transform = FFT | Matrices


def matrices(
    grid: tuple[int, int],
    maps: Iterable[tuple[int, int]],
    padded: tuple[int, int] | None = None,
    window: Callable[[int], npt.NDArray[np.float64]] = hann,
) -> Matrices:
    """The operators of a grid (gh, gw), in NumPy.

    Args:
        grid: cells of the target's response map.
        maps: the (height, width) of the feature maps.
        padded: cells of the map that is to hold it, at least as many. None: as many.
        window: that features are multiplied with along an axis, by its number of cells.

    Raises:
        ValueError: the padded grid is smaller than the grid.
    """
    size = padded or grid
    if any(p < g for p, g in zip(size, grid, strict=True)):
        raise ValueError(f"a grid of {grid} cells does not fit into {size}")
    half, whole = size[1] // 2 + 1, size
    left: dict[str, Array] = {}
    right: dict[str, Array] = {}
    for shape in maps:
        vertical, horizontal = (
            window(n)[:, None] * resize.matrix(m, n) for m, n in zip(shape, grid, strict=True)
        )
        left[_key(shape)] = _padded(
            _product(np.fft.fft(vertical, axis=0)), (2, 2, whole[0], shape[0])
        )
        right[_key(shape)] = _padded(split(np.fft.rfft(horizontal, axis=0)), (2, half, shape[1]))
    forth = _inverse(grid[1])[: grid[1] // 2 + 1]
    # the half that is not kept mirrors the other one: all but the ends count twice
    forth[1 : (grid[1] + 1) // 2] *= 2.0
    return Matrices(
        grid=np.array(grid, np.int32),
        left=left,
        right=right,
        distance=(
            _padded(distances(grid[0]), whole[:1], FAR),
            _padded(distances(grid[1]), whole[1:], FAR),
        ),
        rows=_padded(split(np.fft.fft(np.eye(grid[0]))), (2, whole[0], whole[0])),
        columns=_padded(split(np.fft.rfft(np.eye(grid[1]), axis=0)), (2, half, whole[1])),
        back=_padded(_product(_inverse(grid[0]).T), (2, 2, whole[0], whole[0])),
        # Re((a + ib)(c + id)) = a c - b d
        forth=_padded(np.stack([forth.real, -forth.imag]), (2, half, whole[1])),
    )


def cosine(order: int) -> Callable[[int], npt.NDArray[np.float64]]:
    """The window cos(2 pi m k / (size - 1)) of order m; Hann's is 0.5 of order 0 - 0.5 of 1."""
    return lambda size: np.cos(2 * np.pi * order * np.arange(size) / (size - 1))


def blend(basis: Sequence[Matrices], weights: jax.Array) -> Matrices:
    """The operators of a weighted sum of windows along each axis; linear in the weights.

    Args:
        basis: operators of equal sizes that differ in their window.
        weights: ``[len(basis)]``, one a window.
    """

    def mixed(*operators: Array) -> jax.Array:
        return jnp.tensordot(weights, jnp.stack(operators), axes=1, precision=_HIGHEST)

    left = jax.tree.map(mixed, *(b.left for b in basis))
    right = jax.tree.map(mixed, *(b.right for b in basis))
    return dataclasses.replace(basis[0], left=left, right=right)


def deviation(target: jax.Array, sigma: jax.Array | float, cell: jax.Array) -> jax.Array:
    """The label's standard deviation in cells, ``[2]``: along the rows' axis and the columns'.

    Args:
        target: (h, w) of the target in pixels, ``[2]``.
        sigma: relative to sqrt(h w) / cell.
        cell: height and width of a cell in pixels, ``[2]``.
    """
    return sigma * jnp.sqrt(target[0] * target[1]) / cell


def gaussian(distance: Array, deviation: jax.Array) -> jax.Array:
    """One axis of the label y, in [0, 1]; y is the outer product of two, its peak at (0, 0)."""
    return jnp.exp(-0.5 * jnp.square(jnp.asarray(distance, deviation.dtype) / deviation))


def distances(size: int) -> npt.NDArray[np.float32]:
    """Of the cells of an axis from the label's peak at index 0, in cells, ``[size]``."""
    # MATLAB's (1:n) - floor(n/2), rolled: an odd grid reaches one cell further to the right
    return np.roll(np.arange(1, size + 1) - size // 2, 1 - size // 2).astype(np.float32)


def split(values: Any) -> Any:
    """A complex array, NumPy's or JAX's, as real and imaginary parts on a new first axis."""
    stack = jnp.stack if isinstance(values, jax.Array) else np.stack
    return stack([values.real, values.imag])


def _inverse(size: int) -> npt.NDArray[np.complex128]:
    """The inverse DFT of an axis, [frequency, cell], cell 0 moved to the centre."""
    return np.fft.fftshift(np.fft.ifft(np.eye(size)), axes=1)


def _product(values: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    """The product with a + ib as a matrix on (c, d): both parts come out of one real product."""
    return np.stack([split(values), split(1j * values)], axis=1)


def _padded(
    values: npt.NDArray[Any], shape: tuple[int, ...], fill: float = 0.0
) -> npt.NDArray[np.float32]:
    result = np.full(shape, fill, np.float32)
    result[tuple(map(slice, values.shape))] = values
    return result


def _key(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
