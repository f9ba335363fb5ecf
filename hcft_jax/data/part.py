"""A part of a video: from one frame or time to another, every so many frames, either way.

Frames count from 1, and times from the first frame of the video, whatever part of it is taken.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

from hcft_jax.util.errors import SettingError

_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})s")
_CLOCK = re.compile(r"(?:([0-9]{1,5}):)?([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,9})?)")
_FRAME = re.compile(r"[0-9]{1,9}")
_TOLERANCE = 5e-4  # seconds: times are written with three digits, and some rates have none that end


@dataclass(frozen=True)
class Point:
    """A place in a video.

    Attributes:
        frame: The number of a frame, from 1; None where it is a time.
        seconds: The time since the first frame; None where it is a number.
    """

    frame: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, field: str, value: int | str) -> "Point":
        """Return the place that a setting names: ``75``, ``3.5s``, ``1:05`` or ``0:01:05.5``.

        Args:
            field: The name of the setting, for messages.
            value: A frame's number; or a text of one, of seconds or of a time.

        Raises:
            SettingError: It is none of these.
        """
        text = str(value).strip()
        if not isinstance(value, bool | float):
            if _FRAME.fullmatch(text) and int(text):
                return cls(frame=int(text))
            if match := _SECONDS.fullmatch(text):
                return cls(seconds=float(match[1]))
            if match := _CLOCK.fullmatch(text):
                hours, minutes, seconds = int(match[1] or 0), int(match[2]), float(match[3])
                if minutes < 60 and seconds < 60:
                    return cls(seconds=3600 * hours + 60 * minutes + seconds)
        raise SettingError(
            field,
            f"{text[:40]!r} is neither the number of a frame, from 1, nor a time: 3.5s, or 1:05",
        )

    def reached(self, number: int, time: float) -> bool:
        """Return whether a frame is at this place or after it.

        Args:
            number: The frame's number, from 1.
            time: When it is shown, in seconds.
        """
        if self.frame is not None:
            return number >= self.frame
        return time >= (self.seconds or 0.0) - _TOLERANCE

    def passed(self, number: int, time: float) -> bool:
        """Return whether a frame is after this place.

        Args:
            number: As for ``reached``.
            time: As for ``reached``.
        """
        if self.frame is not None:
            return number > self.frame
        return time > (self.seconds or 0.0) + _TOLERANCE

    def __str__(self) -> str:
        return f"frame {self.frame}" if self.frame is not None else f"{self.seconds:g} s"


@dataclass(frozen=True)
class Part:
    """Which frames of a video are taken, and in which order.

    Attributes:
        start: The first one that may be taken; None: the video's first.
        end: The last one that may be taken; None: the video's last.
        every: Of these, the first one is taken and then every so many frames, at least 1.
        most: The most frames that are taken; None: all.
        backwards: Whether they come from the last to the first. Then ``every`` and ``most`` count
            from the last one.
    """

    start: Point | None = None
    end: Point | None = None
    every: int = 1
    most: int | None = None
    backwards: bool = False

    def validate(self) -> "Part":
        """Return the part itself where it can have a frame.

        Raises:
            SettingError: A number is below 1, or the end comes before the start.
        """
        if self.every < 1:
            raise SettingError("every", f"{self.every} must be at least 1")
        if self.most is not None and self.most < 1:
            raise SettingError("max_frames", f"{self.most} must be at least 1")
        for unit in ("frame", "seconds"):
            first, last = (getattr(point, unit, None) for point in (self.start, self.end))
            if first is not None and last is not None and first > last:
                raise SettingError("end", f"{self.end} comes before the start, {self.start}")
        return self

    @property
    def whole(self) -> bool:
        """Whether all frames are taken, forwards."""
        return self == Part()

    def described(self) -> dict[str, Any]:
        """Return what of it boxes depend on, as plain data; empty for a whole video."""
        values: dict[str, Any] = {}
        for name, point in (("start", self.start), ("end", self.end)):
            if point is not None:
                values[name] = str(point)
        if self.every != 1:
            values["every"] = self.every
        if self.most is not None:
            values["most"] = self.most
        if self.backwards:
            values["backwards"] = True
        return values

    def taking(self) -> "Taking":
        """Return what says of one frame after the other, forwards, whether it is taken."""
        return Taking(self)

    def order(self, count: int, rate: float) -> range:
        """Return the indices, from 0, of the frames to take, in their order.

        Args:
            count: How many frames there are, one every ``1 / rate`` seconds.
            rate: Frames per second.
        """
        inside = [
            n
            for n in range(count)
            if (self.start is None or self.start.reached(n + 1, n / rate))
            and not (self.end is not None and self.end.passed(n + 1, n / rate))
        ]
        if not inside:
            return range(0)
        first, last = inside[0], inside[-1]
        step = self.every
        found = range(last, first - 1, -step) if self.backwards else range(first, last + 1, step)
        return found[: self.most]


class Taking:
    """Says of one frame after the other whether it is taken, in the order of the video.

    Attributes:
        over: Whether no later frame will be.
        taken: How many have been.
    """

    def __init__(self, part: Part):
        """Begin with the first frame of the video."""
        self._part, self._inside = part, 0
        self.over, self.taken = False, 0

    def __call__(self, number: int, time: float) -> bool:
        """Return whether a frame is taken.

        Args:
            number: The frame's number, from 1.
            time: When it is shown, in seconds since the first frame of the video.
        """
        part = self._part
        if part.end is not None and part.end.passed(number, time):
            self.over = True
        if self.over or (part.start is not None and not part.start.reached(number, time)):
            return False
        wanted = self._inside % part.every == 0
        self._inside += 1
        self.taken += wanted
        # said now: the frame after the last one may be long in coming
        self.over = self.taken == part.most or part.end == Point(frame=number)
        return wanted


def of_settings(
    start: int | str | None = None,
    end: int | str | None = None,
    every: int = 1,
    max_frames: int | None = None,
    backwards: bool = False,
) -> Part:
    """Return the part that settings of these names ask for.

    Args:
        start: The first frame or time; None: the video's first.
        end: The last one.
        every: As in ``Part``.
        max_frames: ``most`` of ``Part``.
        backwards: As in ``Part``.

    Raises:
        SettingError: One of them is out of range.
    """
    for name, value in (("every", every), ("max_frames", max_frames)):
        number = value if isinstance(value, int) and not isinstance(value, bool) else math.nan
        if value is not None and math.isnan(number):
            raise SettingError(name, f"{value!r} is not a whole number")
    points = [None if p is None else Point.parse(n, p) for n, p in (("start", start), ("end", end))]
    return Part(points[0], points[1], every, max_frames, bool(backwards)).validate()
