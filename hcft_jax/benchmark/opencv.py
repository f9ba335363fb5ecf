"""OpenCV's trackers, each in a process of its own.

MIL and TLD draw from generators of the process, which ``cv2.setRNGSeed`` does not reach: in one
process a track would depend on the tracks before it, and a resumed run would differ from one that
was not interrupted. What ends the process (OpenCV is C++) then ends one track only.

``python -m hcft_jax.benchmark.opencv NAME`` is that process. It reads arrays in NumPy's format from
the standard input: a frame and the first box, which is empty for further frames. It answers each
pair with the box, or with the text of an error.
"""

import contextlib
import os
import subprocess
import sys
from types import SimpleNamespace
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


def available(name: str) -> bool:
    """Return whether this build of OpenCV has one of ``TRACKERS``."""
    return _kind(name) is not None


def _kind(name: str) -> Any:
    module: Any = getattr(cv2, TRACKERS[name], None) if TRACKERS[name] else cv2
    return getattr(module, f"Tracker{name}", None)


class Here:
    """A tracker in this process; where it says that it has lost the target, the last box stands."""

    def __init__(self, tracker: Any) -> None:
        """Take OpenCV's object."""
        self._tracker = tracker
        self._box: Any = None

    def init(self, image: Frame, box: Boxes) -> Boxes:
        """Take the first frame and box, rounded: all but the old trackers need integers."""
        self._box = tuple(int(v) for v in np.rint(box))
        self._tracker.init(_bgr(image), self._box)
        return np.asarray(self._box, np.float64)

    def update(self, image: Frame) -> Boxes:
        """Return the box in the next frame."""
        found, box = self._tracker.update(_bgr(image))
        if found:
            self._box = box
        return np.asarray(self._box, np.float64)


def _bgr(image: Frame) -> Frame:
    return np.ascontiguousarray(image[..., ::-1])


class Apart:
    """A tracker in another process."""

    def __init__(self, name: str) -> None:
        """Start it; ``name`` is one of ``TRACKERS`` that is ``available``."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hcft_jax.benchmark.opencv", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it would break into the progress line
        )

    def init(self, image: Frame, box: Boxes) -> None:
        """Take the first frame and box.

        Raises:
            InputError: OpenCV fails.
        """
        self._ask(image, box)

    def update(self, image: Frame) -> npt.ArrayLike:
        """Return the box in the next frame.

        Raises:
            InputError: OpenCV fails.
        """
        return self._ask(image, np.zeros(0))

    def _ask(self, image: Frame, box: Boxes) -> Boxes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, image, box)
            answer = _received(self._process.stdout)
        except (OSError, ValueError) as error:
            self.close()
            raise InputError(f"its process ended (status {self._process.returncode})") from error
        if answer.dtype.kind == "U":
            raise InputError(str(answer))
        return answer

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _send(pipe: IO[bytes], *arrays: npt.NDArray[Any]) -> None:
    for array in arrays:  # in a file, which NumPy would take the pipe for, it would seek
        np.lib.format.write_array(SimpleNamespace(write=pipe.write), array, allow_pickle=False)
    pipe.flush()


def _received(pipe: IO[bytes]) -> npt.NDArray[Any]:
    """Return the next array; ``ValueError`` where the other side has closed its end."""
    return np.lib.format.read_array(SimpleNamespace(read=pipe.read), allow_pickle=False)


def main(name: str) -> None:
    """Answer until the other side closes its end."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that a library prints may get among the answers
    cv2.setRNGSeed(0)
    tracker = Here(_kind(name).create())
    with contextlib.suppress(ValueError):
        while True:
            image, box = _received(source), _received(source)
            try:
                found = tracker.init(image, box) if box.size else tracker.update(image)
            except cv2.error as error:
                found = np.array(" ".join(str(error).split()))
            _send(answers, found)


if __name__ == "__main__":
    main(sys.argv[1])
