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


class Filter(NamedTuple):
    """The model of the target learned from D channels."""

    model: Parts  # M, the running average of X
    scale: jax.Array  # paper: B, the energy [gh // 2 + 1, gw]; cf2: alpha [2, gh // 2 + 1, gw]


def train(
    x: Parts, y: jax.Array, transform: Transform, lambda_: jax.Array | float, update: str
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
    """
    energy = _total(transform.energy(part) for part in x) / (transform.cells * channels(x))
    return Filter(x, energy if update == "paper" else y / (energy + lambda_)[None])


def respond(
    filter_: Filter,
    z: Parts,
    y: jax.Array,
    transform: Transform,
    lambda_: jax.Array | float,
    update: str,
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
    """
    pairs = zip(z, filter_.model, strict=True)
    correlation = _total(transform.correlate(part, model) for part, model in pairs)
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


def _total(maps: Iterable[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, maps)
