"""An open source of frames, and one of its frames with its time."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hcft_jax.data.sequence import Frame

ASSUMED_RATE = (
    30.0  # frames per second of images, and of files that do not say when a frame is shown
)


class Moment(NamedTuple):
    """A frame, and when it is shown.

    Attributes:
        time: Seconds since the first frame of the source.
        image: RGB, uint8 ``[H, W, 3]``.
        number: Of the frame in the source, from 1; those that a live source dropped count, too.
        gap: Seconds before it in which a live source had broken off; 0 where it had not.
    """

    time: float
    image: Frame
    number: int
    gap: float = 0.0


@dataclass
class Video:
    """An open source of frames, over which one can iterate once.

    Attributes:
        source: The source as it was given.
        name: A short name, fit for a file name.
        live: Whether frames come at their own pace, so that those nobody waited for are dropped.
        count: The number of frames that will come, roughly; None where it is not known.
        identity: A digest that changes when the file or folder does; None for a live source.
        dropped: The number of frames of a live source that nobody waited for, so far.
        broken: Why a live source ended, where that was an error.
        files: The files that it is read from, in their order; none of a live source.
        breaks: Of each time that a live source broke off and came back: the number of the next
            frame, the seconds without one, and the reason.
        closing: Set when nobody wants another frame.
    """

    source: str
    name: str
    live: bool
    count: int | None
    identity: str | None
    frames: Iterator[Moment]
    dropped: int = 0
    broken: str = ""
    files: tuple[Path, ...] = ()
    breaks: list[dict[str, Any]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[Moment]:
        """Iterate over the remaining frames.

        Raises:
            InputError: A frame has another size, or the video is damaged; what could be decoded
                was given.
        """
        return self.frames
