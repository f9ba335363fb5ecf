"""The tracker as an object: ``init`` with a box, ``update`` with frame after frame.

::

    tracker = hcft_jax.Tracker()
    tracker.init(first_image, (x, y, w, h))
    for image in images:
        result = tracker.update(image)  # .box, .score, .lost

    track = hcft_jax.Tracker("cf2").track("video.mp4", (x, y, w, h))

It holds a state and calls ``tracker.init`` and ``tracker.step``: the boxes are the benchmark's.
"""

import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import search, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import video
from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run import images
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup
from hcft_jax.weights.native import Weights

Floats = npt.NDArray[np.float32]

LOST_BELOW = {"vgg19": 21.2, "compact": 13.3}
"""By backbone, the peak-to-sidelobe ratio below which a target counts as lost; else VGG-19's.

Calibrated for ``hcft`` with trained VGG-19 by ``experiments/lost.py``: 17 targets of OTB-100, as
they are and every fifth frame only, at most 80 frames of each, 2,223 in all; in 294 the centre of
the tracked box was outside of the true one. 4.1 % of these are missed, and 19.6 % of the others are
called lost (4.4 % and 19.6 % when each target is judged by the threshold that the others give).

Compact's by the same runs (on the targets that it was trained on): of 657 lost frames 14 % are
missed, of the others 26 % are called lost; area under the ROC 0.87.
"""


class Result(NamedTuple):
    """What a frame gave.

    Attributes:
        box: x, y, w, h in pixels, 0-based; float32 ``[4]``.
        score: the peak-to-sidelobe ratio of the combined response (``search.peak_to_sidelobe``);
            NaN in the first frame, where nothing was searched, and for a target so small (below 16
            to 24 px) that its response has no sidelobe.
        lost: whether the score is below ``lost_below``. The box is then the tracker's best guess.
    """

    box: Floats
    score: float
    lost: bool


class Track(NamedTuple):
    """T frames of a target.

    Attributes:
        boxes: x, y, w, h in pixels, 0-based; ``[T, 4]``.
        scores: as in ``Result``; ``[T]``.
        times: seconds since the first frame, float64 ``[T]``; NaN for frames without a time.
        lost: as in ``Result``; ``[T]``.
    """

    boxes: Floats
    scores: Floats
    times: npt.NDArray[np.float64]
    lost: npt.NDArray[np.bool_]


class TrackError(InputError):
    """A frame after the first could not be read or tracked; ``track`` holds those before it."""

    def __init__(self, message: str, track: Track):
        super().__init__(message)
        self.track = track


class Tracker:
    """Tracks one target at a time; any number of trackers may be alive, in any threads.

    Trackers with the same weights share them on the device. A tracker may be used from several
    threads, one of which it serves at a time.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Experiment | TrackerConfig = "hcft",
        weights: str | os.PathLike[str] | Weights | None = None,
    ):
        """Reads the weights; nothing is compiled before the first target is known.

        Args:
            config: A shipped configuration's name (``hcft``, ``cf2``, ...), a Python file with
                ``get_config()``, or what that returns, or the tracker's constants.
            weights: A file, "random" (untrained), what ``backbones.weights`` gives, or None for
                where they usually are: the configuration's own, else as for the command line.

        Raises:
            InputError: no such configuration, a constant out of range, or no usable weights.
        """
        if isinstance(config, str | os.PathLike):
            config = settings.load(os.fspath(config))
        if isinstance(config, Experiment):
            weights = config.weights if weights is None else weights
            config = config.tracker
        self.config = config.validate()
        self._network = shared_network(weights, config)
        self._state: tracker.State | None = None
        self._rated = False
        self._like: tuple[str, ...] = ()  # size and type of the first image
        self._warm: set[Any] = set()
        self._lock = threading.Lock()

    @property
    def params(self) -> Params:
        """The network's parameters on the device, for the functions of ``hcft_jax.core.tracker``."""
        return self._network.params

    @property
    def state(self) -> tracker.State:
        """After the last frame, likewise.

        Raises:
            InputError: there is no target yet.
        """
        if self._state is None:
            raise InputError("no target yet: call init(image, box) first")
        return self._state

    def init(self, image: npt.ArrayLike | jax.Array, box: npt.ArrayLike) -> Result:
        """Starts with a target, whatever was tracked before, and compiles what ``update`` needs.

        Args:
            image: RGB ``[H, W, 3]`` or grey ``[H, W]`` or ``[H, W, 1]``; uint8, uint16 (its upper
                8 bits are used) or float in [0, 255]; NumPy's, JAX's, or what ``np.asarray`` takes.
            box: (x, y, w, h) in pixels, 0-based; fractions are welcome.

        Returns:
            The box as the tracker keeps it (its centre is rounded as in the authors' program).

        Raises:
            InputError: an image of another shape or type, that is not finite, or float in [0, 1];
                a box that is not four finite numbers, empty, outside of the image, larger than it,
                or too thin to track. What was tracked before goes on then.
        """
        picture = images.prepared(image)
        images.check_range(picture)
        with self._lock:
            state = tracker.init(self.params, self.config, picture, box)
            key = signature((state, picture))
            if key not in self._warm:
                jax.block_until_ready(tracker.step(self.params, self.config, state, picture))
                self._warm.add(key)
            self._state, self._like = state, images.likeness(image, picture)
            self._rated = rated(state.target.transform.grid)
            return Result(np.asarray(tracker.box(state)), float("nan"), False)

    def update(self, image: npt.ArrayLike | jax.Array) -> Result:
        """Finds the target in the next frame and learns from it.

        Args:
            image: As for ``init``, of the same size, number of channels and type.

        Raises:
            InputError: there is no target yet, or the image is another one than that, or not
                finite. The target is then where it was: the next good frame goes on from there.
        """
        with self._lock:
            state = self.state
            picture = images.prepared(image)
            images.check_like(images.likeness(image, picture), self._like)
            self._state, output = tracker.step(self.params, self.config, state, picture)
            box, psr = jax.device_get((output.box, output.psr))
            return result(self.config, box, psr, self._rated)

    def track(
        self,
        frames: str | os.PathLike[str] | int | Iterable[npt.ArrayLike | jax.Array],
        box: npt.ArrayLike,
    ) -> Track:
        """Tracks a target from the first frame to the last.

        Args:
            frames: Images as for ``init``; or a video file, a folder of images, a camera's number
                or a URL (``hcft_jax.data.video``), which is tracked until it ends.
            box: (x, y, w, h) in the first frame, 0-based.

        Raises:
            InputError: no such video, no frame in it, or the first frame or box is unusable.
            TrackError: a later frame is. It holds the track up to there.
        """
        if isinstance(frames, str | os.PathLike | int):
            with video.opened(frames) as opened:
                return self._track(((m.image, m.time) for m in opened), box, opened.name)
        given = ((image, float("nan")) for image in frames)
        return self._track(given, box, "frames")

    def _track(self, frames: Iterator[tuple[Any, float]], box: npt.ArrayLike, name: str) -> Track:
        first = next(frames, None)
        if first is None:
            raise InputError(f"{name}: it ends before its first frame")
        results, times = [self.init(first[0], box)], [first[1]]
        try:
            for image, time in frames:
                results.append(self.update(image))
                times.append(time)
        except InputError as error:
            number = len(results) + 1
            raise TrackError(f"frame {number}: {error}", _joined(results, times)) from error
        return _joined(results, times)


def rated(grid: npt.ArrayLike) -> bool:
    """Whether a response map of (gh, gw) cells has sidelobes wherever its peak is."""
    return bool(np.max(np.asarray(grid)) > search.PEAK)


def lost_below(config: TrackerConfig) -> float:
    """The peak-to-sidelobe ratio below which a target counts as lost (``LOST_BELOW``)."""
    return LOST_BELOW.get(config.backbone, LOST_BELOW[registry.DEFAULT])


def result(config: TrackerConfig, box: npt.ArrayLike, psr: npt.ArrayLike, rated: bool) -> Result:
    """What the step's outputs mean."""
    score = float(np.asarray(psr)) if rated else float("nan")
    return Result(np.asarray(box), score, score < lost_below(config))


def _joined(results: list[Result], times: list[float]) -> Track:
    boxes, scores, lost = zip(*results, strict=True)
    return Track(
        np.stack(boxes),
        np.array(scores, np.float32),
        np.array(times, np.float64),
        np.array(lost, np.bool_),
    )


class Network:
    """Parameters on the device, kept as long as a tracker has them."""

    def __init__(self, params: Params):
        self.params = params


_networks: weakref.WeakValueDictionary[tuple[str, str], Network] = weakref.WeakValueDictionary()
_networks_lock = threading.Lock()


def shared_network(
    weights: str | os.PathLike[str] | Weights | None, config: TrackerConfig
) -> Network:
    """A backbone's parameters, those on the device where some tracker has put them there.

    Raises:
        InputError: there are no such weights, or they are of another backbone.
    """
    backbone = registry.get(config.backbone)
    with _networks_lock:
        if not isinstance(weights, Weights):
            weights = lookup.find(None if weights is None else os.fspath(weights), backbone.name)
        backbone.require(weights.params)
        key = weights.digest, config.precision
        network = _networks.get(key)
        if network is None:
            params = backbone.placed(weights.params, config.precision)
            network = _networks[key] = Network(params)
        return network


def signature(tree: Any) -> Any:
    """What decides whether a call needs a compilation."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple((np.shape(leaf), leaf.dtype) for leaf in leaves)
