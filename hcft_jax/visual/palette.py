"""Feature maps as colours: their first three principal components."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Components(NamedTuple):
    """Principal components of features at n places."""

    scores: Floats  # [n, k] of each place, along each axis; centred
    axes: Floats  # [k, D] orthonormal directions in the features, most variance first
    variances: Floats  # [k] along them (divided by n)


def principal_components(features: npt.ArrayLike, count: int = 3) -> Components:
    """Return the first principal components of features ``[..., D]``, by SVD of centred features.

    An axis is determined up to its sign; here its largest entry is positive. If the features have
    fewer dimensions than ``count``, the remaining scores are zero.
    """
    rows = np.asarray(features, np.float64).reshape(-1, np.shape(features)[-1])
    centred = rows - rows.mean(axis=0)
    left, values, axes = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(axes).argmax(axis=1)
    signs = np.where(axes[np.arange(len(axes)), largest] < 0, -1.0, 1.0)
    values = np.where(values > values.max(initial=0.0) * 1e-12, values, 0.0)
    scores, axes = left * values * signs, axes * signs[:, None]
    missing = max(0, count - len(axes))
    return Components(
        np.pad(scores, ((0, 0), (0, missing)))[:, :count],
        np.pad(axes, ((0, missing), (0, 0)))[:count],
        np.pad(values**2 / len(rows), (0, missing))[:count],
    )


class Palette(NamedTuple):
    """The map from feature vectors to colours: their first three principal components as RGB."""

    mean: Floats  # [D]
    axes: Floats  # [3, D]; zero if the features do not vary
    low: Floats  # [3], the smallest value of each component
    span: Floats  # [3], from there to the largest

    def colours(self, maps: Floats) -> Floats:
        """Return a map ``[h, w, D]`` as RGB ``[h, w, 3]``, in [0, 1] for maps of the fit."""
        scores = (maps - self.mean) @ self.axes.T
        varies = self.span > 0
        return np.where(varies, (scores - self.low) / np.where(varies, self.span, 1.0), 0.5)


def palette(maps: Sequence[Floats]) -> Palette:
    """Fit the components of all maps ``[h, w, D]`` together, each stretched to its own range."""
    rows = np.concatenate([np.reshape(m, (-1, m.shape[-1])) for m in maps])
    found = principal_components(rows)
    axes = np.where(found.variances[:, None] > 0, found.axes, 0.0)
    scores = (rows - rows.mean(axis=0)) @ axes.T
    return Palette(rows.mean(axis=0), axes, scores.min(axis=0), np.ptp(scores, axis=0))


def colours(maps: Sequence[Floats]) -> list[Floats]:
    """Return feature maps ``[h, w, D]`` of one layer as RGB ``[h, w, 3]`` in [0, 1].

    The components are those of all maps together, so that a colour means the same in each map. Each
    component is stretched to its own range; a component that does not vary is 0.5.
    """
    common = palette(maps)
    return [common.colours(m) for m in maps]
