"""Frames that several runs share: each is decoded once and kept while there is memory for it.

Nothing is dropped to make room. Runs go through the same frames again and again, from the first to
the last, and a store that drops the frame that was not used for longest would, where it is too
small for all of them, have dropped each one just before its turn.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from hcft_jax.data.sequence import Frame, FrameSource, encoded, files, read_to


class Memory:
    """A number of bytes that the frames of many sources may take; threads may share it.

    Attributes:
        limit: The number of bytes.
    """

    def __init__(self, limit: int) -> None:
        """Take none of ``limit`` bytes yet; 0: nothing is ever kept."""
        self.limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """The bytes that are taken."""
        return self._used

    def take(self, size: int) -> bool:
        """Take ``size`` bytes; return False, and take none, where they are not there."""
        with self._lock:
            fits = self._used + size <= self.limit
            self._used += size if fits else 0
            return fits

    def give(self, size: int) -> None:
        """Give ``size`` bytes back that have been taken."""
        with self._lock:
            self._used -= size


class Kept:
    """A FrameSource around another one, whose frames it keeps while there is memory for them.

    Threads that ask for a frame at once get the same one, which one of them has decoded, and so
    does whoever asks while somebody still holds it, whether it is kept or not. The arrays are
    read-only, since they are shared. A frame that cannot be read is tried anew each time.

    In another process it is the source alone: memory is not shared, and a run that is sent there by
    itself reads each frame once.
    """

    def __init__(self, source: FrameSource, memory: Memory) -> None:
        """Keep nothing yet.

        Args:
            source: What to read.
            memory: What the frames may take, together with those of others.
        """
        self._source, self._memory = source, memory
        self._lock = threading.Lock()
        self._worth: npt.NDArray[np.bool_] = np.ones(len(source), bool)
        self._frames: list[Frame] = []
        self._held: WeakValueDictionary[int, Frame] = WeakValueDictionary()
        self._coming: dict[int, Future[Frame]] = {}

    def __reduce__(self) -> tuple[Callable[[FrameSource], FrameSource], tuple[FrameSource]]:
        return _same, (self._source,)

    def __len__(self) -> int:
        return len(self._source)

    def label(self, index: int) -> str:
        """Return what the source calls frame ``index``."""
        return self._source.label(index)

    def read(self, index: int) -> Frame:
        """Return frame ``index``: RGB, uint8 ``[H, W, 3]``, read-only."""
        with self._lock:
            frame = self._held.get(index)
            if frame is not None:
                return frame
            coming = self._coming.get(index)
            if coming is None:
                mine = self._coming[index] = Future()
        if coming is not None:
            return coming.result()
        try:
            # a view, since the source may hold the array and write to it
            frame = self._source.read(index).view()
        except BaseException as error:
            with self._lock:
                del self._coming[index]
            mine.set_exception(error)
            raise
        frame.setflags(write=False)
        with self._lock:
            self._held[index] = frame
            if self._worth[index] and self._memory.take(frame.nbytes):
                self._frames.append(frame)
            del self._coming[index]
        mine.set_result(frame)
        return frame

    def read_to(self, index: int, out: Frame) -> Frame:
        """Return frame ``index``, in ``out`` where no other run needs it and nobody has it.

        Args:
            index: Which frame, 0-based.
            out: See ``sequence.DirectSource``.
        """
        if self._worth[index]:
            return self.read(index)
        with self._lock:
            frame = self._held.get(index)
        return read_to(self._source, index, out) if frame is None else frame

    def encoded(self, index: int) -> bytes | None:
        """Return the file of frame ``index``, whether the frame is kept or not.

        Another decoder's pixels are others: which ones a run sees must not depend on what happens
        to be kept.

        Args:
            index: See ``sequence.EncodedSource``.
        """
        return encoded(self._source, index)

    def files(self) -> tuple[Path, ...] | None:
        """Return the source's files; see ``sequence.FileSource``."""
        return files(self._source)

    def keep_only(self, worth: npt.NDArray[np.bool_]) -> None:
        """Say which frames are worth keeping from now on: those that are still read several times.

        Args:
            worth: ``[T]``; before the first call it is every frame.
        """
        with self._lock:
            self._worth = worth

    def forget(self) -> None:
        """Give the memory back, and keep nothing from now on, also of what is being read."""
        with self._lock:
            size = sum(frame.nbytes for frame in self._frames)
            self._frames = []
            self._worth = np.zeros(len(self._source), bool)
        self._memory.give(size)


def _same(source: FrameSource) -> FrameSource:
    return source
