from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from hcft_jax.core import spectrum
from tests import reference

GRIDS = [(8, 8), (9, 7), (8, 11), (31, 20)]
MAP = (14, 10)


def transforms(grid: tuple[int, int]) -> list[spectrum.Transform]:
    """All of them, the last one on a larger grid."""
    padded = (grid[0] + 3, grid[1] + 6)
    return [
        spectrum.FFT(grid),
        spectrum.matrices(grid, [MAP]),
        spectrum.matrices(grid, [MAP], padded),
    ]


every = pytest.mark.parametrize(
    ("grid", "which"),
    [(grid, which) for grid in GRIDS for which in range(3)],
    ids=lambda value: ["fft", "matrices", "padded"][value] if isinstance(value, int) else None,
)


def check(x: jax.Array, expected: np.ndarray, atol: float) -> None:
    """The half spectrum is the expected one, and zero in the padding."""
    expected = np.stack([expected.real, expected.imag])
    inside = tuple(map(slice, expected.shape))
    np.testing.assert_allclose(x[inside], expected, atol=atol)
    outside = np.array(x)
    outside[inside] = 0
    assert not outside.any()


@pytest.mark.parametrize("size", [3, 4, 31, 32])
def test_hann_is_symmetric(size: int) -> None:
    expected = scipy.signal.windows.hann(size, sym=True)
    np.testing.assert_allclose(spectrum.hann(np.arange(size) / (size - 1)), expected, atol=1e-15)


@every
@pytest.mark.parametrize("target", [(12.0, 8.0), (300.0, 20.0)])
def test_label_is_the_authors_gaussian(
    maybe_jit: Callable[..., Callable[..., jax.Array]],
    grid: tuple[int, int],
    which: int,
    target: tuple[float, float],
) -> None:
    def label(transform: spectrum.Transform, size: jax.Array) -> jax.Array:
        return transform.label(spectrum.deviation(size, 0.1, jnp.full(2, 4.0)))

    y = maybe_jit(label)(transforms(grid)[which], jnp.array(target))
    expected = reference.gaussian_label(target, grid)
    check(y, np.fft.rfft2(expected), 2e-6 * expected.sum())


@every
def test_spectrum_is_grid_window_and_fft_one_after_the_other(
    maybe_jit: Callable[..., Callable[..., jax.Array]], grid: tuple[int, int], which: int
) -> None:
    features = np.random.default_rng(2).uniform(0, 9, (*MAP, 5))
    compute = maybe_jit(lambda transform, h: transform.spectrum(h))
    x = compute(transforms(grid)[which], jnp.asarray(features, jnp.float32))
    window = np.outer(reference.hann(grid[0]), reference.hann(grid[1]))[..., None]
    expected = np.fft.rfft2(reference.resample(features, grid) * window, axes=(0, 1))
    check(x, expected, 2e-6 * np.abs(expected).max())


@every
def test_inverse_undoes_the_transform_and_centres(
    maybe_jit: Callable[..., Callable[..., jax.Array]], grid: tuple[int, int], which: int
) -> None:
    values = np.random.default_rng(3).normal(size=grid)
    transform = transforms(grid)[which]
    x = np.zeros((2, transform.shape[0], transform.shape[1] // 2 + 1), np.float32)
    half = spectrum.split(np.fft.rfft2(values))
    x[tuple(map(slice, half.shape))] = half
    result = np.array(maybe_jit(lambda t, x: t.inverse(x))(transform, jnp.asarray(x)))
    np.testing.assert_allclose(
        result[: grid[0], : grid[1]], np.fft.fftshift(values), atol=2e-6 * np.abs(half).max()
    )
    result[: grid[0], : grid[1]] = 0
    assert not result.any()


@pytest.mark.parametrize("which", range(3))
def test_the_label_can_be_differentiated(which: int) -> None:
    def energy(sigma: jax.Array) -> jax.Array:
        deviation = spectrum.deviation(jnp.array([40.0, 30.0]), sigma, jnp.full(2, 4.0))
        return jnp.sum(jnp.square(transforms((9, 7))[which].label(deviation)))

    slope = (energy(jnp.float32(0.101)) - energy(jnp.float32(0.099))) / 0.002
    np.testing.assert_allclose(jax.grad(energy)(jnp.float32(0.1)), slope, rtol=1e-2)


def test_a_grid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        spectrum.matrices((9, 7), [MAP], (12, 6))
