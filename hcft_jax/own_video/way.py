"""The way through a video: which frames are tracked, in which order, and where targets start."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hcft_jax.core import target
from hcft_jax.core.sampling import PAPER, Layout
from hcft_jax.core.target import place
from hcft_jax.data import wanted
from hcft_jax.data.moments import Moment
from hcft_jax.data.part import Part, Point
from hcft_jax.data.wanted import Source
from hcft_jax.experiment.video_settings import XYXY, OwnVideo
from hcft_jax.own_video import box_files
from hcft_jax.own_video.box_files import Box, Start
from hcft_jax.own_video.gui import Gui
from hcft_jax.own_video.video_files import note
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.files import is_dir, is_file

_ENDINGS = (".csv", ".txt", ".json")  # of a file of boxes in a folder of them


@dataclass(frozen=True)
class Way:
    """Which frames are tracked, in which order, and all boxes that are known.

    Attributes:
        part: The frames, from the first box on.
        back: Whether it is tracked from there to the start, too.
        given: The boxes of a file; None: there is one, which ``box`` or ``select`` says.
        form: How boxes are written in boxes.csv.
    """

    part: Part
    back: bool
    given: list[Start] | None
    form: str

    @classmethod
    def of(cls, own: OwnVideo, source: Source) -> "Way":
        """Return it for a video.

        Raises:
            InputError: The file of boxes cannot be used.
        """
        part, given = own.part, None
        if own.boxes is not None:
            path = _boxes_of(own.boxes, source)
            given = box_files.read(path, own.box_format)
            number = box_files.outermost(given, part.backwards)
            if number is not None and own.at is not None:
                raise SettingError("at", f"{path} has frames of its own; leave one of them out")
            if number is not None and part.backwards and part.end is None:
                part = replace(part, end=Point(number))
            elif number is not None and not part.backwards and part.start is None:
                part = replace(part, start=Point(number))
        if own.at is not None:
            part = replace(part, start=Point.parse("at", own.at))
        return cls(part, own.at is not None, given, own.box_format)

    def described(self, own: OwnVideo, begun: Sequence[Start]) -> dict[str, Any]:
        """Return what boxes depend on besides the frames, as plain data for their identity."""
        said = own.part.described()
        if own.at is not None:
            said["at"] = str(Point.parse("at", own.at))
        if any(start.frame for start in begun):
            said["frames"] = [start.frame for start in begun]
        return said

    def known(self, own: OwnVideo) -> list[Box]:
        """Return the boxes that are given, to be looked at before anything is tracked.

        Args:
            own: What is asked for.
        """
        if self.given is not None:
            number = box_files.outermost(self.given, self.part.backwards)
            return [start.box for start in self.given if start.frame in (None, number)]
        return [_box(own)] if own.box else []

    def tracked(self, first: int, number: int) -> bool:
        """Return whether a frame is tracked, where the first one that is has the number ``first``.

        An end that is a time is not known here.
        """
        part = self.part
        steps = first - number if part.backwards else number - first
        last = part.start if part.backwards else part.end
        if last is not None and last.frame is not None:
            steps = -1 if (number - last.frame) * (-1 if part.backwards else 1) > 0 else steps
        most = part.most is None or steps < part.every * part.most
        return steps >= 0 and steps % part.every == 0 and most


def _box(own: OwnVideo) -> Box:
    """Return the one box that is given, as x, y, w, h."""
    box: Box = tuple(map(float, own.box))  # type: ignore[assignment]
    return box_files.corners(box) if own.box_format == XYXY else box


def _boxes_of(boxes: str, source: Source) -> Path:
    """Return the file of boxes of a video; a folder has one by the video's name."""
    path = Path(boxes)
    if not is_dir(path):
        return path
    name = source.name if isinstance(source, wanted.ImageList) else Path(source).stem
    found = [file for end in _ENDINGS if is_file(file := path / f"{name}{end}")]
    if not found:
        raise InputError(f"{path}: no boxes of {source}; expected {name}{'|'.join(_ENDINGS)}")
    return found[0]


def first_boxes(
    own: OwnVideo, way: Way, first: Moment, gui: Gui | None, layout: Layout = PAPER
) -> list[Start]:
    """Return where the targets start: drawn in the GUI, read from a file, or as given.

    Args:
        own: What is asked for.
        way: The boxes of a file, and the frames that are tracked.
        first: The first of these.
        gui: Where a box is drawn.
        layout: The configuration's.

    Raises:
        InputError: One cannot be tracked in frames of this size. The message names its field, or
            its file and line.
    """
    if way.given is not None:
        tracked = functools.partial(way.tracked, first.number)
        begun = box_files.chosen(way.given, tracked, way.part.backwards)
        others = len(way.given) - len(begun)
        if others:
            note(f"{own.boxes}: {len(begun)} boxes are where targets start, {others} are not used")
    elif own.select and gui is not None:
        begun = [Start(box, "--select") for box in gui.select(first.image)]
        if own.layers_view and len(begun) > 1:
            raise SettingError("layers_view", "shows one target; draw one box")
    else:
        begun = [Start(_box(own))]
    size = first.image.shape[0], first.image.shape[1]
    for start in begun:
        try:
            place(start.box, size, layout)
            if beyond := target.beyond(start.box, size):
                note(f"{start.where}: {beyond}")
        except InputError as error:
            if own.boxes is not None:
                raise InputError(f"{start.where}: {error}") from error
            raise SettingError("select" if own.select else "box", str(error)) from error
    return begun
