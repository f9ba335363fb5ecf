"""Products of float64 numbers without float64, bit by bit against NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcft_jax.core import double

NUMBERS = st.floats(2.0**-60, 2.0**60)
COUNT = 8  # of each example: one executable for all
MANY = st.lists(NUMBERS, min_size=COUNT, max_size=COUNT).map(np.array)
MULTIPLY, FLOOR = jax.jit(double.multiply), jax.jit(double.floor)


def value(encoded: Any) -> np.ndarray:
    """The float64 numbers that are meant."""
    limbs = np.asarray(encoded).astype(np.int64)
    assert (limbs[..., :4] >= 0).all()
    assert (limbs[..., :3] < 2**14).all()
    assert (limbs[..., 3] < 2**11).all()
    mantissa = (limbs[..., :4] << (14 * np.arange(4))).sum(axis=-1)
    return np.ldexp(mantissa.astype(np.float64), limbs[..., 4])


@given(MANY)
def test_a_number_is_kept_to_its_last_bit(numbers: np.ndarray) -> None:
    encoded = double.encoded(numbers)
    assert encoded.dtype == np.int32
    assert encoded.shape == (COUNT, 5)
    np.testing.assert_array_equal(value(encoded), numbers)


@settings(deadline=None)
@given(MANY, MANY)
def test_products_are_rounded_as_ieee_says(a: np.ndarray, b: np.ndarray) -> None:
    found = MULTIPLY(jnp.asarray(double.encoded(a)), jnp.asarray(double.encoded(b)))
    np.testing.assert_array_equal(found, double.encoded(a * b))


@settings(deadline=None)
@given(
    st.lists(st.integers(2**52, 2**53 - 1), min_size=COUNT, max_size=COUNT),
    st.lists(st.integers(1, 2**12), min_size=COUNT, max_size=COUNT),
)
def test_ties_go_to_the_even_number(mantissas: list[int], factors: list[int]) -> None:
    """Products of few bits beyond the last one are often halfway between two numbers."""
    a, b = np.array(mantissas, np.float64), np.array(factors, np.float64)
    found = MULTIPLY(jnp.asarray(double.encoded(a)), jnp.asarray(double.encoded(b)))
    np.testing.assert_array_equal(found, double.encoded(a * b))


SPECIAL = np.array([1.0, 1.5, 2.0 - 2.0**-52, 1.0 + 2.0**-52, 4503599627370497.0, 3.0, 1.02, 1 / 3])


def test_special_products(maybe_jit: Any) -> None:
    """Powers of two, and products that are rounded up to one."""
    a, b = (x.ravel() for x in np.meshgrid(SPECIAL, SPECIAL))
    found = maybe_jit(double.multiply)(
        jnp.asarray(double.encoded(a)), jnp.asarray(double.encoded(b))
    )
    np.testing.assert_array_equal(found, double.encoded(a * b))


def test_long_products_stay_equal() -> None:
    own, number = jnp.asarray(double.encoded(np.ones(2))), np.ones(2)
    factors = np.array([1.02**3, 1.02**-7])
    for _ in range(60):
        own, number = MULTIPLY(own, jnp.asarray(double.encoded(factors))), number * factors
    np.testing.assert_array_equal(own, double.encoded(number))


@settings(deadline=None)
@given(st.lists(st.floats(1e-9, 2**24 - 1), min_size=COUNT, max_size=COUNT).map(np.array))
def test_the_whole_part_is_numpys(numbers: np.ndarray) -> None:
    np.testing.assert_array_equal(FLOOR(jnp.asarray(double.encoded(numbers))), np.floor(numbers))


@pytest.mark.parametrize("whole", [1, 2, 3, 127, 128, 4095, 65536, 2**24 - 1])
def test_a_last_bit_decides_the_whole_part(whole: int, maybe_jit: Any) -> None:
    numbers = np.array([np.nextafter(whole, 0), whole, np.nextafter(whole, np.inf)])
    found = maybe_jit(double.floor)(jnp.asarray(double.encoded(numbers)))
    np.testing.assert_array_equal(found, [whole - 1, whole, whole])


def test_traced_numbers_are_encoded_likewise() -> None:
    numbers = np.random.default_rng(0).uniform(1e-3, 1e3, (3, 7))
    with jax.enable_x64(True):
        found = jax.jit(double.encoded)(jnp.asarray(numbers))
    assert found.dtype == jnp.int32
    np.testing.assert_array_equal(found, double.encoded(numbers))
