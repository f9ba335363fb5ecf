"""The tables of a video's boxes, in the formats that other programs read.

* ``csv``: ``boxes.csv`` for one target, ``boxes-1.csv``, ... for several; 0-based.
* ``mot``: ``mot.txt``, rows of MOTChallenge, ``frame,id,left,top,width,height,score,-1,-1,-1``, of
  all targets; 1-based, as its rules say.
* ``json``: ``boxes.json``, each target's frames, with the box as sizes and as corners.
* ``coco``: ``coco.json``, images and annotations of COCO, with ``track_id`` and ``score``.

Rows are in the order of the frames, whichever way these were tracked.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from hcft_jax.answers import csv_row
from hcft_jax.data.moments import Moment
from hcft_jax.experiment.video_settings import XYXY
from hcft_jax.own_video.followed import Found, row_of
from hcft_jax.util import text
from hcft_jax.util.files import lines

HEADER = "frame,time,x,y,w,h,score,lost"  # the score is the PSR
CORNERS = "frame,time,x1,y1,x2,y2,score,lost"

_NAMES = {"mot": "mot.txt", "json": "boxes.json", "coco": "coco.json"}


class BoxRow(NamedTuple):
    """A target in a frame."""

    frame: int
    time: float
    target: int  # from 0
    box: tuple[float, ...]  # x, y, w, h in pixels, 0-based
    score: float | None
    lost: bool
    gap: float


def rows(moment: Moment, found: Found) -> list[BoxRow]:
    """Return the rows of a frame, by target."""
    made = []
    for index, result in sorted(found.items()):
        *box, score, lost = row_of(result)
        shown = None if score != score else score  # NaN
        made.append(
            BoxRow(moment.number, moment.time, index, tuple(box), shown, bool(lost), moment.gap)
        )
    return made


@dataclass(frozen=True)
class About:
    """What tables say about a video.

    Attributes:
        source: What it was called.
        size: The height and width of its frames.
        names: A name for each target.
        files: The files of all its frames, where these are pictures.
    """

    source: str
    size: tuple[int, int]
    names: Sequence[str]
    files: Sequence[Path] = ()

    @property
    def ids(self) -> list[int]:
        """The targets' numbers: their names where these are numbers, else from 1."""
        numbers = all(re.fullmatch("[0-9]{1,9}", name) for name in self.names)
        return [int(n) for n in self.names] if numbers else [*range(1, len(self.names) + 1)]

    def file(self, frame: int) -> str:
        """Return the name of a frame's file, which a video's frame may get."""
        return self.files[frame - 1].name if self.files else f"{frame:06d}.jpg"


def paths(folder: Path, formats: Sequence[str], names: Sequence[str]) -> list[Path]:
    """Return the paths of the tables of some formats.

    Args:
        folder: The folder of the video's files.
        formats: Of ``video_settings.FORMATS``.
        names: A name for each target; the only target of a video has the empty one.
    """
    found = []
    for name in formats:
        if name == "csv":
            found += [folder / (f"boxes-{n}.csv" if n else "boxes.csv") for n in names]
        else:
            found.append(folder / _NAMES[name])
    return found


class BoxTables:
    """The tables of a video while it is tracked."""

    def __init__(
        self, folder: Path, partial: Path, formats: Sequence[str], names: Sequence[str], form: str
    ):
        """Take where they go, and, if they are not finished, where else.

        Args:
            folder: The folder of the video's files.
            partial: That of unfinished ones.
            formats: As for ``paths``.
            names: As for ``paths``.
            form: How boxes are written in ``boxes.csv``: "xywh" or "xyxy".
        """
        self._folder, self._partial = folder, partial
        self._formats, self._names, self._corners = formats, names, form == XYXY
        self._files: dict[Path, IO[str]] = {}
        self._kept: list[BoxRow] = []
        self._about: About | None = None
        self._gaps = False
        self._last = 0
        self._sorted = True

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Open the files, which get their names at the end, or go to ``partial`` otherwise."""
        with contextlib.ExitStack() as stack:
            for path in paths(self._folder, self._formats, self._names):
                self._files[path] = stack.enter_context(lines(path, self._partial / path.name))
            stack.callback(self._finish)
            yield

    def begin(self, about: About, gaps: bool) -> None:
        """Take what is known once the first frame is.

        Args:
            about: What tables say of the video.
            gaps: Whether it may break off, so that the table has a column for that.
        """
        self._about, self._gaps, self._ids = about, gaps, about.ids
        header = (CORNERS if self._corners else HEADER) + (",gap" if gaps else "")
        for path, file in self._files.items():
            if path.suffix == ".csv":
                file.write(f"{header}\n")

    def write(self, found: Sequence[BoxRow]) -> None:
        """Write the rows of a frame."""
        for row in found:
            self._sorted = self._sorted and row.frame >= self._last
            self._last = row.frame
            if "csv" in self._formats:
                name = self._names[row.target]
                self._line(f"boxes-{name}.csv" if name else "boxes.csv", self._csv(row))
            if "mot" in self._formats:
                self._line(_NAMES["mot"], _mot(row, self._ids[row.target]))
        if {"json", "coco"} & set(self._formats):
            self._kept += found

    def _line(self, name: str, line: str) -> None:
        file = self._files[self._folder / name]
        file.write(line)
        file.flush()

    def _csv(self, row: BoxRow) -> str:
        box = corners(row.box) if self._corners else row.box
        gap = f",{row.gap:.3f}" if self._gaps else ""
        return csv_row(row.frame, row.time, box, row.score, row.lost, gap)

    def _finish(self) -> None:
        """Put rows into the order of the frames, and write what is written at once."""
        if self._about is None:
            return
        self._kept.sort(key=lambda row: (row.frame, row.target))
        for path, file in self._files.items():
            if path.name == _NAMES["json"]:
                file.write(json.dumps(_json(self._about, self._kept), indent=1) + "\n")
            elif path.name == _NAMES["coco"]:
                file.write(json.dumps(_coco(self._about, self._kept)) + "\n")
            elif not self._sorted:
                _sort(file)


def read_csv(paths_: Sequence[Path], form: str) -> tuple[list[BoxRow], bool]:
    """Return the rows of the tables of some targets, and whether all have boxes in a form.

    Args:
        paths_: ``boxes.csv``, or the table of each target in their order.
        form: "xywh" or "xyxy".

    Raises:
        InputError: One cannot be read; the message names the line.
    """
    found, same = [], True
    for target, path in enumerate(paths_):
        cut = text.lines(path)[0].startswith(CORNERS)
        same = same and cut == (form == XYXY)
        columns = (CORNERS if cut else HEADER).split(",")
        for line, cells in text.table(path, columns):
            number, time, *box = (text.real(path, line, cells[name]) for name in columns[:6])
            if cut:
                box = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            score = text.real(path, line, cells["score"]) if cells["score"] else None
            lost = cells["lost"] == "1"
            found.append(BoxRow(int(number), time, target, tuple(box), score, lost, 0.0))
    return sorted(found, key=lambda row: (row.frame, row.target)), same


def _sort(file: IO[str]) -> None:
    """Sort a table by its first column; the order of a frame's rows stays."""
    file.seek(0)
    lines = file.readlines()
    header = [line for line in lines[:1] if not line[0].isdigit()]
    body = sorted(lines[len(header) :], key=lambda line: int(line.partition(",")[0]))
    file.seek(0)
    file.writelines([*header, *body])
    file.truncate()


def corners(box: Sequence[float]) -> tuple[float, ...]:
    """Return a box x, y, w, h as its corners: left, top, right, bottom."""
    x, y, w, h = box
    return x, y, x + w, y + h


def _mot(row: BoxRow, number: int) -> str:
    x, y, w, h = row.box
    score = "1" if row.score is None else f"{row.score:.4f}"
    numbers = f"{x + 1:.4f},{y + 1:.4f},{w:.4f},{h:.4f}"
    return f"{row.frame},{number},{numbers},{score},-1,-1,-1\n"


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


def _json(about: About, kept: Sequence[BoxRow]) -> dict[str, Any]:
    targets: list[dict[str, Any]] = [
        {"id": number, "name": name, "frames": []}
        for number, name in zip(about.ids, about.names, strict=True)
    ]
    for row in kept:
        x, y, w, h = _rounded(row.box)
        left, top, right, bottom = _rounded(corners(row.box))
        targets[row.target]["frames"].append(
            {
                "frame": row.frame,
                "time": round(row.time, 6),
                "box": {"x": x, "y": y, "w": w, "h": h},
                "corners": {"x1": left, "y1": top, "x2": right, "y2": bottom},
                "score": None if row.score is None else round(row.score, 4),
                "lost": row.lost,
            }
        )
    height, width = about.size
    return {"video": about.source, "width": width, "height": height, "targets": targets}


def _coco(about: About, kept: Sequence[BoxRow]) -> dict[str, Any]:
    height, width = about.size
    times, ids = {row.frame: row.time for row in kept}, about.ids
    return {
        "info": {"description": about.source},
        "images": [
            {
                "id": frame,
                "file_name": about.file(frame),
                "width": width,
                "height": height,
                "frame": frame,
                "time": round(time, 6),
            }
            for frame, time in times.items()
        ],
        "annotations": [
            {
                "id": number,
                "image_id": row.frame,
                "category_id": 1,
                "bbox": _rounded(row.box),
                "area": round(row.box[2] * row.box[3], 4),
                "iscrowd": 0,
                "track_id": ids[row.target],
                "score": row.score if row.score is None else round(row.score, 4),
                "lost": row.lost,
            }
            for number, row in enumerate(kept, 1)
        ],
        "categories": [{"id": 1, "name": "target"}],
    }
