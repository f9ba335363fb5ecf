"""Other people's trackers, run by our benchmark as ours is: OpenCV's, and any GOT-10k ``Tracker``.

``--tracker=opencv:CSRT`` is a tracker of OpenCV, ``--tracker=got10k:module:Class`` a class with the
GOT-10k toolkit's ``init(image, box)`` and ``update(image)``, made without arguments. To add another
program: write a class with the interface of ``BaselineTracker``, and add to ``FAMILIES`` how it is
found.
"""

import contextlib
import functools
import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from hcft_jax.benchmark import opencv
from hcft_jax.data import frames
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.experiment.settings import METHOD, Experiment
from hcft_jax.run.streaming import Tracked
from hcft_jax.util.boxes import Boxes, from_file, to_file
from hcft_jax.util.errors import InputError, SettingError, foreign
from hcft_jax.weights import lookup
from hcft_jax.weights.native import Weights


class BaselineTracker(Protocol):
    """A tracker that the benchmark runs; an instance tracks one target."""

    def init(self, image: Frame, box: Boxes) -> None:
        """Take the first frame, RGB uint8 ``[H, W, 3]``, and the box in it, 0-based x, y, w, h."""
        ...

    def update(self, image: Frame) -> npt.ArrayLike:
        """Return the box in the next frame, (x, y, w, h), 0-based pixels."""
        ...

    def close(self) -> None:
        """End the track."""
        ...


@dataclass(frozen=True)
class Baseline:
    """Another tracker that can be run."""

    name: str  # as --tracker has it
    version: str  # its boxes depend on nothing but the name and this
    make: Callable[[], BaselineTracker]  # one per sequence

    @property
    def weights(self) -> Weights:
        """What stands in the place of a network's weights: no parameters, but an identity."""
        digest = hashlib.sha256(f"{self.name} {self.version}".encode()).hexdigest()
        return Weights({}, {"tracker": self.name, "version": self.version}, digest)


def find(name: str) -> Baseline:
    """Return the tracker that ``--tracker`` names.

    Raises:
        InputError: an unknown family or tracker, or one that is not installed.
    """
    family, _, rest = name.partition(":")
    if family not in FAMILIES:
        known = ", ".join(f"opencv:{tracker}" for tracker in opencv.TRACKERS)
        raise SettingError(
            "tracker", f"no {name!r}; there are {METHOD}, {known} and got10k:module:Class"
        )
    return FAMILIES[family](name, rest)


def track_sequence(baseline: Baseline, sequence: Sequence) -> Iterator[Tracked]:
    """Track a sequence from its first box, as ``streaming.track_sequence``, frame by frame.

    Raises:
        InputError: a frame cannot be read, or the tracker fails; what came before has been yielded.
    """
    unknown = np.full(1, np.nan, np.float32)
    tracker: BaselineTracker | None = None
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(contextlib.closing(frames.stream(sequence.frames)))
        for index, image in enumerate(stream):
            try:
                with foreign(InputError):
                    if tracker is None:
                        tracker, box = baseline.make(), sequence.boxes[0]
                        stack.callback(tracker.close)
                        tracker.init(image, box)
                    else:
                        box = np.asarray(tracker.update(image), np.float64)
                if box.shape != (4,) or not np.isfinite(box).all():
                    raise InputError(f"it gave {box.tolist()}, want four finite numbers x, y, w, h")
            except InputError as error:  # of somebody else's program: say where, in one line
                text = " ".join(str(error).split())
                where = sequence.frames.label(index)
                raise InputError(f"{where}: {baseline.name} failed ({text[:300]})") from error
            found = np.asarray(box, np.float32)[None]
            yield Tracked(image[None], found, unknown, unknown, np.zeros(1, np.bool_), None)


def _opencv(name: str, tracker: str) -> Baseline:
    if tracker not in opencv.TRACKERS:
        known = ", ".join(opencv.TRACKERS)
        raise SettingError("tracker", f"no {name!r}; of OpenCV's trackers there are {known}")
    if not opencv.available(tracker):
        raise SettingError(
            "tracker",
            f"this build of OpenCV ({cv2.__version__}) has no {tracker}; it takes "
            "pip install --force-reinstall --no-deps opencv-contrib-python-headless",
        )
    return Baseline(name, f"OpenCV {cv2.__version__}", lambda: opencv.Apart(tracker))


class GOT10k:
    """A GOT-10k ``Tracker``, which takes PIL images and boxes as in OTB's files, 1-based."""

    def __init__(self, tracker: Any) -> None:
        """Take its instance."""
        self._tracker = tracker

    def init(self, image: Frame, box: Boxes) -> None:
        """Take the first frame and box."""
        self._tracker.init(Image.fromarray(image), to_file(box))

    def update(self, image: Frame) -> npt.ArrayLike:
        """Return the box in the next frame."""
        box = np.asarray(self._tracker.update(Image.fromarray(image)), np.float64)
        return from_file(box) if box.shape == (4,) else box

    def close(self) -> None:
        """Do nothing: the toolkit has no such call."""


def _got10k(name: str, rest: str) -> Baseline:
    module_name, _, class_name = rest.partition(":")
    if not module_name or not class_name:
        raise SettingError("tracker", f"{name}: write got10k:module:Class")
    # as ``python -m`` does for itself; last, so that nothing of ours is hidden
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    with foreign(lambda text: SettingError("tracker", f"cannot import {module_name} ({text})")):
        module = importlib.import_module(module_name)
    kind = getattr(module, class_name, None)
    if not all(callable(getattr(kind, method, None)) for method in ("init", "update")):
        raise SettingError(
            "tracker", f"{module_name} has no class {class_name} with init and update"
        )
    assert kind is not None
    with contextlib.suppress(TypeError):  # a built-in one has no file
        source = Path(inspect.getfile(kind)).read_bytes()
        return Baseline(name, hashlib.sha256(source).hexdigest(), lambda: GOT10k(kind()))
    return Baseline(name, "", lambda: GOT10k(kind()))


FAMILIES: dict[str, Callable[[str, str], Baseline]] = {"opencv": _opencv, "got10k": _got10k}


def weights_of(experiments: Iterable[Experiment]) -> list[Weights]:
    """Return the network's weights of each experiment, or a baseline's identity.

    Each file is read once.

    Raises:
        InputError: there are none, a file is unusable, or a baseline is not installed.
    """
    read = functools.cache(lookup.find)
    found = []
    for experiment in experiments:
        if experiment.method != METHOD:
            found.append(find(experiment.method).weights)
            continue
        found.append(read(experiment.weights, experiment.tracker.backbone))
    return found
