"""OpenCV's trackers, each in a process of its own.

MIL and TLD draw from generators of the process, which ``cv2.setRNGSeed`` does not reach: in one
process a track would depend on the tracks before it, and a resumed run differ from one that was not
interrupted. And what ends the process (OpenCV is C++) then ends one track only.

``python -m hcft_jax.benchmark.opencv NAME`` is that process. It reads messages from the standard input, a
``_HEAD`` (i or u for init or update, height, width), for init a ``_BOX``, and the image's bytes; it
answers each with an ``_ANSWER``, the box or, where the status is not 0, the length of an error
message that follows.
"""

import contextlib
import os
import struct
import subprocess
import sys
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt

from hcft_jax.data.sequence import Frame
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError

# Where each tracker is: in the main module, or among the old ones.
TRACKERS = {
    "MIL": "",
    "KCF": "",
    "CSRT": "",
    "MOSSE": "legacy",
    "TLD": "legacy",
    "MedianFlow": "legacy",
}

_HEAD = struct.Struct("<cII")
_BOX = struct.Struct("<4d")
_ANSWER = struct.Struct("<B4d")


def available(name: str) -> bool:
    """Whether this build of OpenCV has one of ``TRACKERS``."""
    return _kind(name) is not None


def _kind(name: str) -> Any:
    module: Any = getattr(cv2, TRACKERS[name], None) if TRACKERS[name] else cv2
    return getattr(module, f"Tracker{name}", None)


class Here:
    """A tracker in this process; where it says that it has lost the target, the last box stands."""

    def __init__(self, tracker: Any) -> None:
        """With OpenCV's object."""
        self._tracker = tracker
        self._box: Any = None

    def init(self, image: Frame, box: Boxes) -> Boxes:
        """The first frame and box, which is rounded: all but the old trackers take integers."""
        self._box = tuple(int(v) for v in np.rint(box))
        self._tracker.init(_bgr(image), self._box)
        return np.asarray(self._box, np.float64)

    def update(self, image: Frame) -> Boxes:
        """The box in the next frame."""
        found, box = self._tracker.update(_bgr(image))
        if found:
            self._box = box
        return np.asarray(self._box, np.float64)


def _bgr(image: Frame) -> Frame:
    return np.ascontiguousarray(image[..., ::-1])


class Apart:
    """A tracker in another process."""

    def __init__(self, name: str) -> None:
        """Starts it; ``name`` is one of ``TRACKERS`` that is ``available``."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hcft_jax.benchmark.opencv", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it would break into the progress line
        )

    def init(self, image: Frame, box: Boxes) -> None:
        """The first frame and box.

        Raises:
            InputError: OpenCV fails.
        """
        self._ask(b"i", _BOX.pack(*box), image)

    def update(self, image: Frame) -> npt.ArrayLike:
        """The box in the next frame.

        Raises:
            InputError: OpenCV fails.
        """
        return self._ask(b"u", b"", image)

    def _ask(self, what: bytes, box: bytes, image: Frame) -> Boxes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            head = _HEAD.pack(what, *image.shape[:2])
            self._process.stdin.write(head + box + np.ascontiguousarray(image).tobytes())
            self._process.stdin.flush()
            status, *values = _ANSWER.unpack(_exactly(self._process.stdout, _ANSWER.size))
            if status:
                text = _exactly(self._process.stdout, int(values[0])).decode(errors="replace")
        except (OSError, EOFError) as error:
            self.close()
            raise InputError(f"its process ended (status {self._process.returncode})") from error
        if status:
            raise InputError(text)
        return np.array(values)

    def close(self) -> None:
        """Ends the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def main(name: str) -> None:
    """Answers until the other side closes its end."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may get among the answers
    cv2.setRNGSeed(0)
    tracker = Here(_kind(name).create())
    with contextlib.suppress(EOFError):
        while True:
            what, height, width = _HEAD.unpack(_exactly(source, _HEAD.size))
            box = None
            if what == b"i":
                box = np.array(_BOX.unpack(_exactly(source, _BOX.size)))
            data = _exactly(source, height * width * 3)
            image = np.frombuffer(data, np.uint8).reshape(height, width, 3)
            try:
                found = tracker.update(image) if box is None else tracker.init(image, box)
                answer = _ANSWER.pack(0, *found)
            except cv2.error as error:
                text = " ".join(str(error).split()).encode()
                answer = _ANSWER.pack(1, len(text), 0, 0, 0) + text
            answers.write(answer)
            answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
