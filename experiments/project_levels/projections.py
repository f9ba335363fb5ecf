"""What photos say about the channels of a level, and the projections that follow from it.

A level's features x [C] in the cells of many photos have a mean m, a covariance S and a matrix of
second moments R = S + m m^T. Two projections are linear in x, and a linear correlation filter is
made of inner products:

* **Fewer channels.** With the eigenvectors U of the D largest eigenvalues of R, y = U^T x has the
  inner products of x but for what lies outside of them; no other D directions lose less.
* **Whitened.** y = (S + e t I)^(-1/2) (x - m) along its D strongest directions, with t the mean
  eigenvalue of S: directions that are strong everywhere, and so tell nothing, no longer outweigh
  the others (Hariharan, Malik and Ramanan, ECCV 2012). The mean square of a channel is at most 1
  afterwards, which gives a meaning to lambda.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Backbone, Params
from hcft_jax.backbones.products import FLOAT32
from hcft_jax.data.frames import read_image
from hcft_jax.data.sequence import Frame

Floats = npt.NDArray[np.float64]
BATCH = 20  # crops
SHARES = (0.3, 1.0)  # of a photo's shorter side: the side of a crop


class Moments(NamedTuple):
    """The moments of a level's channels: mean ``[C]`` and second moments ``[C, C]``."""

    mean: Floats
    second: Floats

    @property
    def covariance(self) -> Floats:
        """The covariance ``[C, C]``."""
        return self.second - np.outer(self.mean, self.mean)


def crops(photos: Iterable[Path], side: int, rng: np.random.Generator) -> Iterator[Frame]:
    """Yield a random square of each photo, ``side`` x ``side`` pixels.

    Args:
        photos: Image files.
        side: Of the network's input.
        rng: It draws place and size.
    """
    for path in photos:
        image = read_image(path)
        size = image.shape[:2]
        own = max(1, round(min(size) * rng.uniform(*SHARES)))
        top, left = (int(rng.integers(0, n - own + 1)) for n in size)
        how = cv2.INTER_AREA if own > side else cv2.INTER_LINEAR
        square = np.ascontiguousarray(image[top : top + own, left : left + own])
        yield np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8)


def moments(
    network: Backbone, params: Params, layers: Sequence[str], images: Iterable[Frame]
) -> dict[str, Moments]:
    """Return the moments of layers' channels over all cells of images of one size.

    Args:
        network: The backbone.
        params: Its parameters, as ``placed``; their projections are left aside.
        layers: Names of layers.
        images: ``[side, side, 3]``, uint8; at least one.
    """
    sums: dict[str, tuple[int, Floats, Floats]] = {}
    seen = jax.jit(lambda p, x: network.features(p, x, layers, FLOAT32))
    for batch in _batches(images):
        for name, maps in seen(params, jnp.asarray(batch, jnp.float32)).items():
            cells = np.asarray(maps, np.float64).reshape(-1, maps.shape[-1])
            count, total, products = sums.get(name, (0, 0.0, 0.0))
            sums[name] = count + len(cells), total + cells.sum(0), products + cells.T @ cells
    return {name: Moments(total / n, products / n) for name, (n, total, products) in sums.items()}


def projection(
    of: Moments, channels: int | None, whiten: float
) -> dict[str, npt.NDArray[np.float32]]:
    """Return a projection ``{"kernel": [1, 1, C, D], "bias": [D]}``.

    Args:
        of: The moments of a level.
        channels: D, in [1, C]; None: C.
        whiten: The share e of the mean eigenvalue that is added to each one before whitening, > 0;
            0: no whitening.
    """
    values, vectors = np.linalg.eigh(of.covariance if whiten else of.second)
    strongest = np.argsort(values)[::-1][:channels]
    kernel = vectors[:, strongest]
    bias = np.zeros(len(strongest))
    if whiten:
        kernel = kernel / np.sqrt(values[strongest] + whiten * values.mean())
        bias = -of.mean @ kernel
    return {"kernel": kernel.astype(np.float32)[None, None], "bias": bias.astype(np.float32)}


def kept(of: Moments, channels: int | None) -> float:
    """Return the share of the second moments that the strongest ``channels`` directions have."""
    values = np.sort(np.linalg.eigvalsh(of.second))[::-1]
    return float(values[:channels].sum() / values.sum())


def _batches(images: Iterable[Frame]) -> Iterator[Frame]:
    rest = iter(images)
    while batch := list(itertools.islice(rest, BATCH)):
        yield np.stack(batch)
