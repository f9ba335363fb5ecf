from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcft_jax.core import search

GRID = (9, 7)


def maps(seed: int) -> list[jnp.ndarray]:
    return list(jnp.asarray(np.random.default_rng(seed).normal(size=(3, *GRID)), jnp.float32))


@pytest.mark.parametrize(
    ("cells", "first"),
    [([(2, 3), (5, 1)], (5, 1)), ([(4, 2), (1, 2)], (1, 2)), ([(0, 0), (6, 6)], (0, 0))],
    ids=["leftmost column", "then topmost row", "corner"],
)
def test_of_equal_maxima_matlabs_first_is_taken(
    maybe_jit: Callable[..., Callable[..., jnp.ndarray]],
    cells: list[tuple[int, int]],
    first: tuple[int, int],
) -> None:
    response = np.zeros((8, 7), np.float32)
    for cell in cells:
        response[cell] = 1.0
    assert tuple(maybe_jit(search.locate)(jnp.asarray(response)).tolist()) == first


@given(st.integers(0, 10**6), st.integers(0, 16))
@settings(max_examples=25, deadline=None)
def test_each_finer_maximum_lies_within_the_radius_of_the_coarser(seed: int, radius: int) -> None:
    responses, gamma = maps(seed), [1.0, 0.5, 0.3]
    total, peak = search.combine(responses, gamma, float(radius), GRID)
    # Eq. 5 by exhaustive search
    added = np.zeros((9, 7))
    coarse: tuple[int, int] | None = None
    for response, weight in zip(responses, gamma, strict=True):
        added = added + weight * np.asarray(response, np.float64)
        admitted = [
            (added[m, n], m, n)
            for m in range(9)
            for n in range(7)
            if coarse is None or abs(m - coarse[0]) + abs(n - coarse[1]) <= radius
        ]
        _, *best = max(admitted)
        coarse = (best[0], best[1])
    assert tuple(peak.tolist()) == coarse
    np.testing.assert_allclose(total, added, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_radius_over_the_whole_grid_is_the_weighted_sum(seed: int) -> None:
    responses, gamma = maps(seed), [0.7, 0.5, 0.3]
    _, constrained = search.combine(responses, gamma, 16.0, GRID)
    _, free = search.combine(responses, gamma, None, GRID)
    assert constrained.tolist() == free.tolist()


@pytest.mark.parametrize("radius", [None, 3.0])
def test_no_maximum_is_sought_in_the_padding(radius: float | None) -> None:
    responses, gamma = maps(2), [0.7, 0.5, 0.3]
    _, expected = search.combine(responses, gamma, radius, GRID)
    padded = [jnp.pad(r, ((0, 4), (0, 2)), constant_values=99.0) for r in responses]
    _, peak = search.combine(padded, gamma, radius, jnp.array(GRID))
    assert peak.tolist() == expected.tolist()


def test_radius_zero_leaves_the_coarsest_layers_maximum() -> None:
    responses = maps(1)
    _, peak = search.combine(responses, [1.0, 9.0, 9.0], 0.0, GRID)
    assert peak.tolist() == search.locate(responses[0]).tolist()


@pytest.mark.parametrize("peak", [(0, 0), (10, 12), (24, 3)])
def test_peak_to_sidelobe_leaves_out_eleven_by_eleven_cells(
    maybe_jit: Callable[..., Callable[..., jnp.ndarray]], peak: tuple[int, int]
) -> None:
    response = np.random.default_rng(5).normal(size=(25, 20)).astype(np.float32)
    response[peak] = 30.0
    sidelobe = np.ma.array(response, mask=np.zeros(response.shape, bool))
    rows, columns = (slice(max(p - 5, 0), p + 6) for p in peak)
    sidelobe[rows, columns] = np.ma.masked
    expected = (30.0 - sidelobe.mean()) / sidelobe.std()
    padded = np.pad(response, ((0, 3), (0, 9)), constant_values=7.0)  # not to be looked at
    ratio = maybe_jit(search.peak_to_sidelobe)(
        jnp.asarray(padded), jnp.array(peak), jnp.array(response.shape)
    )
    np.testing.assert_allclose(ratio, expected, rtol=1e-5)


@pytest.mark.parametrize("grid", [(4, 4), (30, 30)], ids=["no sidelobe", "flat"])
def test_peak_to_sidelobe_of_nothing_to_compare_with_is_zero(grid: tuple[int, int]) -> None:
    assert search.peak_to_sidelobe(jnp.ones(grid), jnp.array([2, 2]), grid) == 0.0
