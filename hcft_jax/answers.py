"""The answers of ``hcft_jax.Tracker``: for one frame, for a video, and with an error."""

import base64
import importlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hcft_jax.core import search
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    @property
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The columns of ``boxes.csv`` by name: frame, time, x, y, w, h, score, lost."""
        sides = dict(zip("xywh", self.boxes.T, strict=True))
        return {"frame": self.frames, "time": self.times, **sides} | {
            "score": self.scores,
            "lost": self.lost,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table that a video of one's own gets: ``boxes.csv``, one row per frame.

        Args:
            path: The file.

        Raises:
            InputError: It cannot be written.
        """
        rows = map(csv_row, self.frames, self.times, self.boxes, self.scores, self.lost)
        content = ",".join(self.columns) + "\n" + "".join(rows)
        with replacing(os.fspath(path)) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="\n")

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row per frame and the columns of ``boxes.csv``.

        Raises:
            ImportError: pandas is not installed.
        """
        return importlib.import_module("pandas").DataFrame(self.columns)

    def plot(self) -> "Figure":
        """Return a figure of the path of the box, its size and the score; lost frames are shaded.

        A notebook shows it; ``figure.savefig("track.png")`` writes it.
        """
        from hcft_jax.visual import track_plot  # Matplotlib takes a second

        return track_plot.answers(self.frames, self.boxes, self.scores, self.lost)

    def _repr_html_(self) -> str:
        """Return a line about the track and its figure, for a notebook."""
        from hcft_jax.visual import track_plot

        shown = base64.b64encode(track_plot.png(self.plot())).decode()
        count = len(self.boxes)
        line = f"{count} frame{'' if count == 1 else 's'}, lost in {int(self.lost.sum())}"
        return f'<p>{line}</p><img alt="{line}" src="data:image/png;base64,{shown}">'


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


def csv_row(
    frame: int, time: float, box: Sequence[float], score: float | None, lost: bool, more: str = ""
) -> str:
    """Return a line of ``boxes.csv``.

    Args:
        frame: The frame's number, from 1.
        time: Its seconds, or NaN.
        box: Four numbers in pixels.
        score: The PSR; None or NaN leave the cell empty.
        lost: Whether the target is.
        more: Further cells, each after a comma.
    """
    numbers = ",".join(f"{value:.4f}" for value in box)
    shown = "" if score is None or np.isnan(score) else f"{score:.4f}"
    return f"{frame},{time:.6f},{numbers},{shown},{int(lost)}{more}\n"
