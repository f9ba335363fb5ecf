"""The tracker as an object: ``init`` with a box, then ``update`` with one frame after the other.

::

    tracker = hcft_jax.Tracker()
    tracker.init(first_image, (x, y, w, h))
    for image in images:
        result = tracker.update(image)  # .box, .score, .lost

    track = hcft_jax.Tracker("cf2").track("video.mp4", (x, y, w, h))

The object keeps a state and calls ``init`` and ``step`` of ``hcft_jax.run.single``, whose boxes are
those of the benchmark.
"""

import os
import threading
import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, search, target, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import depth, video
from hcft_jax.experiment import settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run import single
from hcft_jax.util import arguments, forked
from hcft_jax.util.errors import InputError, InputWarning
from hcft_jax.weights import lookup
from hcft_jax.weights.native import Weights

Floats = npt.NDArray[np.float32]


class Result(NamedTuple):
    """The tracker's answer for one frame.

    Attributes:
        box: x, y, w, h in pixels, 0-based; float32 ``[4]``. Where the target is lost, it is the
            tracker's best guess.
        score: The peak-to-sidelobe ratio (PSR) of the combined response, at least 0 (Bolme et al.,
            CVPR 2010, section 3.5; ``search.peak_to_sidelobe``). It is NaN in the first frame,
            where nothing is searched, and for a target so small (below 16 to 24 px) that its
            response has no sidelobe.
        lost: Whether the target counts as lost: the score is below the backbone's threshold
            (``hcft_jax.core.verdict.LOST_BELOW``), or the search window is of one colour. With
            ``redetect`` the memory says so instead (``hcft_jax.core.long_term``).
    """

    box: Floats
    score: float
    lost: bool


class Track(NamedTuple):
    """The tracker's answers for T frames.

    Attributes:
        boxes: x, y, w, h in pixels, 0-based; float32 ``[T, 4]``.
        scores: PSR as in ``Result``; float32 ``[T]``.
        times: Seconds since the first frame, float64 ``[T]``; NaN for frames without a time.
        lost: As in ``Result``; bool ``[T]``.
    """

    boxes: Floats
    scores: Floats
    times: npt.NDArray[np.float64]
    lost: npt.NDArray[np.bool_]


class TrackError(InputError):
    """A frame after the first cannot be read or tracked.

    Attributes:
        track: The ``Track`` of the frames before it.
    """

    def __init__(self, message: str, track: Track):
        super().__init__(message, track)  # both, so that it can be pickled
        self.track = track

    def __str__(self) -> str:
        return str(self.args[0])


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
    ):
        """Read the weights. Nothing is compiled before the first target is known.

        Args:
            config: The name of a shipped configuration (``hcft``, ``cf2``, ...), a Python file with
                ``get_config()``, the experiment that it returns, or the tracker's constants.
            weights: A file, "random" (untrained), what ``hcft_jax.weights.lookup`` returns, or
                None: the configuration's own weights, else those that the command line would find.

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
        self.config = config.validate()
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
                an array of NumPy or JAX, or anything that ``np.asarray`` takes.
            box: (x, y, w, h) in pixels, 0-based; fractions are allowed.

        Returns:
            The box as the tracker keeps it: its centre is rounded as in the authors' program.

        Raises:
            InputError: The image has another shape or type, or floats that are not in [0, 255], or
                all in [0, 1]; or the box is not four finite numbers, empty, outside the image,
                larger than it, or too thin to track. The former target is then kept.
        """
        forked.check()
        picture, kind, bits = _prepared(image, None)
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
        forked.check()
        with self._lock:
            state = self.state
            picture, kind, _ = _prepared(image, self._bits or 0)
            for own, first in zip(kind, self._kind, strict=True):
                if own != first:
                    raise InputError(f"image: it is {own}, but the first one was {first}")
            self._state, output = single.step(self.params, self.config, state, picture)
            return result(self._grid, output.box, output.psr, output.lost)

    def track(
        self,
        frames: str | os.PathLike[str] | int | Iterable[npt.ArrayLike | jax.Array],
        box: npt.ArrayLike,
    ) -> Track:
        """Track a target from the first frame to the last.

        Args:
            frames: Images as for ``init``; or a video file, a folder of images, a camera's number
                or a URL (``hcft_jax.data.video``), which is tracked until it ends.
            box: (x, y, w, h) in the first frame, in pixels, 0-based.

        Raises:
            InputError: There is no such video, it has no frame, ``frames`` is something else, or
                the first frame or the box cannot be used.
            TrackError: A later frame cannot be used, or the video is damaged. The error has the
                track of what could be.
        """
        if isinstance(frames, str | os.PathLike | int):
            with video.opened(frames) as opened:
                return self._track(((m.image, m.time) for m in opened), box, opened.name)
        if isinstance(frames, bytes | Mapping) or not isinstance(frames, Iterable):
            raise InputError(
                f"frames: {type(frames).__name__} is neither images one after the other nor what "
                "can be opened: a video file, a folder, a camera's number or a URL"
            )
        given = ((image, float("nan")) for image in frames)
        return self._track(given, box, "frames")

    def _track(self, frames: Iterator[tuple[Any, float]], box: npt.ArrayLike, name: str) -> Track:
        first = next(frames, None)
        if first is None:
            raise InputError(f"{name}: it ends before its first frame")
        results, times = [self.init(first[0], box)], [first[1]]
        where = ""
        try:
            for image, time in frames:
                where = f"frame {len(results) + 1}: "
                results.append(self.update(image))
                times.append(time)
                where = ""
        except InputError as error:  # the source's own errors say where
            raise TrackError(f"{where}{error}", _joined(results, times)) from error
        return _joined(results, times)


def result(
    grid: npt.ArrayLike, box: npt.ArrayLike, psr: npt.ArrayLike, lost: npt.ArrayLike
) -> Result:
    """Return the ``Result`` of a step: ``box`` [4], ``psr`` and ``lost`` [], of (gh, gw) cells."""
    # a larger map has sidelobes wherever its peak is
    score = float(np.asarray(psr)) if np.max(np.asarray(grid)) > search.PEAK else float("nan")
    return Result(np.asarray(box), score, bool(lost))


def _joined(results: list[Result], times: list[float]) -> Track:
    boxes, scores, lost = zip(*results, strict=True)
    return Track(
        np.stack(boxes),
        np.array(scores, np.float32),
        np.array(times, np.float64),
        np.array(lost, np.bool_),
    )


def _warn_of_box(box: npt.ArrayLike, shape: tuple[int, ...]) -> None:
    """Warn of a box that leaves the image."""
    if beyond := target.beyond(box, (shape[0], shape[1])):
        warnings.warn(f"box: {beyond}", InputWarning, stacklevel=3)


def _prepared(
    image: Any, bits: int | None
) -> tuple[npt.NDArray[Any] | jax.Array, tuple[str, str, str], int | None]:
    """Return an image as RGB ``[H, W, 3]``, uint8 or float32 in [0, 255], and its kind.

    The kind is the size, channels and type in words: what must stay the same in a video.

    Args:
        image: As ``Tracker.init`` and ``update`` take it.
        bits: How many of 16 the first image uses; None: this is the first one.

    Returns:
        The image, its kind, and how many of 16 bits are used.

    Raises:
        InputError: The image has another shape or type, or values in another range.
    """
    picture = image if isinstance(image, jax.Array) else arguments.numbers("image", image)
    channels = picture.shape[2] if picture.ndim == 3 else 1
    if picture.ndim not in (2, 3) or channels not in (1, 3) or not picture.size:
        hint = "; leave alpha out: image[..., :3]" if channels in (2, 4) else ""
        raise InputError(
            f"image: shape {picture.shape} is neither RGB [H, W, 3] nor grey [H, W]{hint}"
        )
    dtype = str(picture.dtype)
    if picture.dtype == np.uint16:
        deep = np.asarray(picture)
        bits = depth.used(deep, "image") if bits is None else bits
        picture = depth.to_8_bits(deep, bits or depth.DEPTHS[-1])
    elif jnp.issubdtype(picture.dtype, jnp.floating):
        picture = picture.astype(np.float32)
        _check_floats(picture, first=bits is None)
        dtype, bits = "float32", 0
    elif picture.dtype != np.uint8:
        raise InputError(f"image: {picture.dtype} is neither uint8, uint16 nor float in [0, 255]")
    size = f"{picture.shape[1]} x {picture.shape[0]} px"
    kind = size, "RGB" if channels == 3 else "grey", dtype
    if channels == 1:
        xp = jnp if isinstance(picture, jax.Array) else np
        picture = xp.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)
    return picture, kind, bits


def _check_floats(picture: npt.NDArray[np.float32] | jax.Array, first: bool) -> None:
    """Refuse values that are no brightness in [0, 255].

    A later image whose values are 0 and 1 only is nearly black; fractions are of another range.
    """
    low, high = float(picture.min()), float(picture.max())  # NaN where a value is
    if not np.isfinite([low, high]).all():
        raise InputError("image: it has values that are not finite (NaN or infinity)")
    if low < 0 or high > 255:
        raise InputError(
            f"image: float values are in [0, 255], and these are in [{low:g}, {high:g}]"
        )
    if 0 < high <= 1 and (first or bool((picture % 1).any())):  # a frequent mistake
        raise InputError("image: float values are in [0, 255], and these are at most 1")


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
