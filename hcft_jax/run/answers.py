"""The answers of ``hcft_jax.Tracker``: for one frame, for a video, and with an error."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hcft_jax.core import search
from hcft_jax.util.errors import InputError

Floats = npt.NDArray[np.float32]


class Result(NamedTuple):
    """The tracker's answer for one frame.

    Attributes:
        box: x, y, w, h in pixels, 0-based; float32 ``[4]``. Where the target is lost, it is the
            tracker's best guess.
        score: The peak-to-sidelobe ratio (PSR) of the combined response, at least 0 (Bolme et al.,
            CVPR 2010, section 3.5; ``search.peak_to_sidelobe``). It is NaN in the first frame,
            where nothing is searched, and for a target so small (below 16 to 24 px) that its
            response has no sidelobe.
        lost: Whether the target counts as lost: the score is below the backbone's threshold
            (``hcft_jax.core.verdict.LOST_BELOW``), or the search window is of one colour. With
            ``redetect`` the memory says so instead (``hcft_jax.core.long_term``).
    """

    box: Floats
    score: float
    lost: bool


class Track(NamedTuple):
    """The tracker's answers for T frames.

    Attributes:
        boxes: x, y, w, h in pixels, 0-based; float32 ``[T, 4]``.
        scores: PSR as in ``Result``; float32 ``[T]``.
        times: Seconds since the video's first frame, float64 ``[T]``; NaN for images without one.
        lost: As in ``Result``; bool ``[T]``.
        frames: The numbers of the frames in the video, from 1; int64 ``[T]``.
    """

    boxes: Floats
    scores: Floats
    times: npt.NDArray[np.float64]
    lost: npt.NDArray[np.bool_]
    frames: npt.NDArray[np.int64]


class TrackedFrame(NamedTuple):
    """The tracker's answer for one frame of a video.

    Attributes:
        box: As in ``Result``.
        score: As in ``Result``.
        lost: As in ``Result``.
        frame: The number of the frame in the video, from 1.
        time: Seconds since the video's first frame; NaN for images without a time.
        image: The frame: RGB uint8 ``[H, W, 3]`` of a video, else the image that was given.
    """

    box: Floats
    score: float
    lost: bool
    frame: int
    time: float
    image: Any


class TrackError(InputError):
    """A frame after the first cannot be read or tracked.

    Attributes:
        track: The ``Track`` of the frames before it.
    """

    def __init__(self, message: str, track: Track):
        super().__init__(message, track)  # both, so that it can be pickled
        self.track = track

    def __str__(self) -> str:
        return str(self.args[0])


def result(
    grid: npt.ArrayLike, box: npt.ArrayLike, psr: npt.ArrayLike, lost: npt.ArrayLike
) -> Result:
    """Return the ``Result`` of a step: ``box`` [4], ``psr`` and ``lost`` [], of (gh, gw) cells."""
    # a larger map has sidelobes wherever its peak is
    score = float(np.asarray(psr)) if np.max(np.asarray(grid)) > search.PEAK else float("nan")
    return Result(np.asarray(box), score, bool(lost))


def joined(results: Sequence[TrackedFrame]) -> Track:
    """Return the answers for some frames as one track."""
    return Track(
        np.stack([one.box for one in results]),
        np.array([one.score for one in results], np.float32),
        np.array([one.time for one in results], np.float64),
        np.array([one.lost for one in results], np.bool_),
        np.array([one.frame for one in results], np.int64),
    )
