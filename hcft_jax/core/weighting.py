"""Weights of the layers that follow how well each has served (``--weighting=adaptive``).

Eq. 5's gamma is the same for all targets, and where target and background mean the same to the deep
layers it misleads (the paper's Singer2). After HDT (Qi et al., CVPR 2016), whose experts are hedged
by what the common decision costs each of them: a layer's *quality* in a frame is its response where
the target was found, as a share of its own maximum, times its peak-to-sidelobe ratio there, as a
share of what that was in the first frames, at most 1. Its running average, to the power of
``POWER``, scales the layer's gamma; the weights' sum stays.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hcft_jax.core import search

RATE = 0.05  # of the running average
POWER = 4.0


class Trust(NamedTuple):
    """How well each of L layers has served, deepest first."""

    quality: jax.Array  # [L] in [0, 1]
    sharpness: jax.Array  # [L] peak-to-sidelobe ratio in the first frames; 0: not known yet


def start(count: int, like: jax.Array) -> Trust:
    """Return what is known in the first frame: all layers serve alike.

    Args:
        count: L.
        like: an array of the wanted dtype.
    """
    return Trust(jnp.ones(count, like.dtype), jnp.zeros(count, like.dtype))


def weights(gamma: Sequence[jax.Array | float], trust: Trust) -> list[jax.Array]:
    """Return the layers' weights; their sum is that of gamma.

    Args:
        gamma: of Eq. 5.
        trust: in the layers that it weighs.
    """
    best = jnp.maximum(jnp.max(trust.quality), 1e-6)
    scaled = [g * (trust.quality[i] / best) ** POWER for i, g in enumerate(gamma)]
    before, after = sum(gamma[1:], start=gamma[0]), sum(scaled[1:], start=scaled[0])
    share = before / jnp.where(after > 0, after, 1.0)
    return [share * weight for weight in scaled]


def follow(
    trust: Trust, responses: Sequence[jax.Array], peak: jax.Array, grid: search.Grid
) -> Trust:
    """Return the trust after one more frame.

    Args:
        trust: after the previous frame.
        responses: of the layers, ``[gh, gw]`` each, or larger, padded.
        peak: (row, column) in cells where the target was found.
        grid: (gh, gw); no cell outside it counts.
    """
    ratio = jnp.stack([search.peak_to_sidelobe(r, peak, grid) for r in responses])
    ratio = jnp.maximum(ratio, 0.0)
    known = jnp.where(trust.sharpness > 0, trust.sharpness, jnp.maximum(ratio, 1e-6))
    sharp = jnp.minimum(ratio / known, 1.0)
    agreed = jnp.stack([search.normalized(r, grid)[peak[0], peak[1]] for r in responses])
    seen = sharp * jnp.clip(agreed, 0.0, 1.0)
    return Trust(trust.quality + RATE * (seen - trust.quality), known)
