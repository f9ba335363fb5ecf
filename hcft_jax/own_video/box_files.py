"""Where targets start: the box of each one, and the frame that it is in.

A file of boxes is read by what it has. All boxes are 0-based but those of MOTChallenge, whose rules
say 1-based:

* four columns: a box for each of several targets, in the first frame that is tracked;
* a header of names (``frame``, ``id``, ``x``, ``y``, ``w``, ``h``, or ``x1``, ``y1``, ``x2``,
  ``y2``, ...), as our own ``boxes.csv`` has it; other columns do not count;
* seven to ten columns: rows of MOTChallenge, ``frame,id,left,top,width,height,score,...``;
* ``.json``: detections of COCO, a list of ``image_id`` (the frame's number), ``bbox`` and so on.

Rows of one id are one target, which starts in the first of its frames that are tracked. Without ids
the boxes of the first frame that has any are the targets.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hcft_jax.experiment.video_settings import XYXY
from hcft_jax.util import opening, text
from hcft_jax.util.boxes import coordinate
from hcft_jax.util.errors import InputError
from hcft_jax.util.names import natural

Box = tuple[float, float, float, float]
"""x, y, w, h in pixels, 0-based."""

_ROLES = {
    "frame": "frame frame_id frameid image_id frame_number framenumber",
    "id": "id track_id trackid target target_id object object_id obj_id name",
    "x": "x left bb_left bbox_left",
    "y": "y top bb_top bbox_top",
    "w": "w width bb_width bbox_width",
    "h": "h height bb_height bbox_height",
    "x1": "x1 xmin x_min bb_x1",
    "y1": "y1 ymin y_min bb_y1",
    "x2": "x2 xmax x_max right bb_right bb_x2",
    "y2": "y2 ymax y_max bottom bb_bottom bb_y2",
}
_ROLE = {name: role for role, names in _ROLES.items() for name in names.split()}
_NO_ID = ("", "-1", "-1.0", "none", "nan")
_MOT = range(7, 11)  # columns


@dataclass(frozen=True)
class Start:
    """Where a target starts.

    Attributes:
        box: In that frame.
        where: What messages call it.
        frame: The frame's number, from 1; None: the first one that is tracked.
        id: The target's name in a file; empty where it has none.
    """

    box: Box
    where: str = "--box"
    frame: int | None = None
    id: str = ""


def corners(box: Iterable[float]) -> Box:
    """Return two corners (left, top, right, bottom) as a box."""
    left, top, right, bottom = map(float, box)
    return left, top, right - left, bottom - top


def read(path: Path, box_format: str) -> list[Start]:
    """Return all boxes of a file, in its order.

    Args:
        path: The file.
        box_format: "xywh" or "xyxy": what rows of four numbers are.

    Raises:
        InputError: It cannot be read, has no box, or has a row that is none; the message names the
            line.
    """
    found = _of_coco(path) if path.suffix.lower() == ".json" else _of_rows(path, box_format)
    if not found:
        raise InputError(f"{path}: it has no box")
    return found


def _of_rows(path: Path, box_format: str) -> list[Start]:
    header, rows = text.records(path)
    mot = False
    if not header and rows:
        count = len(rows[0][1])
        mot = count in _MOT
        header = ["frame", "id", "x", "y", "w", "h"] if mot else ["x", "y", "w", "h"]
        if box_format == XYXY:
            if mot:
                raise InputError(f"{path}: rows of MOTChallenge have sizes; leave box_format out")
            header = ["x1", "y1", "x2", "y2"]
        if not mot and count != 4:
            raise InputError(
                f"{path}, line {rows[0][0]}: {count} columns could be several things; expected "
                "x,y,w,h, rows of MOTChallenge, or a header that names them: frame,id,x,y,w,h"
            )
    place = _columns(path, header)
    return [_start(path, number, parts, place, mot) for number, parts in rows]


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    place: dict[str, int] = {}
    for index, name in enumerate(header):
        if (role := _ROLE.get(name)) is not None:
            place.setdefault(role, index)
    if {"x2", "y2"} <= place.keys():  # with right and bottom, left and top are the other corner
        place = {"x1": place.get("x", -1), "y1": place.get("y", -1)} | place
        place = {role: at for role, at in place.items() if role not in "xywh" and at >= 0}
    wanted = ("x1", "y1", "x2", "y2") if "x2" in place else ("x", "y", "w", "h")
    if missing := [role for role in wanted if role not in place]:
        raise InputError(
            f"{path}, line 1: no column {missing[0]} in {text.shown(','.join(header))}; expected "
            "x,y,w,h or x1,y1,x2,y2, and frame and id where there are any"
        )
    if "time" in header and "frame" not in place:
        raise InputError(f"{path}, line 1: a column time, but none of frames; name the frames")
    return place


def _start(path: Path, line: int, parts: list[str], place: dict[str, int], mot: bool) -> Start:
    if len(parts) <= max(place.values()):
        raise InputError(
            f"{path}, line {line}: {len(parts)} columns, expected {max(place.values()) + 1}"
        )
    names = ("x1", "y1", "x2", "y2") if "x2" in place else ("x", "y", "w", "h")
    x, y, w, h = (coordinate(path, line, parts[place[name]]) for name in names)
    box = corners((x, y, w, h)) if "x2" in place else (x, y, w, h)
    if mot:
        box = box[0] - 1, box[1] - 1, box[2], box[3]
    where, frame, name = f"{path}, line {line}", None, ""
    if "frame" in place:
        frame = _frame(where, text.real(path, line, parts[place["frame"]]))
    if "id" in place and parts[place["id"]].lower() not in _NO_ID:
        name = parts[place["id"]]
    return Start(box, where, frame, name)


def _frame(where: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise InputError(f"{where}: the frame {value!r} is no whole number")
    if value < 1:
        raise InputError(f"{where}: frames count from 1, and this is frame {value:g}")
    return int(value)


def _of_coco(path: Path) -> list[Start]:
    try:
        content = json.loads(opening.content(path, opening.TEXT))
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({' '.join(str(error).split())[:80]})") from error
    images = {}
    if isinstance(content, dict):  # annotations, not results
        for image in content.get("images") or []:
            if isinstance(image, dict) and "frame" in image:
                images[image.get("id")] = image["frame"]
        content = content.get("annotations")
    if not isinstance(content, list):
        raise InputError(f"{path}: neither detections nor annotations of COCO")
    found = []
    for number, row in enumerate(content, 1):
        where = f"{path}, box {number}"
        box = row.get("bbox") if isinstance(row, dict) else None
        numbers = isinstance(box, list) and [type(v) in (int, float) for v in box] == [True] * 4
        if not numbers or "image_id" not in row:
            raise InputError(f"{where}: no image_id, or no bbox of four numbers")
        image = row["image_id"]
        frame = _frame(where, images.get(image, image))
        name = row.get("track_id", "")
        found.append(Start(tuple(map(float, box)), where, frame, str(name)))  # type: ignore[arg-type]
    return found


def outermost(starts: Iterable[Start], backwards: bool) -> int | None:
    """Return the first frame that has a box, or the last one; None where none has a number.

    Args:
        starts: All boxes of a file.
        backwards: Whether the last one is wanted.
    """
    numbers = [start.frame for start in starts if start.frame is not None]
    return (max if backwards else min)(numbers) if numbers else None


def chosen(starts: list[Start], tracked: Callable[[int], bool], backwards: bool) -> list[Start]:
    """Return one start for each target.

    Args:
        starts: All boxes of a file.
        tracked: Tells whether a frame is one of those that are tracked.
        backwards: Whether these come from the last to the first.

    Raises:
        InputError: No box is in a frame that is tracked.
    """
    if starts[0].frame is None:
        return starts
    order = sorted(starts, key=lambda start: start.frame or 0, reverse=backwards)
    order = [start for start in order if tracked(start.frame or 0)]
    if not order:
        raise InputError(
            f"{starts[0].where}: no box is in a frame that is tracked (start, end, every)"
        )
    if any(start.id for start in order):
        first: dict[str, Start] = {}
        for start in order:
            first.setdefault(start.id, start)
        first.pop("", None)
        found = sorted(first.values(), key=lambda start: natural(start.id))
    else:
        found = [replace(s, id="") for s in order if s.frame == order[0].frame]
    return found
