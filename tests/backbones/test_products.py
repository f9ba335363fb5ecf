"""The sides of a product, by precision, and a product of parts against float64."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones.products import PRECISIONS, convolution

PARTS = PRECISIONS["bfloat16x3"]


@pytest.fixture(scope="module")
def x() -> jax.Array:
    drawn = np.random.default_rng(0).normal(0, 3, (2, 9, 8, 5))
    return jnp.asarray(drawn, jnp.float32)


@pytest.fixture(scope="module")
def kernel() -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).normal(0, 1, (3, 3, 5, 4)), jnp.float32)


@pytest.mark.parametrize("name", PRECISIONS)
def test_rounding_twice_is_rounding_once(name: str, x: jax.Array) -> None:
    once = PRECISIONS[name].rounded(x)
    np.testing.assert_array_equal(PRECISIONS[name].rounded(once), once)
    assert (np.asarray(once) == np.asarray(x)).all() == (name != "bfloat16")


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_kernel_is_made_ready_once(name: str, kernel: jax.Array) -> None:
    once = PRECISIONS[name].right(kernel, 5)
    np.testing.assert_array_equal(PRECISIONS[name].right(once, 5), once)


def test_parts_are_numbers_of_bfloat16_whose_sum_is_near(x: jax.Array, maybe_jit: Any) -> None:
    sides = np.asarray(maybe_jit(PARTS.left)(x))
    assert sides.shape == (2, 9, 8, 15)
    np.testing.assert_array_equal(sides.astype(jnp.bfloat16).astype(np.float32), sides)
    high, again, low = np.split(sides, 3, axis=-1)
    np.testing.assert_array_equal(high, np.asarray(x).astype(jnp.bfloat16).astype(np.float32))
    np.testing.assert_array_equal(again, high)
    assert low.any()
    apart = np.abs(np.float64(high) + np.float64(low) - np.float64(x))
    assert (apart <= 2.0**-16 * np.abs(x)).all()


def test_three_of_the_four_products_are_summed(x: jax.Array, kernel: jax.Array) -> None:
    left = np.split(np.asarray(PARTS.left(x)), 3, axis=-1)
    right = np.split(np.asarray(PARTS.right(kernel, 5)), 3, axis=-2)
    for index, other in ((0, left[1]), (2, left[0])):
        assert (left[index] == other).all() == (index == 0)
    np.testing.assert_array_equal(right[0], right[2])
    assert np.abs(right[1]).max() < 2.0**-7 * np.abs(right[0]).max()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID", [(2, 0), (1, 3)]])
def test_a_convolution_of_parts_is_near(
    x: jax.Array, kernel: jax.Array, stride: int, padding: Any, maybe_jit: Any
) -> None:
    full, near, rounded = (
        np.asarray(
            maybe_jit(
                lambda x, kernel, name=name: convolution(
                    x, kernel, PRECISIONS[name], stride, padding
                )
            )(x, kernel),
            np.float64,
        )
        for name in ("float32", "bfloat16x3", "bfloat16")
    )
    assert np.abs(near - full).max() < 1e-5 * np.abs(full).max()
    assert np.abs(rounded - full).max() > 1e-3 * np.abs(full).max()


def test_gradients_of_a_product_of_parts_are_not_rounded(x: jax.Array, kernel: jax.Array) -> None:
    weights = jnp.asarray(np.random.default_rng(2).normal(0, 1, (2, 9, 8, 4)), jnp.float32)

    def total(x: jax.Array, kernel: jax.Array, precision: str) -> jax.Array:
        return (weights * convolution(x, kernel, PRECISIONS[precision])).sum()

    gradients = jax.grad(total, argnums=(0, 1))
    full, near = (gradients(x, kernel, name) for name in ("float32", "bfloat16x3"))
    for one, other in zip(full, near, strict=True):
        assert float(jnp.abs(one - other).max()) < 1e-5 * float(jnp.abs(one).max())
