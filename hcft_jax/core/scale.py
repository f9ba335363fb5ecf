"""The target's size: one factor, followed by a correlation filter over 33 scales (DSST).

From Danelljan et al., "Accurate Scale Estimation for Robust Visual Tracking", BMVC 2014, as the
authors of HCFT took it into their program later (github.com/jbhuang0604/CF2, 2018): 33 windows
around the target, from 1.02^16 to 1.02^-16 of its present size, are shrunk to one small sample each
and described by fHOG. Along the axis of scales these are trained and correlated like the cells of a
translation filter.

The factor is a product of powers of 1.02, so a track carries the exponent. That program carries the
product as a number, and rounds window sizes down that are whole but for its last bits; so does a
track here (``double``).
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones.fhog import fhog
from hcft_jax.core import double, resize
from hcft_jax.core.arrays import Array, namespace
from hcft_jax.core.sampling import Pair

STEP = 1.02  # between two scales
COUNT = 33  # scales, of which the middle one is the present size
LAMBDA = 0.01  # regularisation
AREA = 512  # pixels of a sample, at most
LONGEST = 64  # pixels of a sample's side, at most: needed only for targets eight times as long
CELL = 4  # pixels of fHOG
LEAST = 5  # pixels of the window at the least factor

_DARKER = 1 + 1e-6
_MIDDLE = COUNT // 2
_HALF = COUNT // 2 + 1  # frequencies that are kept of a real signal's spectrum
_FARTHEST = 400  # the exponents are within +- this: 1 to 2,755 times
# made in float64, so that a factor is the same on all devices
_POWERS = np.array([STEP**i for i in range(-_FARTHEST, _FARTHEST + 1)])
_FACTORS = double.encoded(np.array([STEP**i for i in range(_MIDDLE, -_MIDDLE - 1, -1)]))
_DEVIATION = COUNT / math.sqrt(COUNT) / 4  # of the label, in scales
_ENCODED = double.encoded(_POWERS)
_HIGHEST = jax.lax.Precision.HIGHEST


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["base", "sample", "least", "most"],
    meta_fields=["shape"],
)
@dataclass(frozen=True)
class Scales:
    """What the first frame fixes about a target's scales."""

    base: Array  # int32 [2, 5]: (h, w) in pixels sampled at factor 1, as ``double`` has it
    sample: Array  # int32 [2]: (height, width) of a sample in pixels
    least: Array  # int32 []: exponent of the least factor
    most: Array  # int32 []: and of the largest
    shape: tuple[int, int]  # static: that of the samples, with padding


class Scale(NamedTuple):
    """The size of a target, and the filter that follows it, where one does."""

    exponent: jax.Array  # int32 []: the factor is 1.02 to the power of it
    product: jax.Array | None = None  # int32 [5]: the factor, as ``double`` has it
    numerator: jax.Array | None = None  # [2, 17, F]: Y conj(X), real and imaginary part
    denominator: jax.Array | None = None  # [17]: the sum over the features of abs(X)^2


def sample_size(target: Pair, margin: float) -> Pair:
    """Return the (height, width) of a sample in pixels, of at most ``AREA``.

    Args:
        target: (h, w) in the first frame, in pixels.
        margin: pixels that are added to both.
    """
    xp = namespace(*target)
    base = [side + margin for side in target]
    shrunk = xp.minimum(1.0, xp.sqrt(AREA / (base[0] * base[1])))
    height, width = (xp.clip(xp.floor(side * shrunk), 1, LONGEST) for side in base)
    return height, width


def scales(target: Pair, image: Pair, margin: float, shape: tuple[int, int]) -> Scales:
    """Return the operators of a target's scales, in NumPy, or traced where the sizes are.

    Args:
        target: (h, w) in the first frame, in pixels: numbers, or traced float64.
        image: (H, W) in pixels.
        margin: pixels that are added to the target's sides before it is sampled.
        shape: (height, width) of the samples with padding; less than a cell is padded to one.
    """
    xp = namespace(*target)
    sample = sample_size(target, margin)
    least, most = limits(target, _window(target, image), image)
    return Scales(
        base=double.encoded(xp.stack([xp.asarray(side + margin, xp.float64) for side in target])),
        sample=xp.stack(sample).astype(xp.int32),
        least=least,
        most=most,
        shape=(max(shape[0], CELL), max(shape[1], CELL)),
    )


def _window(target: Pair, image: Pair) -> Pair:
    """Return the search window's (height, width) by the rule that this program has for scales."""
    xp = namespace(*target)
    (h, w), (height, width) = target, image
    large = (xp.minimum(h, w) > 80) & (h * w / (height * width) > 0.1)
    usual = xp.where(large, 2.0, 2.8)
    tall = h / w > 2
    vertical, horizontal = xp.where(tall, 1.4, usual), xp.where(tall, 2.8, usual)
    return xp.floor(h * vertical), xp.floor(w * horizontal)


def limits(target: Pair, window: Pair, image: Pair) -> tuple[Any, Any]:
    """Return the exponents of the least and the largest factor, int32 [] each.

    Args:
        target: (h, w) in the first frame, in pixels: numbers, or traced.
        window: (M, N) of the search window in pixels.
        image: (H, W) in pixels.
    """
    xp = namespace(*target)
    smallest = xp.maximum(*(LEAST / side for side in window))
    largest = xp.minimum(*(i / side for i, side in zip(image, target, strict=True)))
    least = xp.ceil(xp.log(smallest) / math.log(STEP))
    most = xp.floor(xp.log(largest) / math.log(STEP))
    low, high = xp.clip(least, -_FARTHEST, 0), xp.clip(most, 0, _FARTHEST)
    return low.astype(xp.int32), high.astype(xp.int32)


def factor(exponent: jax.Array | int, dtype: Any = jnp.float32) -> jax.Array:
    """Return 1.02 to the power of an exponent, an integer array of any shape."""
    return jnp.asarray(_POWERS, dtype)[jnp.asarray(exponent, jnp.int32) + _FARTHEST]


def start(fixed: Scales, pixels: jax.Array, extent: Array, position: jax.Array) -> Scale:
    """Return the size of the first frame, factor 1, and a filter trained on it.

    Args:
        fixed: of the target.
        pixels: the image's brightness in [0, 255], ``[>= H, >= W]``.
        extent: int32 ``[2]``, (H, W) of the image without padding.
        position: (row, column) of the target's centre.
    """
    product = jnp.asarray(double.encoded(np.array(1.0)))
    x = _spectrum(fixed, pixels, extent, position, product)
    return Scale(jnp.zeros((), jnp.int32), product, *_trained(x))


def follow(
    fixed: Scales,
    old: Scale,
    pixels: jax.Array,
    extent: Array,
    position: jax.Array,
    eta: jax.Array | float,
) -> Scale:
    """Return the size in a frame, and the filter after learning from it.

    Args:
        fixed: of the target.
        old: after the previous frame.
        pixels: the image's brightness in [0, 255], ``[>= H, >= W]``.
        extent: int32 ``[2]``, (H, W) of the image without padding.
        position: (row, column) of the target's centre in this frame.
        eta: learning rate, in [0, 1].
    """
    assert old.product is not None
    assert old.numerator is not None
    assert old.denominator is not None
    x = _spectrum(fixed, pixels, extent, position, old.product)
    response = _response(old, x)
    # where nothing differs (a sample of no cell), the size stays
    best = jnp.where(jnp.ptp(response) > 0, jnp.argmax(response), _MIDDLE).astype(jnp.int32)
    exponent = old.exponent + _MIDDLE - best
    limited = jnp.clip(exponent, fixed.least, fixed.most)
    product = jnp.where(
        exponent == limited,
        double.multiply(old.product, jnp.asarray(_FACTORS)[best]),
        jnp.asarray(_ENCODED)[limited + _FARTHEST],
    )
    new = _trained(_spectrum(fixed, pixels, extent, position, product))
    numerator, denominator = new
    return Scale(
        limited,
        product,
        (1.0 - eta) * old.numerator + eta * numerator,
        (1.0 - eta) * old.denominator + eta * denominator,
    )


def samples(
    fixed: Scales, pixels: jax.Array, extent: Array, position: jax.Array, product: jax.Array
) -> jax.Array:
    """Return the grey samples of all scales, largest first, ``[33, *fixed.shape]`` in [0, 255].

    Args:
        fixed: of the target.
        pixels: the image's brightness in [0, 255], ``[>= H, >= W]``.
        extent: int32 ``[2]``, (H, W) of the image without padding.
        position: (row, column) of the target's centre.
        product: the present factor, as ``double`` has it.
    """
    factors = double.multiply(jnp.broadcast_to(product, _FACTORS.shape), jnp.asarray(_FACTORS))
    pairs = jnp.broadcast_arrays(factors[:, None], jnp.asarray(fixed.base)[None])
    windows = jnp.maximum(double.floor(double.multiply(*pairs)), 1).astype(pixels.dtype)

    def operator(axis: int, window: jax.Array) -> jax.Array:
        first = jnp.floor(position[axis]) + 1.0 - jnp.floor(window / 2)
        length, size = extent[axis], jnp.asarray(fixed.sample)[axis]
        return resize.cut(first, window, length, size, (fixed.shape[axis], pixels.shape[axis]))

    vertical, horizontal = (
        jax.vmap(functools.partial(operator, axis))(windows[:, axis]) for axis in range(2)
    )
    # the shorter side of a sample first: fewer products with whole rows or columns of the image
    if fixed.shape[0] <= fixed.shape[1]:
        rows = jnp.einsum("kiy,yx->kix", vertical, pixels, precision=_HIGHEST)
        values = jnp.einsum("kix,kjx->kij", rows, horizontal, precision=_HIGHEST)
    else:
        columns = jnp.einsum("kjx,yx->kjy", horizontal, pixels, precision=_HIGHEST)
        values = jnp.einsum("kjy,kiy->kij", columns, vertical, precision=_HIGHEST)
    # that program resizes 8-bit images to 8-bit ones, and what is halfway falls below by this
    return jnp.floor(values / _DARKER + 0.5)


def _spectrum(
    fixed: Scales, pixels: jax.Array, extent: Array, position: jax.Array, product: jax.Array
) -> jax.Array:
    """Return X, the spectrum of the features along the scales, [2, 17, F]."""
    values = samples(fixed, pixels, extent, position, product)
    features = jax.vmap(lambda sample: fhog(sample, CELL, jnp.asarray(fixed.sample)))(values)
    return jnp.einsum(
        "pfk,kn->pfn", _DFT.astype(values.dtype), features.reshape(COUNT, -1), precision=_HIGHEST
    )


def _trained(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return numerator and denominator of the filter of one frame."""
    y = jnp.asarray(_LABEL, x.dtype)[:, :, None]
    # Y conj(X)
    numerator = jnp.stack([y[0] * x[0] + y[1] * x[1], y[1] * x[0] - y[0] * x[1]])
    return numerator, jnp.sum(jnp.square(x), axis=(0, 2))


def _response(filter_: Scale, x: jax.Array) -> jax.Array:
    """Return the response of each scale, [33]."""
    assert filter_.numerator is not None
    assert filter_.denominator is not None
    a, b = filter_.numerator, x
    both = jnp.stack([a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]).sum(axis=2)
    return jnp.einsum(
        "pf,pfk->k",
        both / (filter_.denominator + LAMBDA)[None],
        jnp.asarray(_INVERSE, x.dtype),
        precision=_HIGHEST,
    )


def _matrices() -> tuple[Any, Any, Any]:
    """Return the windowed DFT of the scales, its inverse, and the label's spectrum."""
    k, f = np.arange(COUNT), np.arange(_HALF)
    turns = np.exp(-2j * np.pi * np.outer(f, k) / COUNT)  # [17, 33]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * k / (COUNT - 1))
    label = turns @ np.exp(-0.5 * ((k - _MIDDLE) / _DEVIATION) ** 2)
    twice = np.where(f > 0, 2.0, 1.0)[:, None] / COUNT  # the other half mirrors this one
    inverse = np.stack([twice * turns.real, twice * turns.imag])
    windowed = turns * window
    return np.stack([windowed.real, windowed.imag]), inverse, np.stack([label.real, label.imag])


_DFT, _INVERSE, _LABEL = _matrices()
