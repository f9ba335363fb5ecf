"""The input of a tracker: frames that can be read by index, and where the target is in each."""

import dataclasses
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hcft_jax.util.boxes import Boxes

Frame = npt.NDArray[np.uint8]


class FrameSource(Protocol):
    """A source of frames by index, whose ``read`` is called from several threads at once."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> Frame:
        """Return frame ``index`` (0-based) as RGB, uint8 ``[H, W, 3]``."""
        ...

    def label(self, index: int) -> str:
        """Return what error messages call frame ``index``: its file, or a description."""
        ...


@dataclasses.dataclass(frozen=True)
class Sequence:
    """One target in one video.

    Attributes:
        name: What reports and result files call it.
        frames: T frames.
        boxes: Ground truth, float64 ``[T, 4]``, 0-based (x, y, w, h) in pixels (``util.boxes``). A
            row with a size <= 0 marks a frame without valid ground truth, which OTB's rules still
            score in their way; NaN marks a frame that is not scored.
        first_frame: The number that frame 0 has in the file names.
        sizes_only: Whether a box that begins left of or above the image is valid ground truth; in
            OTB it is not.
    """

    name: str
    frames: FrameSource
    boxes: Boxes
    first_frame: int = 1
    sizes_only: bool = False

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, first: int, last: int) -> "Sequence":
        """Return the frames from index ``first`` to ``last``, inclusive, under the same name."""
        if not 0 <= first <= last < len(self):
            raise ValueError(f"frames {first} to {last} of {len(self)}")
        if (first, last) == (0, len(self) - 1):
            return self
        frames = _Part(self.frames, first, last - first + 1)
        boxes, number = self.boxes[first : last + 1], self.first_frame + first
        return dataclasses.replace(self, frames=frames, boxes=boxes, first_frame=number)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A FrameSource over a part of another one."""

    whole: FrameSource
    first: int
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> Frame:
        return self.whole.read(self.first + index)

    def label(self, index: int) -> str:
        return self.whole.label(self.first + index)
