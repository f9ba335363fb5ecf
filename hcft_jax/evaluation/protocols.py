"""The three protocols of the OTB toolkit (tracker_benchmark v1.0/v1.1) as data.

One-pass evaluation (OPE) tracks a sequence once; temporal robustness (TRE) starts at up to 20 of
its frames; spatial robustness (SRE) starts from 12 shifted or scaled boxes. A protocol is a list of
``Run``: where a tracker starts and with which box. ``judge`` scores the boxes of one run, and
``pool`` joins the runs of a protocol on one sequence.

As in ``metrics``, EVERY box here is in the FILE convention: ``(x, y, w, h)``, **1-based**.

The rules come from the toolkit's MATLAB sources: ``splitSeqTRE`` (the segments),
``shiftInitBB`` (the boxes), ``main_running`` (which boxes, in which order), ``calcSeqErrRobust``
and ``genPerfMat`` (scores). There, OPE is the first segment of TRE: the sequence from its first
frame that is neither omitted nor without ground truth. Here OPE is the sequence as it is given;
the two differ only if that first frame is omitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hcft_jax.evaluation import metrics
from hcft_jax.evaluation.metrics import Curves, Floats, Scores
from hcft_jax.evaluation.regions import matlab_round
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError

PROTOCOLS = {
    "ope": "One-pass evaluation",
    "tre": "Temporal robustness evaluation",
    "sre": "Spatial robustness evaluation",
}

SEGMENTS = 20
SHORTEST = 20  # frames from the last start to the end of the sequence, at least

# SRE, in the toolkit's order: the direction of x and y, or the factor of the size.
SHIFTS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
CORNERS = {"topLeft": (-1, -1), "topRight": (1, -1), "bottomLeft": (-1, 1), "bottomRight": (1, 1)}
SCALES = {"scale_8": 0.8, "scale_9": 0.9, "scale_11": 1.1, "scale_12": 1.2}
SRE = (*SHIFTS, *CORNERS, *SCALES)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Run:
    """One start of a tracker on a sequence of T frames.

    Attributes:
        protocol: ``ope``, ``tre`` or ``sre``.
        number: From 1, in the toolkit's order.
        label: Its name in the protocol: ``01`` ... or the kind of shift; empty if the protocol
            has only one run.
        first: Index of the first frame, in [0, T).
        last: Index of the last frame, inclusive; T - 1 in all three protocols.
        box: The box with which it starts, 1-based; in SRE it is not the ground truth.
    """

    protocol: str
    number: int
    label: str
    first: int
    last: int
    box: Box

    @property
    def frames(self) -> int:
        """The number of frames, including the first."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Judged:
    """The measures of one run."""

    curves: Curves
    valid: int  # frames with valid ground truth, >= 1

    @property
    def scores(self) -> Scores:
        """The measures that the toolkit has."""
        return self.curves.scores


def plan(
    protocol: str,
    truth: Boxes,
    *,
    omitted: Sequence[tuple[int, int]] = (),
    size: tuple[int, int] | None = None,
) -> list[Run]:
    """Return the runs of a protocol on one sequence.

    Args:
        protocol: One of ``PROTOCOLS``.
        truth: 1-based ground truth ``[T, 4]``, T >= 1.
        omitted: For TRE, ranges in which no segment starts, as pairs (first, last) of indices,
            inclusive; they may reach beyond the sequence.
        size: For SRE, height and width of the first image.

    Raises:
        InputError: TRE has no frame in which to start.
    """
    if protocol == "ope":
        return [Run("ope", 1, "", 0, len(truth) - 1, _box(truth[0]))]
    if protocol == "tre":
        starts = tre_starts(truth, omitted)
        return [
            Run("tre", k, f"{k:02d}", start, len(truth) - 1, _box(truth[start]))
            for k, start in enumerate(starts, 1)
        ]
    if protocol != "sre" or size is None:
        raise ValueError(f"{protocol!r} with size {size}")
    return [
        Run("sre", k, label, 0, len(truth) - 1, sre_box(truth[0], label, size))
        for k, label in enumerate(SRE, 1)
    ]


def tre_starts(truth: Boxes, omitted: Sequence[tuple[int, int]] = ()) -> list[int]:
    """Return the indices of the frames in which the segments of TRE start; each runs to the end.

    The toolkit's rule (``splitSeqTRE``): list the frames that are not omitted and whose ground
    truth is valid. Entry E of the list is the last one that leaves at least 20 frames. The segments
    start at the entries floor(1 + k E / 19), k = 0, 1, ... while 1 + k E / 19 is at most E, and at
    entry E. That makes 20 segments from E = 19 on; a shorter list gives fewer, some of them
    twice. (19 is prime, so MATLAB's floating point floors to the same integers.)

    Args:
        truth: 1-based ground truth ``[T, 4]``.
        omitted: Pairs (first, last) of indices, inclusive. Parts beyond the sequence are ignored,
            as the toolkit ignores those after its end.

    Raises:
        InputError: no such frame leaves 20 frames.
    """
    allowed = metrics.valid(truth)
    for first, last in omitted:
        allowed[max(first, 0) : max(last + 1, 0)] = False
    entries = np.flatnonzero(allowed)
    count = int((len(truth) - entries >= SHORTEST).sum())
    if not count:
        raise InputError(
            f"TRE has no frame in which to start: of {len(truth)} frames, none that has valid "
            f"ground truth and is not omitted leaves {SHORTEST} frames"
        )
    steps = SEGMENTS - 1
    regular = range(steps * (count - 1) // count + 1)
    return [int(entries[k * count // steps]) for k in regular] + [int(entries[count - 1])]


def sre_box(box: npt.ArrayLike, label: str, size: tuple[int, int]) -> Box:
    """Return the box with which SRE starts, 1-based.

    The toolkit's rule (``shiftInitBB``), in its double precision: a shift moves the box by
    ceil(0.1 w) or ceil(0.1 h); a corner moves outward by a tenth of the sides, rounded, while the
    opposite corner stays, which enlarges the box; a scaled box keeps its centre, and all its four
    numbers are rounded (1.1 * 50 is a little above 55, which decides how the half of it is
    rounded). Then a left or upper edge before the first pixel moves onto it, keeping the size; and
    a box that goes beyond the last pixel is cut there. Nothing else is rounded.

    Args:
        box: (x, y, w, h) of the first frame, 1-based.
        label: One of ``SRE``.
        size: Height and width of the image in pixels.

    Returns:
        (x, y, w, h), 1-based; empty (w or h <= 0) if the shift leaves the image.
    """
    start, length = np.asarray(box, np.float64).reshape(2, 2)
    if label in SCALES:
        scaled = SCALES[label] * length
        start, length = matlab_round(start + length / 2 - scaled / 2), matlab_round(scaled)
    elif label in SHIFTS:
        start = start + np.array(SHIFTS[label]) * np.ceil(0.1 * length)
    else:
        direction = np.array(CORNERS[label])
        end = start + length - 1
        before, after = matlab_round(start - 0.1 * length), matlab_round(end + 0.1 * length)
        start, end = np.where(direction < 0, before, start), np.where(direction > 0, after, end)
        length = end - start + 1
    limit = np.array(size[::-1], np.float64)
    start = np.maximum(start, 1)
    length = np.where(start + length - 1 > limit, limit - start + 1, length)
    return _box([*start, *length])


def unscaled(boxes: Boxes, label: str) -> Boxes:
    """Divide the size of the boxes ``[T, 4]`` of an SRE run by the factor with which it started.

    The centre stays, and the result is rounded, also for shifted starts. This is what one of the
    toolkit's two copies of ``calcSeqErrRobust`` does (``rstEval/``); in the other copy, ``util/``,
    and in some forks these lines are commented out.
    """
    centre = boxes[:, :2] + (boxes[:, 2:] - 1) / 2
    length = boxes[:, 2:] / SCALES.get(label, 1.0)
    return matlab_round(np.concatenate([centre - length / 2, length], axis=1))


def scorable(run: Run, truth: Boxes) -> bool:
    """Return whether a run has ground truth beyond the box that it was given."""
    known = _known(truth[run.first : run.last + 1])
    return bool(known.all() or known[1:].any())


def _known(truth: Boxes) -> npt.NDArray[np.bool_]:
    return np.asarray(~np.isnan(truth).any(axis=1))


def judge(run: Run, boxes: Boxes, truth: Boxes, *, unscale: bool = False) -> Judged:
    """Return the measures of a run; its first box counts as the true one, as in the toolkit.

    Frames whose truth is NaN are not judged; OTB has none.

    Args:
        run: The run.
        boxes: The tracked boxes, 1-based ``[run.frames, 4]``.
        truth: Ground truth of the whole sequence, 1-based ``[T, 4]``.
        unscale: For SRE, judge the boxes after ``unscaled``.

    Raises:
        InputError: the number of boxes differs, or the first frame has no valid ground truth.
    """
    part = truth[run.first : run.last + 1]
    if unscale and run.protocol == "sre":
        boxes = unscaled(boxes, run.label)
    known = _known(part)
    if not known.all() and boxes.shape == part.shape:
        boxes, part = metrics.repair(boxes, part)[known], part[known]
    return Judged(metrics.curves(boxes, part), int(metrics.valid(part).sum()))


def pool(runs: Sequence[Judged]) -> Curves:
    """Return the measures of a protocol on one sequence, over the frames of all its runs.

    The toolkit's rule (``genPerfMat``): the counts of all runs are summed and divided by the sum of
    their lengths. So a longer segment of TRE counts more; in SRE this is the mean over the runs.
    The centre error is the mean over the frames with valid ground truth, as for one run. A sequence
    then counts once, whatever its length (``metrics.mean``).

    Raises:
        InputError: there are no runs.
    """
    if not runs:
        raise InputError("no run was scored, so there is no mean")
    frames = sum(run.curves.frames for run in runs)

    def pooled(curve: str) -> Floats:
        # Counts are whole numbers, so the curve of a single run comes out unchanged.
        counts = [np.rint(getattr(run.curves, curve) * run.curves.frames) for run in runs]
        return np.asarray(np.sum(counts, axis=0) / frames)

    errors = sum(Fraction(run.curves.cle) * run.valid for run in runs)
    return Curves(
        success=pooled("success"),
        precision=pooled("precision"),
        normalised=pooled("normalised"),
        cle=float(errors / sum(run.valid for run in runs)),
        frames=frames,
    )


def _box(values: npt.ArrayLike) -> Box:
    x, y, w, h = (float(v) for v in np.asarray(values, np.float64))
    return x, y, w, h
