"""A user's own video as frames with their times: a file, a folder of images, a camera or a URL.

FFmpeg (PyAV) decodes files and network streams with its own threads, and one more thread stays a
few frames ahead of the consumer. A live source is never paused: a thread takes every frame and the
consumer gets the newest one, so that a consumer slower than the source drops frames and never lags.

Frames are RGB, uint8 ``[H, W, 3]``, upright (a rotation noted in the file is applied). Grey is
repeated, alpha is dropped, and deeper colour is cut to 8 bits.
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

import av
import av.error
import cv2
import numpy as np

from hcft_jax.data import frames
from hcft_jax.data.frames import MAX_PIXELS, SUFFIXES, ImageFiles
from hcft_jax.data.sequence import Frame
from hcft_jax.util import files
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import silent_stderr
from hcft_jax.util.names import natural
from hcft_jax.util.text import natural_number

ASSUMED_RATE = (
    30.0  # frames per second of images, and of files that do not say when a frame is shown
)
TIMEOUT = 10.0  # seconds that a network stream may take to open, or to send more
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
    """

    source: str
    name: str
    live: bool
    count: int | None
    identity: str | None
    _frames: Iterator[Moment]
    dropped: int = 0
    broken: str = ""

    def __iter__(self) -> Iterator[Moment]:
        """Iterate over the remaining frames.

        Raises:
            InputError: A frame cannot be decoded or has another size; those before it were given.
        """
        return self._frames


@contextlib.contextmanager
def opened(source: str | os.PathLike[str] | int) -> Generator[Video, None, None]:
    """Open a source and read its first frame, so that a source without video fails here.

    Args:
        source: A video file; a folder of images (in natural order of their names); a camera, by its
            number or device file; or a URL. A URL is live unless it has a known length.

    Raises:
        InputError: There is no such source, it is no video, or it ends before its first frame.
    """
    text = str(source)
    path = Path(text)
    if not (text.isdecimal() or "://" in text or files.exists(path)):
        raise InputError(f"{text}: no such file, folder or camera")
    if text.isdecimal() or ("://" not in text and path.is_char_device()):
        video = _camera(text)
    elif "://" in text:
        video = _stream(text, None)
    elif path.is_dir():
        video = _folder(path)
    elif path.is_file():
        video = _stream(text, _digest([path]))
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
    images = frames.stream(ImageFiles(tuple(paths)))
    moments = (Moment(index / ASSUMED_RATE, image) for index, image in enumerate(images))
    return Video(str(path), path.resolve().name, False, len(paths), _digest(paths), moments)


def _stream(source: str, identity: str | None) -> Video:
    """Open a file or URL that FFmpeg reads."""
    container: Any = None
    try:
        container = av.open(source, timeout=TIMEOUT, options={"rtsp_transport": "tcp"})
        stream = next(iter(container.streams.video), None)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{source}: not a video that can be read ({_reason(error)})") from error
    if stream is None:
        container.close()
        raise InputError(f"{source}: it has no video")
    stream.thread_type = "AUTO"
    live = identity is None and not container.duration
    count = stream.frames or None
    if count is None and container.duration and stream.average_rate:
        count = round(float(stream.average_rate) * container.duration / av.time_base)
    name = Path(source.split("?")[0].rstrip("/")).stem or "stream"
    video = Video(source, name, live, count, identity, iter(()))
    video._frames = _decoded(video, container, stream)
    return video


def _decoded(video: Video, container: Any, stream: Any) -> Iterator[Moment]:
    source = video.source
    started: float | None = None
    shape: tuple[int, ...] | None = None
    number = 0
    try:
        with contextlib.closing(container):
            for frame in container.decode(stream):
                if frame.width * frame.height > MAX_PIXELS:
                    raise InputError(
                        f"{source}: {frame.width} x {frame.height} px is too large, at most "
                        f"{MAX_PIXELS} pixels are decoded"
                    )
                image = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
                shape = shape or image.shape
                if image.shape != shape:
                    raise InputError(
                        f"{source}: frame {number + 1} has {_size(image.shape)}, the first one "
                        f"{_size(shape)}"
                    )
                now = time.monotonic() if video.live else frame.time
                if now is None:
                    now = number / float(stream.average_rate or ASSUMED_RATE)
                started = now if started is None else started
                yield Moment(now - started, np.ascontiguousarray(image))
                number += 1
    except InputError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if video.live and number:  # most live sources end like this
            video.broken = _reason(error)
            return
        text = f"{source}: cannot decode frame {number + 1} ({_reason(error)})"
        raise InputError(text) from error


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


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(reason).split())


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} px"
