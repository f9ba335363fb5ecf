"""Sources without an end: cameras and network streams, of which the newest frame is taken.

A live source is never paused: a thread takes every frame and the consumer gets the newest one, so
that a consumer slower than the source drops frames and never lags. A stream that breaks off is
opened again, but for a bounded number of tries.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import av.error
import cv2
import numpy as np

from hcft_jax.data import containers
from hcft_jax.data.containers import TIMEOUT, Container
from hcft_jax.data.frames import close
from hcft_jax.data.moments import Moment, Video
from hcft_jax.data.recorded import AsSeen
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import silent_stderr
from hcft_jax.util.text import natural_number

PAUSE = 0.5  # seconds before a stream is opened again; twice as long after each try in vain
_LONGEST_PAUSE = 10.0


def latest(video: Video, items: Iterator[Moment]) -> Generator[Moment, None, None]:
    """Yield the newest item each time; ``video.dropped`` counts the others.

    The gaps before items that are dropped count for the one after them.
    """
    ready = threading.Condition()
    held: list[Moment] = []
    ended: list[BaseException | None] = []

    def take() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                with ready:
                    video.dropped += len(held)
                    lost = sum(dropped.gap for dropped in held)
                    held[:] = [item._replace(gap=item.gap + lost) if lost else item]
                    ready.notify()
                if video.closing.is_set():
                    return
        except BaseException as caught:
            error = caught
        finally:
            close(items)
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
        video.closing.set()
        thread.join(2 * TIMEOUT)  # a camera that hangs must not block the program


def stream(
    video: Video, container: Container, again: Callable[[], Container], tries: int
) -> Iterator[Moment]:
    """Yield the frames of a stream without an end, at the times at which they come.

    Where it breaks off it is opened again; ``video.breaks`` tells of each time that this worked.
    RTSP and other streams of packets end in the same way whether they are over or their server is.

    Args:
        video: What it is; ``broken`` is set where it ends without saying so.
        container: It is open.
        again: Opens it once more; ``InputError`` where that fails.
        tries: How often, at most, it is tried to open it again.
    """
    as_seen = AsSeen(video.source)
    started = shown = time.monotonic()
    number, reason = 0, ""
    opened: Container | None = container
    while opened is not None:
        try:
            with contextlib.closing(opened.file):
                for frame in _decoded(opened):
                    image = as_seen.image(frame, number + 1)
                    now, number = time.monotonic(), number + 1
                    started = now if number == 1 else started
                    gap = now - shown if reason else 0.0
                    if reason:
                        found = {"frame": number, "seconds": round(gap, 3), "reason": reason}
                        video.breaks.append(found)
                    shown, reason = now, ""
                    yield Moment(now - started, image, number, gap)
            if not reason and _tells_its_end(video.source, container):
                return
            reason = reason or "it sent no more"
        except (av.error.FFmpegError, OSError) as error:
            reason = reason or containers.reason(error)
            if not number:
                text = f"{video.source}: cannot decode frame 1 ({reason})"
                raise InputError(text) from error
        opened, tries = _again(video, again, tries)
    video.broken = reason


def _tells_its_end(source: str, container: Container) -> bool:
    """Say whether an end without an error is one, not that of the connection."""
    is_http = source.lower().startswith(("http:", "https:"))
    return is_http and container.file.format.name != "mpjpeg"  # a camera's pictures, one by one


def _decoded(container: Container) -> Iterator[Any]:
    """Yield the frames of a stream, also those that its decoder still holds where it breaks off."""
    try:
        yield from container.file.decode(container.stream)
    except (av.error.FFmpegError, OSError):
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            yield from container.stream.decode(None)
        raise


def _again(
    video: Video, again: Callable[[], Container], tries: int
) -> tuple[Container | None, int]:
    """Open a stream again; return it, or None, and how many tries are left."""
    pause = PAUSE
    for left in reversed(range(tries)):
        if video.closing.wait(pause):
            break
        pause = min(2 * pause, _LONGEST_PAUSE)
        with contextlib.suppress(InputError):
            return again(), left
    return None, 0


def camera(source: str) -> Video:
    """Open a camera of this machine by OpenCV, which supports those of every system.

    Args:
        source: Its number, or its device file.

    Raises:
        InputError: There is none, or it cannot be opened.
    """
    if source.isdecimal() and natural_number(source) is None:
        raise InputError(f"{source[:60]}: no camera has such a number")
    with silent_stderr():  # the error below says the same
        device = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not device.isOpened():
        raise InputError(f"{source}: no camera that can be opened")
    name = f"camera-{Path(source).name}"
    return Video(source, name, True, None, None, _seen(device))


def _seen(device: Any) -> Iterator[Moment]:
    started, number = 0.0, 0
    try:
        while True:
            there, image = device.read()
            if not there:
                return
            number += 1
            now = time.monotonic()
            started = now if number == 1 else started
            yield Moment(now - started, np.ascontiguousarray(image[..., ::-1]), number)
    finally:
        device.release()
