"""The tracker as an object: ``init`` with a box, then ``update`` with one frame after the other.

::

    tracker = hcft_jax.Tracker()
    tracker.init(first_image, (x, y, w, h))
    for image in images:
        result = tracker.update(image)  # .box, .score, .lost

    for result in tracker.stream("video.mp4", (x, y, w, h), start="3s"):
        print(result.frame, result.time, result.box)

    track = hcft_jax.Tracker("cf2").track("video.mp4", (x, y, w, h))

The object keeps a state and calls ``init`` and ``step`` of ``hcft_jax.run.single``, whose boxes are
those of the benchmark.
"""

import contextlib
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import jax
import numpy as np
import numpy.typing as npt
from PIL import Image

from hcft_jax.answers import Result, Track, TrackedFrame, TrackError, joined, result
from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, target, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import video
from hcft_jax.data.part import Part, of_settings
from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run import single
from hcft_jax.run.images import COLOURS, prepared
from hcft_jax.util import forked
from hcft_jax.util.errors import InputError, InputWarning, SettingError
from hcft_jax.weights import lookup
from hcft_jax.weights.native import Weights


class Tracker:
    """HCFT (Ma et al., ICCV 2015, Eq. 1 to 6) for one target at a time.

    Any number of trackers may exist, in any threads; those with the same weights share them on the
    device. Several threads may use one tracker, which serves one of them at a time.

    Another target compiles little or nothing, so ``init`` may be called again and again, for
    instance with the boxes of a detector:

    * The network is compiled once, for targets and images of all sizes.
    * The other programs, for the crop, the spectra and the filter, are compiled once for each
      bucket of targets: their response grids are padded to 32, 48, 64, 96, 128, ... cells of 4 px a
      side, the shorter side to at least half the longer one
      (``hcft_jax.core.target.common_bucket``). The true boxes of a sequence of OTB-100 are in 3
      buckets (median over the sequences), those of all 100 sequences in 23. The crop depends on the
      image's size too.
    * Padding changes no box. It costs time in each frame for the cells that a grid gains, none in
      the network: with VGG-19 up to 4 % of a frame was measured.

    What one tracker has compiled serves all others of the process. With ``dft="fft"``, which cannot
    be padded, each size of grid is a bucket of its own.
    """

    def __init__(
        self,
        config: str | os.PathLike[str] | Experiment | TrackerConfig = "hcft",
        weights: str | os.PathLike[str] | Weights | None = None,
        color: str = COLOURS[0],
    ):
        """Read the weights. Nothing is compiled before the first target is known.

        Args:
            config: The name of a shipped configuration (``hcft``, ``cf2``, ...), a Python file with
                ``get_config()``, the experiment that it returns, or the tracker's constants.
            weights: A file, "random" (untrained), what ``hcft_jax.weights.lookup`` returns, or
                None: the configuration's own weights, else those that the command line would find.
            color: The order of the channels in the arrays that are given: "rgb", or "bgr" as OpenCV
                reads images. Videos, paths and Pillow's images have their own.

        Raises:
            InputError: There is no such configuration, a constant is out of range, or there are no
                usable weights. Or this process was forked after JAX had started.
        """
        if isinstance(config, str | os.PathLike):
            config = settings.load(os.fspath(config))
        if isinstance(config, Experiment):
            weights = config.weights if weights is None else weights
            config = config.tracker
        if not isinstance(config, TrackerConfig):
            raise InputError(
                f"config: {type(config).__name__} is none of a name, a file, an Experiment and a "
                "TrackerConfig"
            )
        if color not in COLOURS:
            raise SettingError("color", f"{color!r} is neither rgb nor bgr")
        self.config = config.validate()
        self._color = color
        self._placed = _placed(weights, config)
        self._state: detection.State | None = None
        self._grid: npt.ArrayLike = ()
        self._kind: tuple[str, ...] = ()  # of the first image
        self._bits: int | None = None  # that it uses, of 16
        self._lock = threading.Lock()

    def __reduce__(self) -> NoReturn:
        raise InputError(
            "a Tracker cannot be copied or pickled, since it holds programs and a device's memory: "
            "make one in each process; trackers with the same weights share them"
        )

    @property
    def params(self) -> Params:
        """The network's parameters on the device, as ``hcft_jax.core.tracker`` takes them."""
        return self._placed.params

    @property
    def state(self) -> tracker.State:
        """The state after the last frame, as ``hcft_jax.core.tracker`` takes it.

        Raises:
            InputError: There is no target yet.
        """
        if self._state is None:
            raise InputError("no target yet: call init(image, box) first")
        return self._state

    def init(self, image: npt.ArrayLike | jax.Array, box: npt.ArrayLike) -> Result:
        """Start with a target in place of any former one, and compile what ``update`` needs.

        Without anything to compile this takes about as long as an update of a target that stays.

        Args:
            image: RGB ``[H, W, 3]`` or grey ``[H, W]`` or ``[H, W, 1]``; uint8, uint16 (the upper
                8 of the bits that this image uses, ``hcft_jax.data.depth``) or float in [0, 255];
                an array of NumPy or JAX, or anything that ``np.asarray`` takes. Or the path of a
                picture, or Pillow's image.
            box: (x, y, w, h) in pixels, 0-based; fractions are allowed.

        Returns:
            The box as the tracker keeps it: its centre is rounded as in the authors' program.

        Raises:
            InputError: The image has another shape or type, or floats that are not in [0, 255], or
                all in [0, 1]; or the box is not four finite numbers, empty, outside the image,
                larger than it, or too thin to track. The former target is then kept.
        """
        return self._init(image, box, self._color)

    def _init(self, image: Any, box: npt.ArrayLike, color: str) -> Result:
        forked.check()
        picture, kind, bits = prepared(image, None, color)
        with self._lock:
            state = single.init(self.params, self.config, picture, box)
            self._state, self._kind, self._bits = state, kind, bits
            _warn_of_box(box, picture.shape)
            self._grid = np.asarray(state.target.transform.grid)
            return Result(np.asarray(detection.box(state)), float("nan"), False)

    def update(self, image: npt.ArrayLike | jax.Array) -> Result:
        """Find the target in the next frame and learn from it (Eq. 4 to 6).

        Args:
            image: As for ``init``, with the size, channels and type of the first image.

        Raises:
            InputError: There is no target yet, or the image differs from the first one in these or
                has floats that are not in [0, 255], or are fractions in [0, 1]. The state is then
                unchanged, so that the next good frame can follow.
        """
        return self._update(image, self._color)

    def _update(self, image: Any, color: str) -> Result:
        forked.check()
        with self._lock:
            state = self.state
            picture, kind, _ = prepared(image, self._bits or 0, color)
            for own, first in zip(kind, self._kind, strict=True):
                if own != first:
                    raise InputError(f"image: it is {own}, but the first one was {first}")
            self._state, output = single.step(self.params, self.config, state, picture)
            return result(self._grid, output.box, output.psr, output.lost)

    def stream(
        self,
        frames: str | os.PathLike[str] | int | Iterable[npt.ArrayLike | jax.Array],
        box: npt.ArrayLike,
        *,
        start: int | str | None = None,
        end: int | str | None = None,
        every: int = 1,
        max_frames: int | None = None,
        backwards: bool = False,
    ) -> Iterator[TrackedFrame]:
        """Yield the answer for one frame after the other; leaving the loop ends the tracking.

        Args:
            frames: Images as for ``init``; or a video file, a folder, pattern or list of images, a
                camera's number or a URL (``hcft_jax.data.video``), which is tracked until it ends.
            box: (x, y, w, h) in the first frame that is tracked, in pixels, 0-based.
            start: That frame: its number in the video, from 1, or its time ("3.5s", "1:05"). None:
                the video's first.
            end: The last one, likewise.
            every: Of the frames from ``start`` on, the first one is tracked and then every so many.
            max_frames: The most frames that are tracked.
            backwards: Whether it is tracked from the end to the start. The box is then in the last
                frame, from which ``every`` and ``max_frames`` count.

        Raises:
            InputError: There is no such video or part, it has no frame, ``frames`` is something
                else, or a frame or the box cannot be used.
        """
        part = of_settings(start, end, every, max_frames, backwards)
        opens = isinstance(frames, str | os.PathLike | int)
        if not opens and (
            isinstance(frames, bytes | Mapping | Image.Image) or not _is_iterable(frames)
        ):
            raise InputError(
                f"frames: {type(frames).__name__} is neither images one after the other nor what "
                "can be opened: a video file, a folder, a camera's number or a URL"
            )
        if opens:
            return self._stream_video(frames, part, box)  # type: ignore[arg-type]
        given = _moments(frames, part)  # type: ignore[arg-type]
        return self._stream(given, box, "frames", self._color)

    def track(
        self,
        frames: str | os.PathLike[str] | int | Iterable[npt.ArrayLike | jax.Array],
        box: npt.ArrayLike,
        *,
        start: int | str | None = None,
        end: int | str | None = None,
        every: int = 1,
        max_frames: int | None = None,
        backwards: bool = False,
        callback: Callable[[TrackedFrame], object] | None = None,
    ) -> Track:
        """Track a target from the first frame to the last.

        Args:
            frames: As for ``stream``.
            box: As for ``stream``.
            start: As for ``stream``.
            end: As for ``stream``.
            every: As for ``stream``.
            max_frames: As for ``stream``.
            backwards: As for ``stream``.
            callback: Called with the answer for each frame; the tracking ends where it returns
                False.

        Raises:
            InputError: As for ``stream``, for the first frame.
            TrackError: A later frame cannot be used, or the video is damaged. The error has the
                track of what could be.
        """
        found: list[TrackedFrame] = []
        given = self.stream(
            frames,
            box,
            start=start,
            end=end,
            every=every,
            max_frames=max_frames,
            backwards=backwards,
        )
        with contextlib.closing(given):  # type: ignore[type-var]
            try:
                for one in given:
                    # the images of a long video would fill the memory
                    found.append(one._replace(image=None))
                    if callback is not None and callback(one) is False:
                        break
            except InputError as error:
                if not found:
                    raise
                raise TrackError(str(error), joined(found)) from error
        return joined(found)

    def _stream_video(
        self, source: str | os.PathLike[str] | int, part: Part, box: npt.ArrayLike
    ) -> Iterator[TrackedFrame]:
        with video.opened(source, part) as opened:
            given = ((m.number, m.time, m.image) for m in opened)
            yield from self._stream(given, box, opened.name, COLOURS[0])

    def _stream(
        self, given: Iterator[tuple[int, float, Any]], box: npt.ArrayLike, name: str, color: str
    ) -> Iterator[TrackedFrame]:
        first = next(given, None)
        if first is None:
            raise InputError(f"{name}: it ends before its first frame")
        number, time, image = first
        yield TrackedFrame(*self._init(image, box, color), number, time, image)
        for number, time, image in given:  # the source's own errors say where
            try:
                found = self._update(image, color)
            except InputError as error:
                raise InputError(f"frame {number}: {error}") from error
            yield TrackedFrame(*found, number, time, image)


def _is_iterable(frames: Any) -> bool:
    try:
        iter(frames)  # an array of one number only looks as if it could
    except TypeError:
        return False
    return True


def _moments(
    frames: Iterable[npt.ArrayLike | jax.Array], part: Part
) -> Iterator[tuple[int, float, Any]]:
    """Yield the images of a part of those that a caller gives, with their numbers, from 1."""
    for name, point in (("start", part.start), ("end", part.end)):
        if point is not None and point.frame is None:
            raise SettingError(name, "images have no times; give the number of one")
    if not part.backwards:
        taking = part.taking()
        for number, image in enumerate(frames, 1):
            if taking(number, 0.0):
                yield number, float("nan"), image
            if taking.over:
                return
        return
    if not (hasattr(frames, "__len__") and hasattr(frames, "__getitem__")):
        raise SettingError("backwards", "needs images in a list or an array, which has an end")
    several: Any = frames
    for index in part.order(len(several), 1.0):
        yield index + 1, float("nan"), several[index]


def _warn_of_box(box: npt.ArrayLike, shape: tuple[int, ...]) -> None:
    """Warn of a box that leaves the image."""
    if beyond := target.beyond(box, (shape[0], shape[1])):
        warnings.warn(f"box: {beyond}", InputWarning, stacklevel=4)


class _Placed:
    """A network's parameters on the device, which exist as long as a tracker uses them."""

    def __init__(self, params: Params):
        self.params = params


_shared: weakref.WeakValueDictionary[tuple[str, str], _Placed] = weakref.WeakValueDictionary()
_shared_lock = threading.Lock()


def _placed(weights: str | os.PathLike[str] | Weights | None, config: TrackerConfig) -> _Placed:
    """Return a backbone's parameters on the device; trackers with the same weights share them.

    Raises:
        InputError: There are no such weights, or they are of another backbone.
    """
    forked.check()
    if not isinstance(weights, str | os.PathLike | Weights | None):
        raise InputError(f"weights: {type(weights).__name__} is neither a file nor Weights")
    backbone = registry.get(config.backbone)
    with _shared_lock:
        if not isinstance(weights, Weights):
            weights = lookup.find(None if weights is None else os.fspath(weights), backbone.name)
        backbone.require(weights.params)
        key = weights.digest, config.precision
        placed = _shared.get(key)
        if placed is None:
            params = backbone.placed(weights.params, config.precision)
            placed = _shared[key] = _Placed(params)
        return placed
