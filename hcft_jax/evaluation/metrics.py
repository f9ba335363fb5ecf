"""The measures of the OTB toolkit (tracker_benchmark v1.0/v1.1), number for number.

EVERY box here, tracked or true, is in the FILE convention: ``(x, y, w, h)``, **1-based**, because
the toolkit's test for valid ground truth (all four entries > 0) is stated on the numbers in the
file. ``hcft_jax.util.boxes.to_file`` converts 0-based boxes.

Ground truth with an entry <= 0 (or NaN) is *invalid*: its overlap and its centre error are both
-1, so the frame fails every success threshold and passes every precision threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# MATLAB builds 0:0.05:1 from both ends (0 + k d up to the middle, 1 - k d above it). Overlaps of
# small integer boxes hit the thresholds exactly: other rounding would move curve points by 0.01.
_RISING = 0.05 * np.arange(11)
SUCCESS_THRESHOLDS: Floats = np.concatenate([_RISING, (1.0 - _RISING)[-2::-1]])  # [21], overlap
PRECISION_THRESHOLDS: Floats = np.arange(51.0)  # [51], pixels
NORMALISED_THRESHOLDS: Floats = 0.01 * np.arange(
    51.0
)  # [51], fractions of the true width and height

MEASURES = ("dp20", "os50", "auc", "cle", "norm_auc")  # names of attributes of ``Curves``


@dataclass(frozen=True)
class Scores:
    """The measures of one sequence, or their mean over sequences."""

    dp20: float  # distance precision at 20 px, a fraction in [0, 1]
    os50: float  # overlap success at 0.5, a fraction in [0, 1]
    auc: float  # mean of the 21 success values, in [0, 1]
    cle: float  # mean centre location error over the frames with valid ground truth, pixels
    frames: int  # annotated frames; a mean has their sum


@dataclass(frozen=True)
class Curves:
    """The curves of a tracker on one sequence, or their mean over sequences."""

    success: Floats  # [21], fraction of frames above SUCCESS_THRESHOLDS
    precision: Floats  # [51], fraction of frames within PRECISION_THRESHOLDS
    normalised: Floats  # [51], fraction of frames within NORMALISED_THRESHOLDS
    cle: float  # pixels, as in Scores
    frames: int

    @property
    def dp20(self) -> float:
        """Distance precision at 20 px, in [0, 1]."""
        return float(self.precision[20])

    @property
    def os50(self) -> float:
        """Overlap success at 0.5, in [0, 1]."""
        return float(self.success[10])

    @property
    def auc(self) -> float:
        """Mean of the success curve, in [0, 1]."""
        return float(self.success.mean())

    @property
    def norm_auc(self) -> float:
        """Mean of the normalised precision curve, in [0, 1]."""
        return float(self.normalised.mean())

    @property
    def scores(self) -> Scores:
        """The measures that the toolkit has."""
        return Scores(self.dp20, self.os50, self.auc, self.cle, self.frames)


def valid(truth: Boxes) -> Bools:
    """Return which frames of 1-based ground truth ``[T, 4]`` have x, y, w, h > 0, ``[T]``."""
    return np.asarray((truth > 0).all(axis=-1))


def overlap(boxes: Boxes, truth: Boxes) -> Floats:
    """Return the intersection over union of 1-based boxes ``[T, 4]``, ``[T]``; -1 where invalid.

    As in the toolkit's calcRectInt, the last pixel is x + w - 1 and a length last - first + 1.
    """
    ok = valid(truth)
    a, b = boxes[ok], truth[ok]
    last = np.minimum(a[:, :2] + a[:, 2:] - 1, b[:, :2] + b[:, 2:] - 1)
    common = np.maximum(0.0, last - np.maximum(a[:, :2], b[:, :2]) + 1).prod(axis=1)
    result = np.full(len(truth), -1.0)
    result[ok] = common / (a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - common)
    return result


def centre_error(boxes: Boxes, truth: Boxes) -> Floats:
    """Return the distance of the centres of 1-based boxes ``[T, 4]`` in pixels, ``[T]``.

    The toolkit's centre is x + (w - 1) / 2. The error is -1 where the ground truth is invalid.
    """
    centres = boxes[:, :2] + (boxes[:, 2:] - 1) / 2
    true_centres = truth[:, :2] + (truth[:, 2:] - 1) / 2
    distance = np.sqrt(((centres - true_centres) ** 2).sum(axis=1))
    return np.where(valid(truth), distance, -1.0)


def normalised_error(boxes: Boxes, truth: Boxes) -> Floats:
    """Return TrackingNet's centre error of 1-based boxes ``[T, 4]``, ``[T]``; -1 where invalid.

    The components of the distance are divided by the true width and height before its length is
    taken, so the unit is the target's size (Müller et al., TrackingNet, ECCV 2018, section 4.2).
    """
    ok = valid(truth)
    a, b = boxes[ok], truth[ok]
    apart = (a[:, :2] + (a[:, 2:] - 1) / 2 - b[:, :2] - (b[:, 2:] - 1) / 2) / b[:, 2:]
    result = np.full(len(truth), -1.0)
    result[ok] = np.sqrt((apart**2).sum(axis=1))
    return result


def success_curve(overlaps: Floats) -> Floats:
    """Return the fraction [21] of frames with an overlap ``[T]`` *strictly above* a threshold."""
    return (len(overlaps) - _at_most(overlaps, SUCCESS_THRESHOLDS)) / len(overlaps)


def precision_curve(errors: Floats) -> Floats:
    """Return the fraction [51] of frames with an error ``[T]`` of *at most* 0, 1, ... 50 pixels."""
    return _at_most(errors, PRECISION_THRESHOLDS) / len(errors)


def normalised_curve(errors: Floats) -> Floats:
    """Return the fraction [51] of frames with a normalised error of at most 0, 0.01, ... 0.5.

    Frames without valid ground truth pass, as they do in the precision curve.
    """
    return _at_most(errors, NORMALISED_THRESHOLDS) / len(errors)


def _at_most(values: Floats, thresholds: Floats) -> Floats:
    """Count the values ``[T]``, none of them NaN, that are at most each threshold."""
    return np.searchsorted(np.sort(values), thresholds, side="right").astype(np.float64)


def moved(boxes: Boxes, truth: Boxes) -> tuple[Boxes, Boxes]:
    """Move boxes and ground truth ``[T, 4]`` by whole pixels, so that all true x and y are >= 1.

    No measure depends on the origin, but ``valid`` does: after this it looks at sizes alone, for
    benchmarks in which a target may begin outside the image.
    """
    before = np.maximum(np.ceil(1 - np.nanmin(truth[:, :2], axis=0)), 0)
    shift = np.concatenate([before, np.zeros(2)])
    return boxes + shift, truth + shift


def repair(boxes: Boxes, truth: Boxes) -> Boxes:
    """Return the boxes ``[T, 4]`` that the toolkit judges, as a new array.

    A box with w <= 0, h <= 0 or NaN becomes the one before it; then frame 1 becomes the given box,
    ``truth[0]``. (In this order: a broken second box becomes what the tracker wrote for frame 1.)
    """
    broken = np.asarray(np.isnan(boxes).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1))
    source = np.maximum.accumulate(np.where(broken, 0, np.arange(len(boxes))))
    first = truth[0] if broken[0] else boxes[0]
    repaired = np.where((source == 0)[:, None], first, boxes[source])
    repaired[0] = truth[0]
    return np.asarray(repaired, np.float64)


class PerFrame(NamedTuple):
    """The toolkit's view of a track, frame by frame."""

    boxes: Boxes  # [T, 4], 1-based, repaired
    overlap: Floats  # [T] in [0, 1]; -1 without valid ground truth
    error: Floats  # [T] centre location error in pixels; -1 without valid ground truth


def per_frame(boxes: npt.ArrayLike, truth: npt.ArrayLike) -> PerFrame:
    """Compare a track with its ground truth, both 1-based ``[T, 4]``.

    Raises:
        InputError: as for ``curves``.
    """
    boxes, truth = np.asarray(boxes, np.float64), np.asarray(truth, np.float64)
    if truth.ndim != 2 or truth.shape[1] != 4 or not len(truth) or boxes.shape != truth.shape:
        raise InputError(f"boxes {boxes.shape} and ground truth {truth.shape} must both be [T, 4]")
    if not valid(truth)[0]:
        raise InputError(
            "the ground truth of the first frame is invalid, so nothing could be tracked"
        )
    judged = repair(boxes, truth)
    return PerFrame(judged, overlap(judged, truth), centre_error(judged, truth))


def curves(boxes: npt.ArrayLike, truth: npt.ArrayLike) -> Curves:
    """Return all curves of one sequence from 1-based boxes and ground truth, both ``[T, 4]``.

    Raises:
        InputError: the arrays have different lengths or another shape, or no valid first frame.
    """
    judged, overlaps, errors = per_frame(boxes, truth)
    truth = np.asarray(truth, np.float64)
    return Curves(
        success=success_curve(overlaps),
        precision=precision_curve(errors),
        normalised=normalised_curve(normalised_error(judged, truth)),
        cle=float(errors[valid(truth)].mean()),
        frames=len(truth),
    )


def score(boxes: npt.ArrayLike, truth: npt.ArrayLike) -> Scores:
    """Return the toolkit's measures of one sequence; arguments and errors are as for ``curves``."""
    return curves(boxes, truth).scores


def mean_curves(of: Sequence[Curves]) -> Curves:
    """Return the mean over sequences, each of which counts once; frames are summed.

    Raises:
        InputError: there are no curves.
    """
    if not of:
        raise InputError("no sequence was scored, so there is no mean")
    return Curves(
        success=np.mean([c.success for c in of], axis=0),
        precision=np.mean([c.precision for c in of], axis=0),
        normalised=np.mean([c.normalised for c in of], axis=0),
        cle=float(np.mean([c.cle for c in of])),
        frames=sum(c.frames for c in of),
    )


def mean(scores: Sequence[Scores]) -> Scores:
    """Return the mean over sequences, each of which counts once; frames are summed.

    Every measure is linear in the curves, so this is also the measure of the mean curve.

    Raises:
        InputError: there are no scores.
    """
    if not scores:
        raise InputError("no sequence was scored, so there is no mean")

    def of(measure: str) -> float:
        return float(np.mean([getattr(s, measure) for s in scores]))

    return Scores(of("dp20"), of("os50"), of("auc"), of("cle"), sum(s.frames for s in scores))
