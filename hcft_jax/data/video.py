"""A user's own video as frames with their times: a file, a folder of images, a camera or a URL.

FFmpeg (PyAV) decodes files and network streams (``hcft_jax.data.containers``), in a thread that
stays a few frames ahead of the consumer. A live source is never paused: a thread takes every frame
and the consumer gets the newest one, so that a consumer slower than the source drops frames and
never lags.

Frames are RGB, uint8 ``[H, W, 3]``, upright: what the file notes of rotations and reflections is
applied, as viewers do. Grey is repeated, alpha is dropped, and deeper colour is cut to 8 bits
(``hcft_jax.data.depth``). Damage ends a file with an error that comes after its last frame.
"""

import contextlib
import hashlib
import itertools
import os
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import av
import av.error
import av.sidedata.sidedata
import cv2
import numpy as np

from hcft_jax.data import containers, depth, frames, orientation
from hcft_jax.data.containers import TIMEOUT, Container, Decoding
from hcft_jax.data.frames import MAX_PIXELS, SUFFIXES, ImageFiles
from hcft_jax.data.sequence import Frame
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import exists, silent_stderr
from hcft_jax.util.names import natural
from hcft_jax.util.text import natural_number

ASSUMED_RATE = (
    30.0  # frames per second of images, and of files that do not say when a frame is shown
)
_AHEAD = 8  # decoded frames that wait for the consumer

T = TypeVar("T")


class Moment(NamedTuple):
    """A frame and the time at which it is shown, in seconds since the first one."""

    time: float
    image: Frame


@dataclass
class Video:
    """An open source of frames, over which one can iterate once.

    Attributes:
        source: The source as it was given.
        name: A short name, fit for a file name.
        live: Whether frames come at their own pace, so that those nobody waited for are dropped.
        count: The number of frames, roughly; None where it is not known.
        identity: A digest that changes when the file or folder does; None for a live source.
        dropped: The number of frames of a live source that nobody waited for, so far.
        broken: Why a live source ended, where that was an error.
        files: The files that it is read from, in their order; none of a live source.
    """

    source: str
    name: str
    live: bool
    count: int | None
    identity: str | None
    _frames: Iterator[Moment]
    dropped: int = 0
    broken: str = ""
    files: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[Moment]:
        """Iterate over the remaining frames.

        Raises:
            InputError: A frame has another size, or the video is damaged; what could be decoded
                was given.
        """
        return self._frames


@contextlib.contextmanager
def opened(source: str | os.PathLike[str] | int) -> Generator[Video, None, None]:
    """Open a source and read its first frame, so that a source without video fails here.

    Args:
        source: A video file or a picture; a folder of images (in natural order of their names); a
            camera, by its number or device file; or a URL. A file or folder goes before a camera
            whose number is its name, if the number is a string. A URL is live unless it has a known
            length.

    Raises:
        InputError: There is no such source, it is no video, or it ends before its first frame.
    """
    text = str(source)
    path = _path(text)
    if isinstance(source, int):
        video = _camera(text)
    elif exists(path):  # False for a name that no file can have, too
        video = _local(path, text)
    elif text.isdecimal():
        video = _camera(text)
    elif "://" in text:
        video = _stream(text, containers.open_address(text), None)
    else:
        raise InputError(f"{text}: no such file, folder or camera")
    inner = video._frames
    outer: Any = latest(video, inner) if video.live else ahead(inner)
    try:
        first = next(outer, None)
        if first is None:
            raise InputError(f"{text}: it ends before its first frame")
        video._frames = itertools.chain([first], outer)
        yield video
    finally:
        outer.close()


def _path(source: str) -> Path:
    """Return the path that a source is, where it is one; ``file://`` leads to one, too."""
    if source.lower().startswith("file://"):
        return Path(url2pathname(urlsplit(source).path))
    return Path(source)


def ahead(items: Iterator[T], size: int = _AHEAD) -> Generator[T, None, None]:
    """Yield the same items, made by a thread that stays up to ``size`` ahead of the consumer.

    An exception comes where the item would have. Closing waits for the item being made.
    """
    end: Any = object()
    try:
        take = frames.read_ahead(lambda _: next(items, end), itertools.count(), 1, size)
        with contextlib.closing(take) as made:
            yield from itertools.takewhile(lambda item: item is not end, made)
    finally:
        _close(items)


def latest(video: Video, items: Iterator[Moment]) -> Generator[Moment, None, None]:
    """Yield the newest item each time; ``video.dropped`` counts the others."""
    ready = threading.Condition()
    held: list[Moment] = []
    ended: list[BaseException | None] = []
    stop = threading.Event()

    def take() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                with ready:
                    video.dropped += len(held)
                    held[:] = [item]
                    ready.notify()
                if stop.is_set():
                    return
        except BaseException as caught:
            error = caught
        finally:
            _close(items)
            with ready:
                ended.append(error)
                ready.notify()

    thread = threading.Thread(target=take, name="latest", daemon=True)
    thread.start()
    try:
        while True:
            with ready:
                # In short turns: an endless wait would not let Ctrl-C through on every system.
                while not held and not ended:
                    ready.wait(0.1)
                item = held.pop() if held else None
            if item is None:
                if ended[0] is not None:
                    raise ended[0]
                return
            yield item
    finally:
        stop.set()
        thread.join(2 * TIMEOUT)  # a camera that hangs must not block the program


def _close(items: Iterator[Any]) -> None:
    if isinstance(items, Generator):
        items.close()


def _digest(paths: list[Path]) -> str:
    """Return a digest of the files' names, sizes and times of change."""
    text = "".join(f"{p.name}\0{(s := p.stat()).st_size}\0{s.st_mtime_ns}\n" for p in paths)
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def _local(path: Path, text: str) -> Video:
    """Open what lies at a path; ``text`` is what it was called."""
    if path.is_char_device():
        return _camera(str(path))
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputError(f"{text}: neither a file nor a folder nor a camera")
    # FFmpeg takes a picture for a video of one frame, but refuses none that is damaged
    return _pictures(path, [path]) if path.suffix.lower() in SUFFIXES else _file(path)


def _folder(path: Path) -> Video:
    try:
        paths = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise InputError(f"{path}: cannot list it ({error.strerror or error})") from error
    if not paths:
        inside = [p for p in (path / "img",) if p.is_dir()]
        hint = f"; its images may be in {inside[0]}" if inside else ""
        raise InputError(f"{path}: no image in it ({', '.join(SUFFIXES)}){hint}")
    paths.sort(key=lambda p: natural(p.name))
    return _pictures(path, paths)


def _pictures(path: Path, paths: list[Path]) -> Video:
    images = frames.stream(ImageFiles(tuple(paths), upright=True))
    moments = (Moment(index / ASSUMED_RATE, image) for index, image in enumerate(images))
    name = path.resolve().name if path.is_dir() else path.stem
    identity = _digest(paths)
    return Video(str(path), name, False, len(paths), identity, moments, files=tuple(paths))


def _file(path: Path) -> Video:
    """Open a file that FFmpeg reads."""
    return _stream(str(path), containers.open_file(path), path)


def _stream(source: str, container: Container, path: Path | None) -> Video:
    """Return what FFmpeg reads: a file, or else an address."""
    file, stream = container
    live = path is None and not file.duration
    count = stream.frames or None
    if count is None and file.duration and stream.average_rate:
        count = round(float(stream.average_rate) * file.duration / av.time_base)
    name = Path(source.split("?")[0].rstrip("/")).stem or "stream"
    identity = None if path is None else _digest([path])
    files = () if path is None else (path,)
    video = Video(source, name, live, count, identity, iter(()), files=files)
    if live:
        video._frames = _live(video, container)
    else:
        decoding = Decoding(container, path)
        video._frames = _recorded(video, decoding, float(stream.average_rate or ASSUMED_RATE))
    return video


def _recorded(video: Video, decoding: Decoding, rate: float) -> Iterator[Moment]:
    """Yield the frames of a file, at the times that it has for them."""
    as_seen = _AsSeen(video.source)
    started: float | None = None
    # one thread decodes, and the one that runs this makes RGB of it
    with contextlib.closing(ahead(decoding.frames())) as given:
        for number, frame in enumerate(given):
            image = as_seen.image(frame, number + 1)
            now = number / rate if frame.time is None else frame.time
            started = now if started is None else started
            yield Moment(now - started, image)
    if damage := decoding.damage():
        raise InputError(
            f"{video.source}: the video is damaged: {damage}; repair it, or take another copy"
        )


def _live(video: Video, container: Container) -> Iterator[Moment]:
    """Yield the frames of a stream without an end, at the times at which they come."""
    as_seen = _AsSeen(video.source)
    started: float | None = None
    number = 0
    try:
        with contextlib.closing(container.file):
            for frame in container.file.decode(container.stream):
                image = as_seen.image(frame, number + 1)
                now = time.monotonic()
                started = now if started is None else started
                yield Moment(now - started, image)
                number += 1
    except InputError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if number:  # most live sources end like this
            video.broken = containers.reason(error)
            return
        text = f"{video.source}: cannot decode frame {number + 1} ({containers.reason(error)})"
        raise InputError(text) from error


class _AsSeen:
    """Makes frames of FFmpeg RGB, 8 bits deep and upright, and checks that all have one size."""

    def __init__(self, source: str) -> None:
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
            image = orientation.upright(image, orientation.of_display(bytes(matrix)))
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


def _camera(source: str) -> Video:
    """Open a camera of this machine by OpenCV, which supports those of every system."""
    if source.isdecimal() and natural_number(source) is None:
        raise InputError(f"{source[:60]}: no camera has such a number")
    with silent_stderr():  # the error below says the same
        camera = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not camera.isOpened():
        raise InputError(f"{source}: no camera that can be opened")
    name = f"camera-{Path(source).name}"
    return Video(source, name, True, None, None, _seen(camera))


def _seen(camera: Any) -> Iterator[Moment]:
    started: float | None = None
    try:
        while True:
            there, image = camera.read()
            if not there:
                return
            started = time.monotonic() if started is None else started
            yield Moment(time.monotonic() - started, np.ascontiguousarray(image[..., ::-1]))
    finally:
        camera.release()


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px"
