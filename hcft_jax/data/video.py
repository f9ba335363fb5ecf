"""A user's own video as frames with their times: a file, a folder of images, a camera or a URL.

FFmpeg (PyAV) decodes files and network streams (``hcft_jax.data.containers``), in a thread that
stays a few frames ahead of the consumer; of what is live the consumer gets the newest frame
(``hcft_jax.data.live``).

Frames are RGB, uint8 ``[H, W, 3]``, upright: what the file notes of rotations and reflections is
applied, as viewers do. Grey is repeated, alpha is dropped, and deeper colour is cut to 8 bits
(``hcft_jax.data.depth``). Damage ends a file with an error that comes after its last frame.
"""

import contextlib
import hashlib
import itertools
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import av

from hcft_jax.data import containers, frames, live, wanted
from hcft_jax.data.containers import Container
from hcft_jax.data.frames import SUFFIXES, ImageFiles, ahead
from hcft_jax.data.moments import ASSUMED_RATE, Moment, Video
from hcft_jax.data.part import Part
from hcft_jax.data.recorded import recorded
from hcft_jax.data.wanted import ImageList
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import exists

RECONNECT = 3
"""How often a network stream that breaks off is opened again, at most."""

_WHOLE = Part()


@contextlib.contextmanager
def opened(
    source: str | os.PathLike[str] | int | ImageList,
    part: Part = _WHOLE,
    *,
    reconnect: int = RECONNECT,
) -> Generator[Video, None, None]:
    """Open a source and read its first frame, so that a source without video fails here.

    Args:
        source: A video file or a picture; a folder, pattern or list of images
            (``hcft_jax.data.wanted``); a camera, by its number or device file; or a URL. A file or
            folder goes before a camera whose number is its name, if the number is a string. A URL
            is live unless it has a known length.
        part: The frames that are taken, in their order.
        reconnect: How often, at most, it is tried to open a stream again that has broken off.

    Raises:
        InputError: There is no such source, it is no video or several, or it ends before its first
            frame or that of the part; or the part comes backwards, and the source is live.
    """
    if not isinstance(source, ImageList):
        found = wanted.find(source)
        if len(found) > 1:
            raise InputError(f"{source}: {len(found)} videos; give one at a time")
        source = int(source) if isinstance(source, int) else found[0]
    text = str(source)
    if isinstance(source, ImageList):
        video = _pictures(source, part)
    elif isinstance(source, int):
        video = live.camera(text)
    elif exists(path := wanted.path_of(source)):  # False for a name that no file can have, too
        video = _local(path, text, part)
    elif text.isdecimal():
        video = live.camera(text)
    else:
        video = _stream(text, None, part, reconnect)
    if video.live:
        if part.backwards:
            video.frames.close()  # type: ignore[attr-defined]
            raise InputError(f"{text}: a live source cannot be tracked backwards")
        outer: Any = live.latest(video, _taken(video.frames, part))
    else:
        outer = ahead(video.frames)
    try:
        first = next(outer, None)
        if first is None:
            where = "" if part.whole else " in the part that is asked for"
            raise InputError(f"{text}: it ends before its first frame{where}")
        video.frames = itertools.chain([first], outer)
        yield video
    finally:
        outer.close()


def _taken(moments: Iterator[Moment], part: Part) -> Iterator[Moment]:
    """Yield the frames of a part of what is live."""
    taking = part.taking()
    with contextlib.closing(moments):  # type: ignore[type-var]
        for moment in moments:
            if taking(moment.number, moment.time):
                yield moment
            if taking.over:
                return


_VIDEO4LINUX = 81  # the major number of cameras


def _digest(paths: tuple[Path, ...]) -> str:
    """Return a digest of the files' names, sizes and times of change."""
    text = "".join(f"{p.name}\0{(s := p.stat()).st_size}\0{s.st_mtime_ns}\n" for p in paths)
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _local(path: Path, text: str, part: Part) -> Video:
    """Open what lies at a path; ``text`` is what it was called."""
    if path.is_char_device() and (
        sys.platform != "linux" or os.major(path.stat().st_rdev) == _VIDEO4LINUX
    ):
        return live.camera(str(path))
    if not path.is_file():  # /dev/zero, too, which some formats would be read from without end
        raise InputError(f"{text}: neither a file nor a folder nor a camera")
    # FFmpeg takes a picture for a video of one frame, but refuses none that is damaged
    if path.suffix.lower() in SUFFIXES:
        return _pictures(ImageList(str(path), path.stem, (path,)), part)
    return _stream(str(path), path, part, 0)


def _pictures(pictures: ImageList, part: Part) -> Video:
    paths = pictures.paths
    order = part.order(len(paths), ASSUMED_RATE)
    images = frames.stream(ImageFiles(tuple(paths[i] for i in order), upright=True))
    moments = (Moment(i / ASSUMED_RATE, image, i + 1) for i, image in zip(order, images))  # noqa: B905
    identity = _digest(paths)
    return Video(
        pictures.given, pictures.name, False, len(order), identity, moments, files=tuple(paths)
    )


def _stream(source: str, path: Path | None, part: Part, reconnect: int) -> Video:
    """Return what FFmpeg reads: a file, or else an address."""

    def again() -> Container:
        return containers.open_file(path) if path else containers.open_address(source)

    container = again()
    file, stream = container.file, container.stream
    without_end = path is None and not file.duration
    rate = float(stream.average_rate or ASSUMED_RATE)
    count = stream.frames or None
    if count is None and file.duration and stream.average_rate:
        count = round(rate * file.duration / av.time_base)
    name = Path(source.split("?")[0].rstrip("/")).stem or "stream"
    identity = None if path is None else _digest((path,))
    files = () if path is None else (path,)
    count = count and len(part.order(count, rate))
    video = Video(source, name, without_end, count, identity, iter(()), files=files)
    if without_end:
        video.frames = live.stream(video, container, again, reconnect)
    else:
        video.frames = recorded(source, container, again, path).moments(part)
    return video
