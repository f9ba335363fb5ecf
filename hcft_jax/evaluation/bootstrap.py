"""95 % percentile bootstrap intervals over sequences (Efron and Tibshirani 1993, chapter 13).

Sequences are drawn with replacement, the same ones for every tracker: a difference of two trackers
is paired, and what is easy or hard for both cancels.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95


def draws(count: int, resamples: int = RESAMPLES, seed: int = 0) -> npt.NDArray[np.int64]:
    """The sequences of each resample: indices ``[resamples, count]``, each below ``count``."""
    return np.random.default_rng(seed).integers(0, count, (resamples, count))


def weights(drawn: npt.NDArray[np.int64]) -> Floats:
    """How much each sequence counts in each resample: ``[count, resamples]``, columns sum to 1."""
    resamples, count = drawn.shape
    cells = drawn + count * np.arange(resamples)[:, None]
    times = np.bincount(cells.ravel(), minlength=resamples * count)
    return np.asarray(times.reshape(resamples, count).T / count)


def interval(means: Floats) -> Floats:
    """The interval of resampled means ``[..., resamples]``: lower and upper end, ``[..., 2]``.

    The quantiles of ``np.percentile``, which would take three times as long: what it does for NaN
    and for any number of quantiles is most of its time.
    """
    last = means.shape[-1] - 1
    place = (1 - LEVEL) / 2 * last
    rank, part = int(place), place % 1
    near = [rank, min(rank + 1, last), last - rank, max(last - rank - 1, 0)]
    ordered = np.partition(means, near, axis=-1)[..., near]
    return np.asarray((1 - part) * ordered[..., [0, 2]] + part * ordered[..., [1, 3]])


def intervals(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Intervals of the means of trackers and of their differences.

    Args:
        values: A measure of n trackers on the sequences ``[n, count]``.
        weight: What ``weights`` gives, ``[count, resamples]``.

    Returns:
        Intervals of the means ``[n, 2]``, and of the mean of tracker i minus that of tracker j
        ``[n, n, 2]``, computed for i < j.
    """
    means = values @ weight
    count = len(values)
    differences = np.zeros((count, count, 2))
    for i in range(count - 1):
        differences[i, i + 1 :] = interval(means[i] - means[i + 1 :])
    lower = np.tril_indices(count, -1)
    differences[lower] = -differences.transpose(1, 0, 2)[lower][:, ::-1]
    return interval(means), differences
