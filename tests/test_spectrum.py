from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from hcft_jax import spectrum
from tests import reference

GRIDS = [(8, 8), (9, 7), (8, 11), (31, 20)]


@pytest.mark.parametrize("size", [3, 4, 31, 32])
def test_hann_is_symmetric(size: int) -> None:
    expected = scipy.signal.windows.hann(size, sym=True)
    np.testing.assert_allclose(spectrum.hann(size), expected, atol=1e-15)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("target", [(12.0, 8.0), (300.0, 20.0)])
def test_label_is_the_authors_gaussian(grid: tuple[int, int], target: tuple[float, float]) -> None:
    y = spectrum.label(grid, jnp.array(target), 0.1, 4)
    np.testing.assert_allclose(y, reference.gaussian_label(target, grid), atol=1e-6)
    assert y[0, 0] == 1.0


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("dft", ["matmul", "fft"])
def test_spectrum_is_grid_window_and_fft_one_after_the_other(
    maybe_jit: Callable[..., Callable[..., jax.Array]], grid: tuple[int, int], dft: str
) -> None:
    features = np.random.default_rng(2).uniform(0, 9, (14, 10, 5))
    transform = maybe_jit(spectrum.spectrum, static_argnums=(1, 2))
    x = transform(jnp.asarray(features, jnp.float32), grid, dft)
    window = np.outer(reference.hann(grid[0]), reference.hann(grid[1]))[..., None]
    expected = np.fft.rfft2(reference.resample(features, grid) * window, axes=(0, 1))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(x[0], expected.real, atol=2e-6 * scale)
    np.testing.assert_allclose(x[1], expected.imag, atol=2e-6 * scale)


@pytest.mark.parametrize("grid", GRIDS)
def test_inverse_undoes_the_transform(grid: tuple[int, int]) -> None:
    values = np.random.default_rng(3).normal(size=grid).astype(np.float32)
    x = spectrum.split(jnp.fft.rfft2(values))
    np.testing.assert_allclose(spectrum.inverse(x, grid), values, atol=1e-5)
