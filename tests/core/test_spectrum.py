from collections.abc import Callable
from typing import Any

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


both = pytest.mark.parametrize("wide", [True, False], ids=["many channels", "few"])


def drawn(seed: int, wide: bool) -> np.ndarray:
    """Features whose spectrum matrices leave partial, or complete."""
    channels = 2 * MAP[1] + 1 if wide else 5
    return np.random.default_rng(seed).uniform(0, 9, (*MAP, channels))


def windowed(features: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The half spectrum [gh // 2 + 1, gw, D], step by step in float64."""
    window = np.outer(reference.hann(grid[0]), reference.hann(grid[1]))[..., None]
    return np.fft.rfft2(reference.resample(features, grid) * window, axes=(1, 0))


def check(x: jax.Array, expected: np.ndarray, atol: float) -> None:
    """A half spectrum ``[2, ...]`` is the expected one, and zero in the padding."""
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
    check(y, np.fft.rfft2(expected, axes=(1, 0)), 2e-6 * expected.sum())


@every
@both
def test_spectrum_is_grid_window_and_fft_one_after_the_other(
    maybe_jit: Callable[..., Callable[..., jax.Array]],
    grid: tuple[int, int],
    which: int,
    wide: bool,
) -> None:
    features = drawn(2, wide)
    compute = maybe_jit(lambda transform, h: transform.complete(transform.observe(h)).values)
    x = compute(transforms(grid)[which], jnp.asarray(features, jnp.float32))
    expected = windowed(features, grid)
    check(jnp.swapaxes(x, 0, 1), expected, 2e-6 * np.abs(expected).max())


@every
@both
def test_sums_over_channels_are_those_of_the_spectra(
    maybe_jit: Callable[..., Callable[..., Any]],
    grid: tuple[int, int],
    which: int,
    wide: bool,
) -> None:
    def compute(
        transform: spectrum.Transform, z: jax.Array, m: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        z_, m_ = transform.observe(z), transform.observe(m)
        return transform.correlate(z_, m_), transform.energy(z_)

    features = drawn(4, wide), drawn(5, wide)
    given = (jnp.asarray(f, jnp.float32) for f in features)
    correlation, energy = maybe_jit(compute)(transforms(grid)[which], *given)
    z, m = (windowed(f, grid) for f in features)
    expected = (z * m.conj()).sum(axis=2)
    check(correlation, expected, 2e-6 * np.abs(expected).max())
    expected = (np.abs(z) ** 2).sum(axis=2)
    check(jnp.stack([energy, jnp.zeros_like(energy)]), expected, 2e-6 * expected.max())


@pytest.mark.parametrize(("wide", "form"), [(True, spectrum.Partial), (False, spectrum.Full)])
def test_only_maps_of_many_channels_stay_partial(wide: bool, form: type) -> None:
    x = transforms((9, 7))[1].observe(jnp.asarray(drawn(2, wide), jnp.float32))
    assert type(x) is form


def test_a_sum_may_take_spectra_of_both_forms() -> None:
    transform = transforms((9, 7))[1]
    z, m = (transform.observe(jnp.asarray(drawn(seed, True), jnp.float32)) for seed in (4, 5))
    expected = transform.correlate(z, m)
    mixed = transform.correlate(transform.complete(z), m)
    np.testing.assert_allclose(mixed, expected, atol=2e-6 * np.abs(expected).max())


@every
def test_inverse_undoes_the_transform_and_centres(
    maybe_jit: Callable[..., Callable[..., jax.Array]], grid: tuple[int, int], which: int
) -> None:
    values = np.random.default_rng(3).normal(size=grid)
    transform = transforms(grid)[which]
    x = np.zeros((2, transform.shape[0] // 2 + 1, transform.shape[1]), np.float32)
    half = spectrum.split(np.fft.rfft2(values, axes=(1, 0)))
    x[tuple(map(slice, half.shape))] = half
    result = np.array(maybe_jit(lambda t, x: t.inverse(x))(transform, jnp.asarray(x)))
    np.testing.assert_allclose(
        result[: grid[0], : grid[1]], np.fft.fftshift(values), atol=2e-6 * np.abs(half).max()
    )
    result[: grid[0], : grid[1]] = 0
    assert not result.any()


@every
def test_forward_undoes_inverse(
    maybe_jit: Callable[..., Callable[..., jax.Array]], grid: tuple[int, int], which: int
) -> None:
    transform = transforms(grid)[which]
    values = np.zeros(transform.shape, np.float32)
    values[: grid[0], : grid[1]] = np.random.default_rng(3).normal(size=grid)
    x = maybe_jit(lambda t, v: t.forward(v))(transform, jnp.asarray(values))
    half = np.fft.rfft2(np.fft.ifftshift(values[: grid[0], : grid[1]]), axes=(1, 0))
    check(x, half, 2e-6 * np.abs(half).max())
    back = maybe_jit(lambda t, x: t.inverse(x))(transform, x)
    np.testing.assert_allclose(back, values, atol=2e-6 * np.abs(half).max())
    row, column = (int(i) for i in transform.centre)
    assert (row, column) == (grid[0] // 2, grid[1] // 2)
    constant = np.zeros((2, transform.shape[0] // 2 + 1, transform.shape[1]), np.float32)
    phases = np.zeros(grid)
    phases[0, 0] = 1  # an impulse at index 0
    impulse = np.fft.rfft2(phases, axes=(1, 0))
    constant[0, : impulse.shape[0], : impulse.shape[1]] = impulse.real
    place = np.asarray(transform.inverse(jnp.asarray(constant)))
    assert np.unravel_index(place.argmax(), place.shape) == (row, column)


@pytest.mark.parametrize("grid", [(8, 8), (9, 7), (8, 11)])
def test_maps_of_the_grids_own_cells_are_only_windowed(grid: tuple[int, int]) -> None:
    padded = (grid[0] + 3, grid[1] + 6)
    features = np.zeros((*padded, 3), np.float32)
    features[: grid[0], : grid[1]] = np.random.default_rng(6).uniform(0, 9, (*grid, 3))
    own = features[: grid[0], : grid[1]].astype(np.float64)
    transform = spectrum.matrices(grid, [padded], padded, own=True)
    x = transform.complete(transform.observe(jnp.asarray(features))).values
    expected = windowed(own, grid)
    check(jnp.swapaxes(x, 0, 1), expected, 2e-6 * np.abs(expected).max())


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
