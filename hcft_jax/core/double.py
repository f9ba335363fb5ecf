"""Products in double precision on devices, and in programs, that have only 32 bits.

What the authors' program rounds down is sometimes a product that is whole but for its last bit, so
to be at the same pixel the last bit counts. A number is five integers: four limbs of 14 bits, the
lowest first, of a 53-bit mantissa m, and the exponent e of m 2^e. Results are those of IEEE 754,
rounded to nearest, ties to even. Numbers are positive and far from the ends of the range.
"""

from typing import Any

import jax
import jax.numpy as jnp

from hcft_jax.core.arrays import namespace

_LIMBS = 4
_BITS = 14  # of a limb: the sum of four products of two fits into 31 bits
_MASK = 2**_BITS - 1
_MANTISSA = 53


def encoded(values: Any) -> Any:
    """Return float64 numbers above zero, NumPy's or traced, as int32 ``[..., 5]``.

    Args:
        values: ``[...]``.
    """
    xp = namespace(values)
    fraction, exponent = xp.frexp(values)
    mantissa = fraction * 2.0**_MANTISSA
    limbs = [xp.floor(mantissa / 2.0 ** (_BITS * i)) % 2.0**_BITS for i in range(_LIMBS)]
    exponent = (exponent - _MANTISSA).astype(mantissa.dtype)
    return xp.stack([*limbs, exponent], axis=-1).astype(xp.int32)


def multiply(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return products, int32 ``[..., 5]``.

    Args:
        a: ``[..., 5]``.
        b: ``[..., 5]``, of the same shape.
    """
    carry: Any = 0
    limbs = []  # of the 106-bit product
    for k in range(2 * _LIMBS):
        pairs = [(i, k - i) for i in range(_LIMBS) if 0 <= k - i < _LIMBS]
        total = carry + sum(a[..., i] * b[..., j] for i, j in pairs)
        limbs.append(total & _MASK)
        carry = total >> _BITS
    # the product has 105 or 106 bits, of which 53 stay
    longer = limbs[-1] >> (2 * _MANTISSA - 1 - (2 * _LIMBS - 1) * _BITS)
    cut = _MANTISSA - 1 - 3 * _BITS + longer  # bits of limb 3 that go, beside limbs 0 to 2
    limbs.append(jnp.zeros_like(longer))
    kept = [
        (limbs[3 + i] >> cut) | ((limbs[4 + i] << (_BITS - cut)) & _MASK) for i in range(_LIMBS)
    ]
    half = (limbs[3] >> (cut - 1)) & 1
    below = limbs[0] | limbs[1] | limbs[2] | (limbs[3] & ((1 << (cut - 1)) - 1))
    carry = half & ((below != 0) | ((kept[0] & 1) == 1)).astype(jnp.int32)
    for i in range(_LIMBS):
        total = kept[i] + carry
        kept[i], carry = total & _MASK, total >> _BITS
    full = kept[3] >> (_MANTISSA - 3 * _BITS)  # rounded up to 2^53
    kept[3] = kept[3] >> full
    exponent = a[..., 4] + b[..., 4] + _MANTISSA - 1 + longer + full
    return jnp.stack([*kept, exponent], axis=-1)


def floor(a: jax.Array) -> jax.Array:
    """Return the whole part of numbers below 2^24, int32 ``[...]``.

    Args:
        a: ``[..., 5]``.
    """
    upper = (a[..., 3] << _BITS) | a[..., 2]
    return jnp.where(a[..., 4] <= -_MANTISSA, 0, upper >> jnp.clip(-a[..., 4] - 2 * _BITS, 0, 31))
