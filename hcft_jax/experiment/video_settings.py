"""What can be set for a video of one's own: which part, which targets, and what is written."""

from dataclasses import dataclass

from hcft_jax.core.choices import static
from hcft_jax.data.part import Part, Point, of_settings
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.names import listed, near

FORMATS = ("csv", "mot", "json", "coco")
"""The formats of tables."""

XYWH, XYXY = "xywh", "xyxy"
"""How a box is written: left, top, width, height; or left, top, right, bottom."""


@dataclass(frozen=True)
class OwnVideo:
    """A video of one's own to track in, instead of the sequences of a benchmark.

    Boxes are x, y, w, h in the first frame, in pixels counted from 0.
    """

    video: str | None = static(
        None,
        "track in this: a video file, a folder of images or videos, a pattern (img_%04d.jpg, "
        "*.mp4), a list (a.mp4,b.mp4 or @list.txt), a camera (its number) or a URL",
    )
    box: tuple[float, ...] = static((), "x,y,w,h of the target in the first frame, from 0")
    boxes: str | None = static(
        None,
        "a file with one such row for each of several targets, or a detector's (MOT, COCO, or CSV "
        "with a header: frame, id, x, y, w, h, ...); or a folder with such a file for each video",
    )
    box_format: str = static(
        XYWH, f"how boxes are given and written in boxes.csv: {XYWH}, or {XYXY} (two corners)"
    )
    select: bool = static(False, "draw the box, or several, with the mouse")
    preview: str | None = static(
        None,
        "track nothing: write the first frame with a grid and coordinates, and the boxes if given, "
        "to this .png or .jpg, to read a box off where there is no screen",
    )
    start: str | None = static(None, "begin at this frame (75, from 1) or time (3.5s, or 1:05)")
    end: str | None = static(None, "end with this frame or time")
    every: int = static(1, "track in every so many frames")
    max_frames: int | None = static(None, "the most frames of each sequence or video")
    backwards: bool = static(False, "track from the end to the start; the box is in the last frame")
    at: str | None = static(
        None, "the box is in this frame, or at this time: track from there to the end and the start"
    )
    format: tuple[str, ...] = static(FORMATS[:1], f"tables to write, of {', '.join(FORMATS)}")
    plain_video: bool = static(False, "also write the frames without boxes as an .mp4")
    crop_video: bool = static(False, "also write an .mp4 that follows each target")
    show: bool = static(False, "watch while it tracks; q or Esc ends it")
    layers_view: bool = static(
        False,
        "also draw response maps and principal components of the layers (one more pass per frame)",
    )
    reconnect: int = static(3, "how often, at most, a stream that breaks off is opened again")

    def validate(self) -> None:
        """Check that the fields go together.

        Raises:
            InputError: names the field and says what to give.
        """
        if not self.video:
            raise SettingError("video", "name a video file, a folder of images, a camera or a URL")
        ways = (bool(self.box), bool(self.boxes), self.select).count(True)
        if ways > 1 or (ways == 0 and not self.preview):
            raise InputError(
                "where is the target? give one of box (x,y,w,h), boxes (a file) and select; "
                "preview writes the first frame with coordinates"
            )
        if self.box and len(self.box) != 4:
            raise SettingError(
                "box", f"{','.join(f'{v:g}' for v in self.box)} is not four numbers x,y,w,h"
            )
        for name, given, known in (
            ("box_format", (self.box_format,), (XYWH, XYXY)),
            ("format", self.format, FORMATS),
        ):
            for value in given:
                if value not in known:
                    raise SettingError(name, f"no {value!r}{near(value, known)}; {listed(known)}")
        if not self.format or len(set(self.format)) < len(self.format):
            raise SettingError("format", "name at least one, and each once")
        if self.reconnect < 0:
            raise SettingError("reconnect", f"{self.reconnect} must be at least 0")
        self._validate_part()

    def _validate_part(self) -> None:
        part = self.part  # which checks its own fields
        if self.at is not None:
            if self.backwards:
                raise SettingError("at", "tracks both ways; leave backwards out")
            at = Point.parse("at", self.at)
            Part(part.start, at).validate()
            Part(at, part.end).validate()
        if self.layers_view:
            if self.boxes:
                raise SettingError("layers_view", "shows one target; give box or select")
            if self.backwards or self.at is not None:
                raise SettingError("layers_view", "is drawn forwards; leave backwards and at out")

    @property
    def part(self) -> Part:
        """The part of the video that ``start``, ``end`` and the like ask for."""
        return of_settings(self.start, self.end, self.every, self.max_frames, self.backwards)
