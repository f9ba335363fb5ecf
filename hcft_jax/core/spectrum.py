"""Eq. 1 and the transform of Eq. 2: feature maps to windowed spectra on the response grid.

Spectra are real arrays with an axis for the real and the imaginary part, and of the mirrored halves
of a real signal's spectrum only the upper one is kept: ``[2, gh // 2 + 1, gw]`` for one channel.
(Accelerators multiply real matrices fastest, and no complex type then meets a real one.)

There are two transforms with the same methods. ``FFT`` takes one step after the other on a static
grid. ``Matrices`` holds the same linear operators as matrices of small feature maps: they are data,
so that targets of different sizes share an executable and can be batched; on a larger, padded grid
they are zero outside the target's own.

Filters need nothing of features but sums over the channels: ``correlate`` and ``energy``. So a map
of many channels is transformed along its rows only (``Partial``). What its channels' sums are on
the grid follows from the products of each pair of its columns, summed over the channels: a Gram
matrix per frequency, without a channel axis. No map of the grid's size and all channels is made.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.core import resize
from hcft_jax.core.arrays import Array, index, namespace, product
from hcft_jax.core.sampling import Pair

_HIGHEST = jax.lax.Precision.HIGHEST
FAR = 1e6  # cells: where the label is zero, and its derivative too

Window = Callable[[Array], Array]  # of k / (size - 1), the place of each cell in [0, 1]


class Full(NamedTuple):
    """The spectrum of features on the grid."""

    values: jax.Array  # [gh // 2 + 1, 2, gw, D]


class Partial(NamedTuple):
    """Features whose columns alone are resized, windowed and transformed."""

    values: jax.Array  # [gh // 2 + 1, 2, fw, D]


Spectrum = Full | Partial


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

    def observe(self, features: jax.Array) -> Full:
        """Return the windowed spectrum of a feature map ``[fh, fw, D]``."""
        vertical, horizontal = (
            (hann(index(n, np) / (n - 1))[:, None] * resize.matrix(m, n)).astype(features.dtype)
            for m, n in zip(features.shape[:2], self.grid, strict=True)
        )
        x = jnp.einsum("iy,yxd,jx->ijd", vertical, features, horizontal, precision=_HIGHEST)
        x = jnp.fft.rfft2(x, axes=(1, 0))
        return Full(jnp.stack([x.real, x.imag], axis=1))

    def complete(self, x: Spectrum) -> Full:
        """Return the spectrum on the grid: it is there."""
        assert isinstance(x, Full)
        return x

    def correlate(self, z: Spectrum, m: Spectrum) -> jax.Array:
        """Return sum_d Z^d conj(M^d), ``[2, gh // 2 + 1, gw]``."""
        return _correlate(self.complete(z), self.complete(m))

    def energy(self, x: Spectrum) -> jax.Array:
        """Return sum_d abs(X^d)^2, ``[gh // 2 + 1, gw]``."""
        return _energy(self.complete(x))

    def label(self, deviation: jax.Array) -> jax.Array:
        """Return Y ``[2, gh // 2 + 1, gw]``, the spectrum of the label of deviation ``[2]``."""
        rows, columns = (gaussian(distances(n), deviation[i]) for i, n in enumerate(self.grid))
        return split(jnp.fft.rfft2(jnp.outer(rows, columns), axes=(1, 0)))

    def inverse(self, spectrum: jax.Array) -> jax.Array:
        """Return the map ``[gh, gw]`` of a one-channel spectrum, with index 0 at the centre."""
        values = jax.lax.complex(spectrum[0], spectrum[1])
        return jnp.fft.fftshift(jnp.fft.irfft2(values, s=self.grid[::-1], axes=(1, 0)))

    def forward(self, values: jax.Array) -> jax.Array:
        """Return the one-channel spectrum of a map: undo ``inverse``."""
        return split(jnp.fft.rfft2(jnp.fft.ifftshift(values), axes=(1, 0)))

    @property
    def centre(self) -> tuple[int, int]:
        """(row, column) of index 0 in the maps of ``inverse``."""
        return self.grid[0] // 2, self.grid[1] // 2


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["grid", "first", "second", "distance", "rows", "columns", "back", "forth"],
    meta_fields=["precision"],
)
@dataclass(frozen=True)
class Matrices:
    """The same steps as matrices, on a grid of [G, K] cells that is at least the target's [gh, gw].

    Resizing, Hann window and DFT of an axis are linear, hence one matrix F diag(hann) U of the
    small map. All of it is made in float64 and zero where it belongs to no cell of the target.
    """

    grid: Array  # int32 [2]: (gh, gw) in cells
    first: dict[str, Array]  # by the map's height: [G // 2 + 1, 2, fh], of its columns
    second: dict[str, Array]  # by its width: [2, K, fw], of its rows
    distance: tuple[Array, Array]  # [G], [K]: cells from the label's peak, far outside
    rows: Array  # [2, G // 2 + 1, G] and
    columns: Array  # [2, K, K]: the DFT of an axis
    back: Array  # [2, 2, K, K]: inverse DFT of an axis with its shift, as a complex product
    forth: Array  # [2, G // 2 + 1, G]: of the other axis, real part only
    precision: jax.lax.Precision  # of the products with features and spectra

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a response map, with the padding."""
        return self.distance[0].shape[-1], self.distance[1].shape[-1]

    @property
    def cells(self) -> jax.Array:
        """Number of cells, gh gw, in the operators' dtype."""
        return jnp.prod(jnp.asarray(self.grid, self.forth.dtype))

    def observe(self, features: jax.Array) -> Spectrum:
        """Return the windowed spectrum of a feature map ``[fh, fw, D]``, in the cheaper form.

        Args:
            features: after the layer's ReLU.

        Returns:
            ``Partial`` where a Gram matrix of (2 fw)^2 values is not larger than the 2 fw D that it
            is made of; ``Full`` for the others.
        """
        height, width, channels = features.shape
        matrix = self.first[_key(height)]
        x = Partial(jnp.einsum("jcy,yxd->jcxd", matrix, features, precision=self.precision))
        return x if 2 * width <= channels else self.complete(x)

    def complete(self, x: Spectrum) -> Full:
        """Return the spectrum on the grid, ``[G // 2 + 1, 2, K, D]``."""
        if isinstance(x, Full):
            return x
        matrix = _product(self.second[_key(x.values.shape[2])])
        values = jnp.einsum("pckx,jcxd->jpkd", matrix, x.values, precision=self.precision)
        return Full(values)

    def correlate(self, z: Spectrum, m: Spectrum) -> jax.Array:
        """Return sum_d Z^d conj(M^d), ``[2, G // 2 + 1, K]``, of two spectra of one form."""
        if isinstance(z, Full) or isinstance(m, Full):
            return _correlate(self.complete(z), self.complete(m))
        gram = self._gram(z, m)
        pairs = self._pairs(z.values.shape[2])
        # Re and Im of sum_xy P_kx conj(P_ky) H(x, y)
        both = jnp.einsum("akp,jbp->abjk", pairs, gram, precision=self.precision)
        return jnp.stack([both[0, 0] - both[1, 1], both[0, 1] + both[1, 0]])

    def energy(self, x: Spectrum) -> jax.Array:
        """Return sum_d abs(X^d)^2, ``[G // 2 + 1, K]``."""
        if isinstance(x, Full):
            return _energy(x)
        real, imaginary = self._pairs(x.values.shape[2])
        pairs = jnp.stack([real, -imaginary])  # the real part of a complex product
        return jnp.einsum("akp,jap->jk", pairs, self._gram(x, x), precision=self.precision)

    def _gram(self, z: Partial, m: Partial) -> jax.Array:
        """Return H(x, y) = sum_d Z^d(x) conj(M^d(y)) of each frequency, [G // 2 + 1, 2, fw fw]."""
        frequencies, _, width, channels = z.values.shape
        z_, m_ = (a.values.reshape(frequencies, 2 * width, channels) for a in (z, m))
        h = jnp.einsum("jad,jbd->jab", z_, m_, precision=self.precision)
        h = h.reshape(frequencies, 2, width, 2, width)
        parts = h[:, 0, :, 0] + h[:, 1, :, 1], h[:, 1, :, 0] - h[:, 0, :, 1]
        return jnp.stack(parts, axis=1).reshape(frequencies, 2, width * width)

    def _pairs(self, width: int) -> jax.Array:
        """Return P_kx conj(P_ky) for each pair of a map's columns, [2, K, fw fw]."""
        matrix = jnp.asarray(self.second[_key(width)])
        a, b = matrix[:, :, :, None]
        c, d = matrix[:, :, None, :]
        return jnp.stack([a * c + b * d, b * c - a * d]).reshape(2, -1, width * width)

    def label(self, deviation: jax.Array) -> jax.Array:
        """Return Y ``[2, G // 2 + 1, K]``, the spectrum of the label of deviation ``[2]``."""
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
        x = jnp.einsum("pcik,cjk->pji", self.back, spectrum, precision=_HIGHEST)
        return jnp.einsum("pji,pjl->li", x, self.forth, precision=_HIGHEST)

    def forward(self, values: jax.Array) -> jax.Array:
        """Return the one-channel spectrum of a map ``[G, K]``: undo ``inverse``."""
        for axis, cells in enumerate(jnp.asarray(self.grid)):
            place = jnp.arange(values.shape[axis], dtype=jnp.int32)
            values = jnp.take(
                values, jnp.where(place < cells, (place + cells // 2) % cells, place), axis
            )
        x = jnp.einsum("pji,ik->pjk", self.rows, values, precision=_HIGHEST)
        return jnp.einsum("pqck,qjk->pjc", _product(self.columns), x, precision=_HIGHEST)

    @property
    def centre(self) -> tuple[jax.Array, jax.Array]:
        """(row, column) of index 0 in the maps of ``inverse``."""
        grid = jnp.asarray(self.grid)
        return grid[0] // 2, grid[1] // 2


Transform = FFT | Matrices


def matrices(
    grid: Pair,
    maps: Iterable[tuple[int, int]],
    padded: tuple[int, int] | None = None,
    window: Window = hann,
    precision: jax.lax.Precision = _HIGHEST,
    *,
    own: bool = False,
) -> Matrices:
    """Return the operators of a grid (gh, gw).

    Args:
        grid: cells of the target's response map: integers, or traced float64.
        maps: the (height, width) of the feature maps.
        padded: cells of the map that holds it, at least as many. None: as many.
        window: that features are multiplied with along an axis.
        precision: of the products with features and spectra of features.
        own: whether maps have the grid's own cells, and are as large as ``padded``.

    Raises:
        ValueError: the padded grid is smaller than the grid.
    """
    xp, size = namespace(*grid), padded or grid
    if xp is np and any(p < g for p, g in zip(size, grid, strict=True)):
        raise ValueError(f"a grid of {grid} cells does not fit into {size}")
    half = size[0] // 2 + 1
    kept = xp.floor(grid[0] / 2) + 1  # frequencies: the upper half, of the others the grid's
    rows = _dft(grid[0], (half, size[0]), kept)
    columns = _dft(grid[1], (size[1], size[1]), grid[1])

    def along(dft: Array, axis: int, length: int) -> Array:
        cells, most = grid[axis], size[axis]
        weight = window(index(most, xp) / (cells - 1))[:, None]
        size_in = cells if own else length
        return product(dft, weight * resize.matrix(size_in, cells, (most, length)))

    heights, widths = (set(lengths) for lengths in zip(*maps, strict=True))
    first = {_key(n): xp.swapaxes(along(rows, 0, n), 0, 1) for n in heights}
    second = {_key(n): along(columns, 1, n) for n in widths}
    back = _inverse(grid[1], (size[1], size[1]), grid[1])
    # the half that is not kept mirrors the other one: all but the ends count twice
    frequency = index(half, xp)[:, None]
    twice = xp.where((frequency > 0) & (frequency < xp.floor((grid[0] + 1) / 2)), 2.0, 1.0)[None]
    real, imaginary = twice * _inverse(grid[0], (half, size[0]), kept)
    # Re((a + ib)(c + id)) = a c - b d
    operators = Matrices(
        grid=xp.stack(grid),
        first=first,
        second=second,
        distance=(_far(grid[0], size[0]), _far(grid[1], size[1])),
        rows=rows,
        columns=columns,
        back=_product(xp.swapaxes(back, 1, 2)),
        forth=xp.stack([real, -imaginary]),
        precision=precision,
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

    first = jax.tree.map(mixed, *(b.first for b in basis))
    second = jax.tree.map(mixed, *(b.second for b in basis))
    return dataclasses.replace(basis[0], first=first, second=second)


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


def _correlate(z: Full, m: Full) -> jax.Array:
    # complex here, so that one pass over the spectra, the largest arrays of all, gives both parts;
    # sums of the real products take three to four times as long on a CPU
    values, model = (jax.lax.complex(a.values[:, 0], a.values[:, 1]) for a in (z, m))
    return split(jnp.sum(values * model.conj(), axis=-1))


def _energy(x: Full) -> jax.Array:
    return jnp.sum(jnp.square(x.values), axis=(1, 3))


def _key(length: int) -> str:
    return str(length)
