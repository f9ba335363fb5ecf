"""The input of a tracker: frames that can be read by index, and where the target is in each."""

import dataclasses
from pathlib import Path
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class DirectSource(FrameSource, Protocol):
    """A FrameSource that can decode straight into an array."""

    def read_to(self, index: int, out: Frame) -> Frame:
        """Return frame ``index``, which is ``out`` itself where it could be decoded into that.

        Args:
            index: Which frame, 0-based.
            out: uint8 ``[H, W, 3]``, C-contiguous. Its content is undefined afterwards where
                another array is returned, or an error is raised.
        """
        ...


def read_to(source: FrameSource, index: int, out: Frame) -> Frame:
    """Return frame ``index`` of any source, as ``DirectSource.read_to``.

    Args:
        source: What to read.
        index: Which frame, 0-based.
        out: uint8 ``[H, W, 3]``, C-contiguous.
    """
    if isinstance(source, DirectSource):
        return source.read_to(index, out)
    return source.read(index)


@runtime_checkable
class EncodedSource(FrameSource, Protocol):
    """A FrameSource whose frames may be files, for those who decode them by other means."""

    def encoded(self, index: int) -> bytes | None:
        """Return the whole file of frame ``index``; None where ``read`` is the only way to it.

        A file that cannot be read is None too: ``read`` says why.

        Args:
            index: Which frame, 0-based.
        """
        ...


def encoded(source: FrameSource, index: int) -> bytes | None:
    """Return the file of frame ``index`` of any source, as ``EncodedSource.encoded``.

    Args:
        source: What the frame is from.
        index: Which frame, 0-based.
    """
    return source.encoded(index) if isinstance(source, EncodedSource) else None


@runtime_checkable
class FileSource(FrameSource, Protocol):
    """A FrameSource whose frames are files."""

    def files(self) -> tuple[Path, ...] | None:
        """Return the file of each frame; None where they are in no files of their own."""
        ...


def files(source: FrameSource) -> tuple[Path, ...] | None:
    """Return the files of any source, as ``FileSource.files``.

    Args:
        source: What the frames are from.
    """
    return source.files() if isinstance(source, FileSource) else None


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

    def read_to(self, index: int, out: Frame) -> Frame:
        return read_to(self.whole, self.first + index, out)

    def encoded(self, index: int) -> bytes | None:
        return encoded(self.whole, self.first + index)

    def label(self, index: int) -> str:
        return self.whole.label(self.first + index)

    def files(self) -> tuple[Path, ...] | None:
        found = files(self.whole)
        return found and found[self.first : self.first + self.count]


def original(source: FrameSource, index: int) -> tuple[FrameSource, int]:
    """Return the source that a frame comes from, and its index there: not a part of it."""
    while isinstance(source, _Part):
        index += source.first
        source = source.whole
    return source, index
