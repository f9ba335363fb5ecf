"""The products of a network, and the precisions in which they can be computed.

A convolution and a matrix product are sums of products of two sides. In ``bfloat16x3`` each side is
written as two bfloat16 numbers, ``x = high + low``, and three of the four products are summed::

    high * high + high * low + low * high

The fourth is below 2^-16 of the first, as is what two parts leave out. The parts lie side by side
along the axis that is summed over, so that one product of three times the length computes all three
and sums them in float32, as every device sums such products. They are kept as float32: a device
that rounds float32 numbers to TF32 or bfloat16 before it multiplies them loses nothing of them.
(XLA 0.10 has no convolution of bfloat16 into float32 on GPUs; it would convert them by itself.)
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp

_HIGH, _LOW = 0, 1
_LEFT = (_HIGH, _HIGH, _LOW)
_RIGHT = (_HIGH, _LOW, _HIGH)


@dataclass(frozen=True)
class Precision:
    """How a network's products are computed.

    Attributes:
        xla: The precision of XLA's product.
        parts: How many bfloat16 numbers stand for a number; 0: The number itself is multiplied.
    """

    xla: jax.lax.Precision
    parts: int = 0

    def rounded(self, x: jax.Array) -> jax.Array:
        """Return one side of a product, rounded to bfloat16 where one such part stands for it.

        Args:
            x: The side.
        """
        if self.parts != 1:
            return x
        if jax.default_backend() == "cpu":  # a CPU multiplies the same numbers faster as float32
            return _bfloat16(_held(x))
        return x.astype(jnp.bfloat16)

    def left(self, x: jax.Array) -> jax.Array:
        """Return the left side of a product as it is multiplied: ``[..., C]`` or ``[..., 3 C]``.

        Args:
            x: Maps or a matrix ``[..., C]``; the product sums over the last axis.
        """
        return _side_by_side(x, _LEFT, -1) if self.parts == 2 else self.rounded(x)

    def right(self, kernel: jax.Array, inputs: int) -> jax.Array:
        """Return the right side of a product as it is multiplied.

        Args:
            kernel: A kernel or matrix ``[..., C, K]``; the product sums over the last axis but one.
                It may be a result of this method.
            inputs: C, which tells whether the kernel is already in parts.
        """
        if self.parts != 2:
            return self.rounded(kernel)
        return kernel if kernel.shape[-2] != inputs else _side_by_side(kernel, _RIGHT, -2)


PRECISIONS = {
    "float32": Precision(jax.lax.Precision.HIGHEST),
    "bfloat16x3": Precision(jax.lax.Precision.DEFAULT, parts=2),
    "tf32": Precision(jax.lax.Precision.HIGH),
    "bfloat16": Precision(jax.lax.Precision.DEFAULT, parts=1),
}
"""The precision of a network's products, by the name of the mode; the most exact first."""

FLOAT32 = PRECISIONS["float32"]


def convolution(
    x: jax.Array,
    kernel: jax.Array,
    precision: Precision,
    stride: int = 1,
    padding: str | list[tuple[int, int]] = "SAME",
) -> jax.Array:
    """Convolve maps ``[..., H, W, C]`` with a kernel: ``[..., H', W', K]``.

    Args:
        x: The maps.
        kernel: ``[h, w, C, K]``, or what ``Precision.right`` made of it.
        precision: The precision of the products.
        stride: The step between outputs in cells, in both axes.
        padding: XLA's name of a padding, or the zeros before and after each axis.
    """
    left, right = precision.left(x), precision.right(kernel, x.shape[-1])
    y = jax.lax.conv_general_dilated(
        left.reshape(-1, *left.shape[-3:]),
        right,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=precision.xla,
    )
    return y.reshape(*x.shape[:-3], *y.shape[1:])


def product(x: jax.Array, matrix: jax.Array, precision: Precision) -> jax.Array:
    """Multiply the channels of maps ``[..., C]`` with a matrix: ``[..., K]``.

    Args:
        x: The maps.
        matrix: ``[C, K]``, or what ``Precision.right`` made of it.
        precision: The precision of the products.
    """
    return multiplied(precision.left(x), precision.right(matrix, x.shape[-1]), precision)


def multiplied(left: jax.Array, right: jax.Array, precision: Precision) -> jax.Array:
    """Multiply two sides ``[..., C]`` and ``[C, K]`` that are already as they are multiplied.

    Args:
        left: By ``Precision.left``.
        right: By ``Precision.right``.
        precision: The precision of the products.
    """
    return jax.lax.dot_general(
        left, right, (((left.ndim - 1,), (0,)), ((), ())), precision=precision.xla
    )


def _held(x: jax.Array) -> jax.Array:
    """Return the values, computed before anything is made of them where they are on a CPU."""
    # XLA (jax 0.10.2) computes wrong values on CPUs where it fuses a pooling with the rounding
    return jax.lax.optimization_barrier(x) if jax.default_backend() == "cpu" else x


def _bfloat16(x: jax.Array) -> jax.Array:
    """Return the nearest numbers that bfloat16 has, in the type of ``x``."""
    # a conversion there and back would be left out by XLA
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2))
@functools.partial(jax.jit, static_argnums=(1, 2))  # one small program for each kernel's shape
def _side_by_side(x: jax.Array, order: tuple[int, ...], axis: int) -> jax.Array:
    """Return the high and low parts in the given order, one after the other along an axis."""
    x = _held(x)
    high = _bfloat16(x)
    parts = high, _bfloat16(x - high)
    return jnp.concatenate([parts[part] for part in order], axis)


@_side_by_side.defjvp
def _changes(
    order: tuple[int, ...], axis: int, x: tuple[jax.Array], change: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """Return the parts and their change: that of ``x`` is the high part's, and the low one stays.

    By the rule for roundings gradients would be rounded, too. So they are products with the sum of
    the other side's parts.
    """
    parts = change[0], jnp.zeros_like(change[0])
    changes = jnp.concatenate([parts[part] for part in order], axis)
    return _side_by_side(x[0], order, axis), changes
