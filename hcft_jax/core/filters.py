"""The correlation filter of one layer: train (Eq. 2, 3), respond (Eq. 4), update (Eq. 6).

Y is constant over a track, so the numerator of Eq. 6a is Y conj(M) with M the running average of
the features' spectrum X, and Eq. 6b averages their energy. The authors' program averages
Y / (energy + lambda) in its place. Either way a filter's state is M and one single-channel map.
Spectra are ``[2, gh, gw // 2 + 1, ...]``: real and imaginary parts (``hcft_jax.core.spectrum``).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hcft_jax.core.spectrum import Transform, split


class Filter(NamedTuple):
    """The model of the target learned from one layer of D channels."""

    model: jax.Array  # [2, gh, gw // 2 + 1, D]: M, the running average of X
    scale: jax.Array  # paper: B, the energy [gh, gw // 2 + 1]; cf2: alpha [2, gh, gw // 2 + 1]


def train(
    x: jax.Array, y: jax.Array, transform: Transform, lambda_: jax.Array | float, update: str
) -> Filter:
    """Return the filter of one frame: Eq. 3's numerator and denominator, kept apart.

    The energy sum_d abs(X^d)^2 is divided by gh gw D, as in the authors' program: the value of
    lambda is relative to that.

    Args:
        x: ``[2, gh, gw // 2 + 1, D]``, spectrum of the windowed features.
        y: ``[2, gh, gw // 2 + 1]``, spectrum of the label.
        transform: of the grid, gh x gw cells.
        lambda_: regularisation, > 0.
        update: ``"paper"`` or ``"cf2"``.
    """
    energy = jnp.sum(jnp.square(x), axis=(0, 3)) / (transform.cells * x.shape[3])
    return Filter(x, energy if update == "paper" else y / (energy + lambda_)[None])


def respond(
    filter_: Filter,
    z: jax.Array,
    y: jax.Array,
    transform: Transform,
    lambda_: jax.Array | float,
    update: str,
) -> jax.Array:
    """Return the response map f of Eq. 4 ``[gh, gw]`` on the features of spectrum ``z``.

    A target that has not moved since training responds at index (gh // 2, gw // 2), one that moved
    by (+m, +n) cells at (+m, +n) from there.
    """
    # complex here, so that one pass over the spectra, the largest arrays of all, gives both parts;
    # sums of the real products take three to four times as long on a CPU
    values, model = (jax.lax.complex(a[0], a[1]) for a in (z, filter_.model))
    correlation = split(jnp.sum(values * model.conj(), axis=-1))
    correlation = correlation / (transform.cells * z.shape[3])
    alpha = filter_.scale if update == "cf2" else y / (filter_.scale + lambda_)[None]
    product = jnp.stack(
        [
            alpha[0] * correlation[0] - alpha[1] * correlation[1],
            alpha[0] * correlation[1] + alpha[1] * correlation[0],
        ]
    )
    return transform.inverse(product)


def update(old: Filter, new: Filter, eta: jax.Array | float) -> Filter:
    """Return the running average of Eq. 6, (1 - eta) old + eta new, of M and of the map."""
    return jax.tree.map(lambda a, b: (1.0 - eta) * a + eta * b, old, new)
