"""The frames of a container that has an end, forwards and backwards, as one sees them.

A video is decoded forwards only. Backwards, the frames nearest to the end are held while the part
is decoded; where the memory for that is too small, the file is decoded again for the ones before.
So the frames are the same, and none depends on where the file can be sought.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av.sidedata.sidedata
import numpy as np

from hcft_jax.data import depth, orientation
from hcft_jax.data.containers import Container, Decoding
from hcft_jax.data.frames import MAX_PIXELS, ahead
from hcft_jax.data.moments import ASSUMED_RATE, Moment
from hcft_jax.data.part import Part
from hcft_jax.data.sequence import Frame
from hcft_jax.util.errors import InputError

HELD = 2**29  # bytes of decoded frames that are held on the way back


class Recorded:
    """The frames of a video file, or of an address with a known length."""

    def __init__(self, source: str, rate: float, decoding: Callable[[], Decoding]):
        """Decode nothing yet.

        Args:
            source: What messages call it.
            rate: Frames per second, for frames without a time of their own.
            decoding: Begins to decode it from its first frame, any number of times.
        """
        self._source, self._rate, self._decoding = source, rate, decoding
        self._as_seen = AsSeen(source)

    def moments(self, part: Part) -> Iterator[Moment]:
        """Yield the frames of a part, in its order, at the times that the file has for them.

        Damage before the part's end is an error: after the last frame that could be decoded where
        the order is that of the file, before the first one where it is not.

        Args:
            part: Which frames.

        Raises:
            InputError: The video is damaged, or a frame has another size than the first one.
        """
        return self._backwards(part) if part.backwards else self._forwards(part)

    def _forwards(self, part: Part) -> Iterator[Moment]:
        taking = part.taking()
        for number, time, frame in self._decoded(lambda: taking.over):
            if taking(number, time):
                yield Moment(time, self._as_seen.image(frame, number), number)

    def _decoded(self, over: Callable[[], bool]) -> Iterator[tuple[int, float, Any]]:
        """Yield number, time and FFmpeg's frame, until ``over``; then damage does not matter."""
        decoding, started, ended = self._decoding(), None, False
        # one thread decodes, and the one that runs this makes RGB of it
        with contextlib.closing(ahead(decoding.frames())) as given:
            for number, frame in enumerate(given, 1):
                now = (number - 1) / self._rate if frame.time is None else frame.time
                started = now if started is None else started
                yield number, now - started, frame
                if ended := over():
                    break
        if not ended and (damage := decoding.damage()):
            raise InputError(
                f"{self._source}: the video is damaged: {damage}; repair it, or take another copy"
            )

    def _backwards(self, part: Part) -> Iterator[Moment]:
        inside = Part(part.start, part.end).taking()
        held: deque[tuple[int, float, Any]] = deque()
        numbers, room = list[int](), 1
        for number, time, frame in self._decoded(lambda: inside.over):
            if inside(number, time):
                room = room_for(frame)
                numbers.append(number)
                held.append((number, time, frame))
                if len(held) > room:
                    held.popleft()
        wanted = deque(numbers[:: -part.every][: part.most])
        while wanted:
            if not held or wanted[0] < held[0][0]:
                held = self._again([wanted[i] for i in range(min(room, len(wanted)))])
            number, time, frame = held.pop()
            if number == wanted[0]:
                wanted.popleft()
                yield Moment(time, self._as_seen.image(frame, number), number)

    def _again(self, numbers: list[int]) -> deque[tuple[int, float, Any]]:
        """Return frames by their numbers, which are given backwards."""
        wanted, last = set(numbers), [0]
        held: deque[tuple[int, float, Any]] = deque()
        for number, time, frame in self._decoded(lambda: last[0] >= numbers[0]):
            last[0] = number
            if number in wanted:
                held.append((number, time, frame))
        if len(held) != len(wanted):
            raise InputError(f"{self._source}: it was changed while it was read")
        return held


def room_for(frame: Any) -> int:
    """Return how many frames of FFmpeg like one are held on the way back, at least 1.

    Args:
        frame: One of them.
    """
    return max(1, HELD // max(1, sum(plane.buffer_size for plane in frame.planes)))


def recorded(
    source: str, container: Container, again: Callable[[], Container], path: Path | None
) -> Recorded:
    """Return the frames of an open container.

    Args:
        source: What messages call it.
        container: It is decoded first, and closed then.
        again: Opens it once more.
        path: The file, where it is one.
    """
    first = [container]
    rate = float(container.stream.average_rate or ASSUMED_RATE)
    return Recorded(source, rate, lambda: Decoding(first.pop() if first else again(), path))


class AsSeen:
    """Makes frames of FFmpeg RGB, 8 bits deep and upright, and checks that all have one size."""

    def __init__(self, source: str) -> None:
        """Begin with the first frame; ``source`` is what messages call the video."""
        self._source = source
        self._shape: tuple[int, ...] = ()
        self._bits = 0

    def image(self, frame: Any, number: int) -> Frame:
        """Return a frame as RGB, uint8 ``[H, W, 3]``; ``number`` is what errors call it."""
        if frame.width * frame.height > MAX_PIXELS:
            raise InputError(
                f"{self._source}: {frame.width} x {frame.height} px is too large, at most "
                f"{MAX_PIXELS} pixels are decoded"
            )
        image = self._pixels(frame)
        matrix = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
        if matrix is not None:
            turn = orientation.of_display(bytes(matrix))
            if turn is None:
                raise InputError(
                    f"{self._source}: it is damaged: its display matrix, by which its frames are "
                    "turned, is none; take another copy"
                )
            image = orientation.upright(image, turn)
        self._shape = self._shape or image.shape
        if image.shape != self._shape:
            raise InputError(
                f"{self._source}: frame {number} has {_size(image.shape)}, the first one "
                f"{_size(self._shape)}"
            )
        return np.ascontiguousarray(image)

    def _pixels(self, frame: Any) -> Frame:
        parts = frame.format.components
        if parts[0].bits < 16 or any(part.is_chroma for part in parts):
            return np.asarray(frame.to_ndarray(format="rgb24"))
        grey = len(parts) < 3
        deep = frame.to_ndarray(format="gray16le" if grey else "rgb48le")
        self._bits = self._bits or depth.used(deep, f"{self._source}: first frame")
        image = depth.to_8_bits(deep, self._bits)
        return np.repeat(image[..., None], 3, axis=2) if grey else image


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px"
