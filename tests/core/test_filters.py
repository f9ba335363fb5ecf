from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.core import filters, search, spectrum
from hcft_jax.core.filters import Filter, Kernel, Parts
from hcft_jax.core.spectrum import FFT, Full, Transform
from tests import reference

GRIDS = [(6, 5), (5, 6), (7, 7)]
LAMBDA = 0.05
UPDATES = ["paper", "cf2"]


def half(values: np.ndarray) -> jnp.ndarray:
    """The spectrum of one channel, [2, gh // 2 + 1, gw]."""
    return spectrum.split(jnp.fft.rfft2(jnp.asarray(values, jnp.float32), axes=(1, 0)))


def transformed(features: np.ndarray) -> Parts:
    """The spectra of a filter that sees one layer."""
    x = jnp.fft.rfft2(jnp.asarray(features, jnp.float32), axes=(1, 0))
    return (Full(jnp.stack([x.real, x.imag], axis=1)),)


def shifts(channel: np.ndarray) -> np.ndarray:
    """Every circular shift of a channel as a row, (m, n) the one that undoes a move by (m, n)."""
    height, width = channel.shape
    return np.array(
        [
            np.roll(channel, (-m, -n), axis=(0, 1)).ravel()
            for m in range(height)
            for n in range(width)
        ]
    )


def sample(grid: tuple[int, int], channels: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x, z = rng.normal(size=(2, *grid, channels))
    return x, z, reference.gaussian_label((30, 30), grid)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("grid", GRIDS)
def test_the_filter_is_ridge_regression_over_all_circular_shifts(
    maybe_jit: Callable[..., Callable[..., jnp.ndarray]], grid: tuple[int, int], update: str
) -> None:
    x, z, label = sample(grid)
    # min_w |A w - y|^2 + lambda' |w|^2, a row of A for each shift of all channels; the filter's
    # lambda is relative to gh gw D
    rows = np.concatenate([shifts(x[..., d]) for d in range(x.shape[2])], axis=1)
    ridge = LAMBDA * x.size * np.eye(rows.shape[1])
    w = np.linalg.solve(rows.T @ rows + ridge, rows.T @ label.ravel())
    expected = np.concatenate([shifts(z[..., d]) for d in range(z.shape[2])], axis=1) @ w

    def respond(x: Parts, z: Parts, y: jnp.ndarray) -> jnp.ndarray:
        trained = filters.train(x, y, FFT(grid), LAMBDA, update)
        return filters.respond(trained, z, y, FFT(grid), LAMBDA, update)

    y = half(label)
    response = np.fft.ifftshift(maybe_jit(respond)(transformed(x), transformed(z), y))
    np.testing.assert_allclose(response, expected.reshape(grid), atol=1e-5)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_target_moved_by_m_n_cells_is_found_at_m_n(grid: tuple[int, int], update: str) -> None:
    x, _, label = sample(grid, channels=8)
    y = half(label)
    trained = filters.train(transformed(x), y, FFT(grid), 1e-4, update)
    for m in range(-(grid[0] // 2), (grid[0] + 1) // 2):
        for n in range(-(grid[1] // 2), (grid[1] + 1) // 2):
            z = transformed(np.roll(x, (m, n), axis=(0, 1)))
            peak = search.locate(filters.respond(trained, z, y, FFT(grid), 1e-4, update))
            found = (int(peak[0]) - grid[0] // 2, int(peak[1]) - grid[1] // 2)
            assert found == (m, n)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_update_is_the_running_average(eta: float) -> None:
    old = Filter((Full(jnp.full((2, 3), 2.0)),), jnp.full(4, 5.0))
    new = Filter((Full(jnp.full((2, 3), 8.0)),), jnp.full(4, -5.0))
    average = filters.update(old, new, eta)
    np.testing.assert_allclose(average.model[0].values, np.full((2, 3), (1 - eta) * 2 + eta * 8))
    np.testing.assert_allclose(average.scale, np.full(4, (1 - eta) * 5 - eta * 5), atol=1e-6)


def test_papers_update_is_equation_6_per_channel() -> None:
    grid, eta = (6, 5), 0.2
    x, second, label = sample(grid)
    y = np.fft.fft2(label)
    numerator: Any = 0.0
    denominator: Any = 0.0
    state = None
    for weight, features in ((1.0, x), (eta, second)):  # Eq. 6a, 6b with A^d kept per channel
        spectra = np.fft.fft2(features, axes=(0, 1))
        new = y[..., None] * np.conj(spectra), (np.abs(spectra) ** 2).sum(axis=2)
        numerator = (1 - weight) * numerator + weight * new[0]
        denominator = (1 - weight) * denominator + weight * new[1]
        trained = filters.train(transformed(features), half(label), FFT(grid), LAMBDA, "paper")
        state = trained if state is None else filters.update(state, trained, eta)
    w = numerator / (denominator + LAMBDA * x.size)[..., None]
    expected = np.real(np.fft.ifft2((w * np.fft.fft2(x, axes=(0, 1))).sum(axis=2)))
    assert state is not None
    response = filters.respond(state, transformed(x), half(label), FFT(grid), LAMBDA, "paper")
    np.testing.assert_allclose(np.fft.ifftshift(response), expected, atol=1e-5)


def kcf(x: np.ndarray, z: np.ndarray, label: np.ndarray, sigma: float) -> tuple[Any, Any]:
    """KCF's alpha and response, as its program has them; the label's peak is at index 0."""

    def kernel(one: np.ndarray, other: np.ndarray) -> Any:
        spectra = np.fft.fft2(one, axes=(0, 1)), np.fft.fft2(other, axes=(0, 1))
        both = np.real(np.fft.ifft2((spectra[0] * np.conj(spectra[1])).sum(axis=2)))
        squares = (one**2).sum() + (other**2).sum() - 2 * both
        return np.fft.fft2(np.exp(-np.maximum(0, squares / one.size) / sigma**2))

    alpha = np.fft.fft2(label) / (kernel(x, x) + LAMBDA)
    return alpha, np.real(np.fft.ifft2(alpha * kernel(z, x)))


def csk(x: np.ndarray, z: np.ndarray, label: np.ndarray, sigma: float) -> tuple[Any, Any]:
    """CSK's alpha and response, as its program has them: kernel and label are centred."""
    shape = x.shape[:2]
    middle = shape[0] // 2, shape[1] // 2

    def kernel(one: np.ndarray, other: np.ndarray) -> Any:
        spectra = np.fft.fft2(one[..., 0]), np.fft.fft2(other[..., 0])
        both = np.roll(np.real(np.fft.ifft2(spectra[0] * np.conj(spectra[1]))), middle, (0, 1))
        squares = (one**2).sum() + (other**2).sum() - 2 * both
        return np.fft.fft2(np.exp(-np.maximum(0, squares / one.size) / sigma**2))

    alpha = np.fft.fft2(np.roll(label, middle, (0, 1))) / (kernel(x, x) + LAMBDA)
    return alpha, np.real(np.fft.ifft2(alpha * kernel(z, x)))


def kernel_transforms(grid: tuple[int, int]) -> list[Transform]:
    """All of them, the last one on a larger grid."""
    padded = (grid[0] + 3, grid[1] + 2)
    return [
        FFT(grid),
        spectrum.matrices(grid, [grid]),
        spectrum.matrices(grid, [padded], padded, own=True),
    ]


def half_parts(features: np.ndarray, shape: tuple[int, int]) -> Parts:
    """The spectra of a filter that sees one layer, on a grid of at least its shape."""
    x = np.fft.rfft2(features, axes=(1, 0))
    values = np.zeros((shape[0] // 2 + 1, 2, shape[1], features.shape[2]), np.float32)
    values[: x.shape[0], :, : x.shape[1]] = np.stack([x.real, x.imag], axis=1)
    return (Full(jnp.asarray(values)),)


def on(values: np.ndarray, shape: tuple[int, int]) -> jnp.ndarray:
    """The half spectrum of one channel, on a grid of at least its shape."""
    x = np.fft.rfft2(values, axes=(1, 0))
    out = np.zeros((2, shape[0] // 2 + 1, shape[1]), np.float32)
    out[:, : x.shape[0], : x.shape[1]] = np.stack([x.real, x.imag])
    return jnp.asarray(out)


@pytest.mark.parametrize("which", range(3), ids=["fft", "matrices", "padded"])
@pytest.mark.parametrize("grid", [(6, 5), (5, 6), (7, 7), (8, 6)])
@pytest.mark.parametrize(("program", "channels"), [(kcf, 3), (csk, 1)], ids=["kcf", "csk"])
def test_a_gaussian_kernels_filter_is_that_of_its_trackers_program(
    maybe_jit: Callable[..., Callable[..., Any]],
    program: Callable[..., tuple[Any, Any]],
    channels: int,
    grid: tuple[int, int],
    which: int,
) -> None:
    x, z, label = sample(grid, channels)
    x, z = x / 4, z / 4  # what moves the kernel's values: neither all near 1 nor near 0
    expected_alpha, expected = program(x, z, label, 0.5)
    transform = kernel_transforms(grid)[which]
    shape = transform.shape
    kernel = Kernel(0.5, centred=program is csk)

    def run(transform: Transform, x: Parts, z: Parts, y: jnp.ndarray) -> Any:
        trained = filters.train(x, y, transform, LAMBDA, "cf2", kernel)
        return trained.scale, filters.respond(trained, z, y, transform, LAMBDA, "cf2", kernel)

    alpha, response = maybe_jit(run)(
        transform, half_parts(x, shape), half_parts(z, shape), on(label, shape)
    )
    # CSK's program has the response's zero shift where its label has its peak: in the middle
    if program is kcf:
        expected = np.fft.fftshift(expected)
    scale = np.abs(expected).max()
    found = np.asarray(response)
    np.testing.assert_allclose(found[: grid[0], : grid[1]], expected, atol=1e-4 * scale)
    if program is kcf:
        expected_alpha = expected_alpha[: grid[0] // 2 + 1]
        both = np.stack([expected_alpha.real, expected_alpha.imag])
        own = np.asarray(alpha)[:, : grid[0] // 2 + 1, : grid[1]]
        np.testing.assert_allclose(own, both, atol=1e-4 * np.abs(both).max())


def test_csks_regularisation_is_another_than_kcfs() -> None:
    x, z, label = sample((6, 8), 1)
    x, z = x / 4, z / 4
    assert np.abs(np.fft.fftshift(kcf(x, z, label, 0.5)[1]) - csk(x, z, label, 0.5)[1]).max() > 0.01
