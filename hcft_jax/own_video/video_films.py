"""The films of a video: boxes drawn over its frames, the frames as they are, and crops of targets.

They are in the order of the video, and begin with the first frame that is tracked.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hcft_jax.data.moments import Moment
from hcft_jax.data.sequence import Frame
from hcft_jax.own_video.box_tables import BoxRow
from hcft_jax.visual import overlay
from hcft_jax.visual.film import Film
from hcft_jax.visual.overlay import Outline

AROUND = 2.0
"""How many times as wide and high as the target a crop is."""

_LEAST = 128  # pixels of a crop's shorter side


def picture(
    moment: Moment, rows: Sequence[BoxRow], names: Sequence[str], panel: Frame | None
) -> npt.NDArray[np.uint8]:
    """Return a frame with its boxes and a line of text, and the panel beside it.

    Args:
        moment: The frame.
        rows: Its targets.
        names: A name for each target; the only target of a video has the empty one.
        panel: What is drawn beside the frame.
    """
    outlines = [
        Outline(row.box, overlay.ORANGE if row.lost else overlay.RED, 2, names[row.target])
        for row in rows
    ]
    text = f"#{moment.number}  {moment.time:.2f} s"
    if len(rows) == 1 and rows[0].score is not None:
        text += f"  PSR {rows[0].score:.1f}{'  lost?' if rows[0].lost else ''}"
    drawn = overlay.outlined(moment.image, outlines, text)
    return drawn if panel is None else np.concatenate([drawn, panel], axis=1)


class TargetCrop:
    """Cuts a target out of frame after frame, always in one size."""

    def __init__(self, box: Sequence[float]):
        """Take the first box (x, y, w, h), which fixes the size: ``AROUND`` times its own."""
        size = np.ceil(AROUND * np.maximum(box[2:], 1.0))
        size *= max(1.0, _LEAST / size.min())
        self._size = int(2 * round(size[0] / 2)), int(2 * round(size[1] / 2))

    def of(self, image: Frame, box: Sequence[float]) -> Frame:
        """Return what is around a box; beyond the frame its edge is repeated."""
        x, y, w, h = box
        width, height = self._size
        scale = AROUND * max(w, 1.0) / width, AROUND * max(h, 1.0) / height
        # the middle of the crop is that of the box, in coordinates of pixels' centres
        left = x + w / 2 - 0.5 - scale[0] * (width - 1) / 2
        top = y + h / 2 - 0.5 - scale[1] * (height - 1) / 2
        to_frame = np.array([[scale[0], 0.0, left], [0.0, scale[1], top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REPLICATE
        cut = cv2.warpAffine(image, to_frame, self._size, flags=flags, borderMode=border)
        return np.asarray(cut, np.uint8)


class Films:
    """The films of a video, written frame by frame."""

    def __init__(self, paths: Sequence[Path], partial: Path, names: Sequence[str]):
        """Take which films, by their names.

        Args:
            paths: Of ``overlay.mp4`` or ``layers.mp4``, ``plain.mp4``, and ``crop.mp4`` or
                ``crop-<name>.mp4`` of each target.
            partial: The folder of unfinished ones.
            names: As for ``picture``.
        """
        self._paths = {path.stem: path for path in paths}
        self._partial, self._names = partial, names
        self._stack = contextlib.ExitStack()
        self._films: dict[str, Film] = {}
        self._crops: dict[int, TargetCrop] = {}
        self._first: float | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Let them be written: each one begins with its first picture."""
        with self._stack:
            yield

    @property
    def wanted(self) -> bool:
        """Whether there is any."""
        return bool(self._paths)

    @property
    def drawn(self) -> bool:
        """Whether one has boxes."""
        return bool({"overlay", "layers"} & self._paths.keys())

    def write(
        self, moment: Moment, rows: Sequence[BoxRow], drawn: npt.NDArray[np.uint8] | None
    ) -> None:
        """Append a frame; ``drawn`` is its ``picture`` where ``drawn`` films are wanted."""
        self._first = moment.time if self._first is None else self._first
        time = moment.time - self._first
        for stem in ("overlay", "layers"):
            if drawn is not None:
                self._append(stem, drawn, time)
        self._append("plain", moment.image, time)
        for row in rows:
            name = self._names[row.target]
            stem = f"crop-{name}" if name else "crop"
            if stem in self._paths:
                crop = self._crops.setdefault(row.target, TargetCrop(row.box))
                self._append(stem, crop.of(moment.image, row.box), time)

    def _append(self, stem: str, image: npt.NDArray[np.uint8], time: float) -> None:
        if (path := self._paths.get(stem)) is None:
            return
        if stem not in self._films:
            film = Film(path, partial=self._partial / path.name)
            self._films[stem] = self._stack.enter_context(film)
        self._films[stem].write(image, time)
