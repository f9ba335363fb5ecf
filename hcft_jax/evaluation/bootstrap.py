"""95 % percentile bootstrap intervals over sequences (Efron and Tibshirani 1993, chapter 13).

Sequences are drawn with replacement, the same ones for every tracker. So the difference of two
trackers is paired, and whatever is easy or hard for both cancels.
"""

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95


def draws(count: int, resamples: int = RESAMPLES, seed: int = 0) -> npt.NDArray[np.int64]:
    """Draw the sequences of each resample: indices ``[resamples, count]``, each below ``count``."""
    return np.random.default_rng(seed).integers(0, count, (resamples, count))


def weights(drawn: npt.NDArray[np.int64]) -> Floats:
    """Return how often each resample has each sequence, over ``count``: ``[count, resamples]``."""
    resamples, count = drawn.shape
    cells = drawn + count * np.arange(resamples)[:, None]
    times = np.bincount(cells.ravel(), minlength=resamples * count)
    return np.asarray(times.reshape(resamples, count).T / count)


def interval(means: Floats) -> Floats:
    """Return the interval of resampled means ``[..., resamples]``: both ends, ``[..., 2]``.

    These are the quantiles of ``np.percentile``, which would take three times as long: most of its
    time goes into handling NaN and any number of quantiles.
    """
    last = means.shape[-1] - 1
    place = (1 - LEVEL) / 2 * last
    rank, part = int(place), place % 1
    near = [rank, min(rank + 1, last), last - rank, max(last - rank - 1, 0)]
    ordered = np.partition(means, near, axis=-1)[..., near]
    return np.asarray((1 - part) * ordered[..., [0, 2]] + part * ordered[..., [1, 3]])


def resampled(values: Floats, weight: Floats) -> Floats:
    """Return means of ``values`` ``[..., count]`` over each resample of ``weights``.

    The result ``[..., resamples]`` is one product: with many small ones, threads would mostly wait.
    """
    rows = math.prod(values.shape[:-1])  # 0 if no tracker has all sequences
    means = values.reshape(rows, values.shape[-1]) @ weight
    return np.asarray(means.reshape(*values.shape[:-1], weight.shape[1]))


def intervals(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Return intervals of the means of trackers and of their differences.

    Args:
        values: Measures of n trackers on the sequences ``[..., n, count]``.
        weight: The weights ``[count, resamples]`` that ``weights`` returns.

    Returns:
        Intervals of the means ``[..., n, 2]``, and of the mean of tracker i minus that of tracker j
        ``[..., n, n, 2]``.
    """
    means = resampled(values, weight)
    count = values.shape[-2]
    differences = np.zeros((*values.shape[:-1], count, 2))
    for i in range(count - 1):
        ends = interval(means[..., i, None, :] - means[..., i + 1 :, :])
        differences[..., i, i + 1 :, :] = ends
        differences[..., i + 1 :, i, :] = -ends[..., ::-1]
    return interval(means), differences
