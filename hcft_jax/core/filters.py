"""The correlation filter of one layer: train (Eq. 2, 3), respond (Eq. 4), update (Eq. 6).

Y is constant over a track, so the numerator of Eq. 6a is Y conj(M) with M the running average of
the features' spectrum X, and Eq. 6b averages their energy. The authors' program averages
Y / (energy + lambda) in its place. Either way a filter's state is M and one single-channel map.
A filter sees one layer, or several that are concatenated (a hypercolumn): their spectra are parts
that stay apart, since only sums over all channels count (``hcft_jax.core.spectrum``).
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hcft_jax.core.spectrum import Spectrum, Transform

Parts = tuple[Spectrum, ...]  # of one filter: one per layer that it sees


class Kernel(NamedTuple):
    """The Gaussian kernel of CSK and KCF (Henriques et al., ECCV 2012 and PAMI 2015)."""

    bandwidth: jax.Array | float
    centred: bool = False
    """Whether the regularisation is that of CSK's program. It keeps the kernel with the shift zero
    in the middle of its map, so the spectrum that lambda is added to changes its sign from one
    frequency to the next (on an even grid); KCF's has no such shift."""


class Filter(NamedTuple):
    """The model of the target learned from D channels."""

    model: Parts  # M, the running average of X
    scale: jax.Array  # paper: B, the energy [gh // 2 + 1, gw]; cf2: alpha [2, gh // 2 + 1, gw]


def train(
    x: Parts,
    y: jax.Array,
    transform: Transform,
    lambda_: jax.Array | float,
    update: str,
    kernel: Kernel | None = None,
) -> Filter:
    """Return the filter of one frame: Eq. 3's numerator and denominator, kept apart.

    The energy sum_d abs(X^d)^2 is divided by gh gw D, as in the authors' program: the value of
    lambda is relative to that.

    Args:
        x: spectra of the windowed features.
        y: ``[2, gh // 2 + 1, gw]``, spectrum of the label.
        transform: of the grid, gh x gw cells.
        lambda_: regularisation, > 0.
        update: ``"paper"`` or ``"cf2"``.
        kernel: of the correlation, with ``update="cf2"``. None: linear.
    """
    energy = _total(transform.energy(part) for part in x)
    if kernel is not None:
        # the features with themselves: an even map, so its spectrum is real
        own = _kernel(kernel, _real(energy), energy, energy, transform, channels(x))[0]
        return Filter(x, _divided(y, own, lambda_, kernel, transform))
    energy = energy / (transform.cells * channels(x))
    return Filter(x, energy if update == "paper" else y / (energy + lambda_)[None])


def respond(
    filter_: Filter,
    z: Parts,
    y: jax.Array,
    transform: Transform,
    lambda_: jax.Array | float,
    update: str,
    kernel: Kernel | None = None,
) -> jax.Array:
    """Return the response map f of Eq. 4 ``[gh, gw]`` on the features of spectra ``z``.

    A target that has not moved since training responds at index (gh // 2, gw // 2), one that moved
    by (+m, +n) cells at (+m, +n) from there.

    Args:
        filter_: as trained.
        z: spectra of the windowed features.
        y: ``[2, gh // 2 + 1, gw]``, spectrum of the label.
        transform: of the grid, gh x gw cells.
        lambda_: regularisation, > 0.
        update: ``"paper"`` or ``"cf2"``.
        kernel: of the correlation, as for ``train``.
    """
    pairs = zip(z, filter_.model, strict=True)
    correlation = _total(transform.correlate(part, model) for part, model in pairs)
    if kernel is not None:
        seen, known = (
            _total(transform.energy(part) for part in parts) for parts in (z, filter_.model)
        )
        correlation = _kernel(kernel, correlation, seen, known, transform, channels(z))
    else:
        correlation = correlation / (transform.cells * channels(z))
    return transform.inverse(weighted(filter_, correlation, y, lambda_, update))


def weighted(
    filter_: Filter, correlation: jax.Array, y: jax.Array, lambda_: jax.Array | float, update: str
) -> jax.Array:
    """Return the spectrum of a response, Y / (B + lambda) times a correlation (Eq. 3).

    Args:
        filter_: as trained.
        correlation: ``[2, gh // 2 + 1, gw]``, the mean of Z conj(M) over channels and cells.
        y: spectrum of the label, of the same shape.
        lambda_: regularisation, > 0.
        update: ``"paper"`` or ``"cf2"``.
    """
    alpha = filter_.scale if update == "cf2" else y / (filter_.scale + lambda_)[None]
    return jnp.stack(
        [
            alpha[0] * correlation[0] - alpha[1] * correlation[1],
            alpha[0] * correlation[1] + alpha[1] * correlation[0],
        ]
    )


def update(old: Filter, new: Filter, eta: jax.Array | float) -> Filter:
    """Return the running average of Eq. 6, (1 - eta) old + eta new, of M and of the map."""
    return jax.tree.map(lambda a, b: (1.0 - eta) * a + eta * b, old, new)


def channels(x: Parts) -> int:
    """Return D, the number of channels of all parts."""
    return sum(part.values.shape[-1] for part in x)


def _kernel(
    kernel: Kernel,
    correlation: jax.Array,
    one: jax.Array,
    other: jax.Array,
    transform: Transform,
    count: int,
) -> jax.Array:
    """Return the spectrum of exp(-|x - shifted z|^2 / (cells D bandwidth^2)) over all shifts.

    Args:
        kernel: the kernel.
        correlation: the spectrum of x with z, ``[2, gh // 2 + 1, gw]``.
        one: the energy of x, ``[gh // 2 + 1, gw]``.
        other: that of z.
        transform: of the grid.
        count: D, the number of channels.
    """
    squares = transform.inverse(_real(one + other))[transform.centre]
    distance = jnp.maximum(squares - 2.0 * transform.inverse(correlation), 0.0)
    mean = distance / (transform.cells * count)
    # all values are near 1, which is the frequency 0 alone: transformed with the rest of them, it
    # would leave float32 too few digits for what the other frequencies are
    rest = transform.forward(jnp.expm1(-mean / jnp.square(kernel.bandwidth)))
    return rest.at[0, 0, 0].add(jnp.asarray(transform.cells, rest.dtype))


def _divided(
    y: jax.Array,
    own: jax.Array,
    lambda_: jax.Array | float,
    kernel: Kernel,
    transform: Transform,
) -> jax.Array:
    """Return alpha, the label's spectrum over that of the kernel, which is real, and lambda."""
    if not kernel.centred:
        return y / (own + lambda_)[None]
    # lambda times the conjugate of the phase of a shift by half the grid
    shape, grid, (row, column) = transform.shape, transform.grid, transform.centre
    place = jnp.zeros(shape, own.dtype).at[2 * row % grid[0], 2 * column % grid[1]].set(1.0)
    phase = transform.forward(place)
    real, imaginary = own + lambda_ * phase[0], -lambda_ * phase[1]
    square = jnp.square(real) + jnp.square(imaginary)
    square = jnp.where(square > 0, square, 1.0)  # zero where a padded spectrum is
    return (
        jnp.stack([y[0] * real + y[1] * imaginary, y[1] * real - y[0] * imaginary]) / square[None]
    )


def _real(values: jax.Array) -> jax.Array:
    """Return a real spectrum as other ones are, [2, ...]."""
    return jnp.stack([values, jnp.zeros_like(values)])


def _total(maps: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, maps)
