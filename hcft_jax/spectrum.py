"""Eq. 1 and the transform of Eq. 2: feature maps to windowed spectra on the response grid.

Spectra are real arrays whose first axis holds the real and the imaginary part, and of the mirrored
halves of a real signal's spectrum only the left one is kept: ``[2, gh, gw // 2 + 1, ...]``.
(Accelerators multiply real matrices fastest, and no complex type then meets a real one.)
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax import resize

_HIGHEST = jax.lax.Precision.HIGHEST


def hann(size: int) -> npt.NDArray[np.float64]:
    """The symmetric Hann window, ``[size]``: 0.5 (1 - cos(2 pi k / (size - 1))), ends zero."""
    return np.hanning(size)


def label(
    grid: tuple[int, int], target: jax.Array, sigma: jax.Array | float, cell: int
) -> jax.Array:
    """The Gaussian label y, its peak at index (0, 0): ``[gh, gw]``, values in (0, 1].

    Args:
        grid: (gh, gw) in cells.
        target: (h, w) of the target in pixels, ``[2]``.
        sigma: the label's width relative to sqrt(h w) / cell.
        cell: pixels a cell.
    """
    deviation = sigma * jnp.sqrt(target[0] * target[1]) / cell

    def axis(size: int) -> jax.Array:
        # MATLAB's (1:n) - floor(n/2), rolled: an odd grid reaches one cell further to the right
        distance = np.roll(np.arange(1, size + 1) - size // 2, 1 - size // 2).astype(np.float32)
        return jnp.exp(-0.5 * jnp.square(distance / deviation))

    return jnp.outer(axis(grid[0]), axis(grid[1]))


def spectrum(features: jax.Array, grid: tuple[int, int], dft: str = "matmul") -> jax.Array:
    """Feature map to grid (Eq. 1), times the Hann window, Fourier transformed, per channel.

    Args:
        features: ``[fh, fw, D]``.
        grid: (gh, gw) in cells.
        dft: ``"matmul"``: resizing, window and DFT of an axis are linear, so they are one matrix
            F diag(hann) U applied to the small map; ``"fft"``: one after the other. Same result.

    Returns:
        ``[2, gh, gw // 2 + 1, D]``, real and imaginary parts.
    """
    vertical, horizontal = (
        hann(n)[:, None] * resize.matrix(m, n)
        for m, n in zip(features.shape[:2], grid, strict=True)
    )
    if dft == "fft":
        x = jnp.einsum(
            "iy,yxd,jx->ijd",
            vertical.astype(np.float32),
            features,
            horizontal.astype(np.float32),
            precision=_HIGHEST,
        )
        return split(jnp.fft.rfft2(x, axes=(0, 1)))
    # [2, gw // 2 + 1, fw] and [2, gh, fh]: real and imaginary parts of F diag(hann) U
    right = split(np.fft.rfft(horizontal, axis=0))
    left = split(np.fft.fft(vertical, axis=0))
    # (a + ib)(c + id) as a matrix on (c, d), so that both parts come out of one real product
    product = np.stack([np.stack([left[0], -left[1]]), np.stack([left[1], left[0]])])
    partial = jnp.einsum("cjx,yxd->ycjd", right.astype(np.float32), features, precision=_HIGHEST)
    return jnp.einsum("pciy,ycjd->pijd", product.astype(np.float32), partial, precision=_HIGHEST)


def inverse(spectrum: jax.Array, grid: tuple[int, int]) -> jax.Array:
    """The real map ``[gh, gw]`` of a single-channel spectrum ``[2, gh, gw // 2 + 1]``."""
    return jnp.fft.irfft2(jax.lax.complex(spectrum[0], spectrum[1]), s=grid)


def split(values: Any) -> Any:
    """A complex array, NumPy's or JAX's, as real and imaginary parts on a new first axis."""
    stack = jnp.stack if isinstance(values, jax.Array) else np.stack
    return stack([values.real, values.imag])
