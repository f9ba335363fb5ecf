"""Many sequences at once, on the host: lanes are fed, and refilled when a sequence ends.

The device's side is ``hcft_jax.run.lanes``, and frames come from ``hcft_jax.run.feed``. The results
of a call to the device are read after it has been given the next call, so that it never waits for
the host.
"""

import collections
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket, Target
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.run import device_decoder
from hcft_jax.run.device_decoder import DeviceDecoder
from hcft_jax.run.feed import Feed, Held
from hcft_jax.run.lanes import Pass, batches, empty, programs
from hcft_jax.util import forked
from hcft_jax.util.errors import InputError

Floats = npt.NDArray[np.float32]
_CALLS = 2  # calls that the device has been given at any time
_PATCHES = 64  # of a call, at least, on an accelerator: fewer take less time than a call does
_KEPT = 0.25  # of an accelerator's memory: for frames that a later track may ask for


@dataclass(frozen=True)
class LaneTrack:
    """A sequence tracked to its end, or up to a frame that could not be read."""

    index: int  # in the given order
    boxes: Floats  # [n, 4] x, y, w, h, 0-based pixels
    peak: Floats  # [n] the combined response at the target; NaN in the first frame
    psr: Floats  # [n] its peak-to-sidelobe ratio; NaN in the first frame
    lost: npt.NDArray[np.bool_]  # [n] whether the target counts as lost
    seconds: float  # that its lane was taken
    error: InputError | None


@dataclass(eq=False)
class _Running:
    """A track in a lane, as the host knows it."""

    index: int
    sequence: Sequence
    first: Frame | None  # decoded, not sent yet
    size: tuple[int, int]  # of the frames
    total: int  # number of frames, or of those before a frame that cannot be read
    target: Target
    position: Floats  # in the first frame
    boxes: Floats
    peak: Floats
    psr: Floats
    lost: npt.NDArray[np.bool_]
    ahead: collections.deque[Held] = field(default_factory=collections.deque)  # from ``done`` on
    loaded: int = 0  # frames that are on the device, in their order
    done: int = 0  # of these, finished on the device as last heard
    detected: int = 1  # of these, with a known box
    error: InputError | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def requested(self) -> int:
        """The number of frames that the feed has been asked for."""
        return self.done + len(self.ahead)

    def arrived(self) -> None:
        """Count the frames that are on the device; the first broken one ends the track."""
        while self.loaded < self.requested:
            held = self.ahead[self.loaded - self.done]
            if not held.sent:
                return
            if held.error is not None:
                self.total, self.error = self.loaded, held.error
                return
            self.loaded += 1

    def hear(self, found: Pass, lane: int) -> int:
        """Take the results of a call to the device for its lane; return the number of new boxes."""
        new = np.asarray(found.detected)[:, lane]
        at = np.asarray(found.frame)[new, lane]
        for name in ("peak", "psr", "lost"):
            getattr(self, name)[at] = np.asarray(getattr(found, name))[new, lane]
        self.boxes[at] = np.asarray(found.box)[new, lane]
        self.detected += len(at)
        return len(at)

    def track(self) -> LaneTrack:
        """Return the track as far as it is known."""
        n = self.detected
        seconds = time.perf_counter() - self.started
        return LaneTrack(
            self.index,
            self.boxes[:n],
            self.peak[:n],
            self.psr[:n],
            self.lost[:n],
            seconds,
            self.error,
        )


def track_many(
    params: Params,
    config: TrackerConfig,
    sequences: Iterable[Sequence],
    *,
    bucket: Bucket,
    lanes: int,
    passes: int | None = None,
    devices: list[jax.Device] | None = None,
    batched: bool | None = None,
    frame_memory: int | None = None,
    decode: str = "host",
    progress: Callable[[int, int], Any] = lambda index, frames: None,
    unfinished: Callable[[int, Floats], Any] = lambda index, boxes: None,
) -> Iterator[LaneTrack]:
    """Track sequences from their first boxes, ``lanes`` of them at any time.

    Everything is compiled before the first sequence is taken.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        sequences: taken one by one when a lane is free; only the first of the boxes is used.
        bucket: sizes that hold all of them.
        lanes: number of tracks at once, a multiple of the number of devices.
        passes: number of network passes between two exchanges with the host. None: 2 on a CPU,
            where each takes long, and elsewhere 8, or more where the lanes are few.
        devices: to spread the lanes over. None: the first one.
        batched: whether the lanes of a device are one batch, or take turns. None: they take turns
            on a CPU, where that is faster.
        frame_memory: bytes of an accelerator for frames that no track needs any more, and a later
            one may ask for. None: a quarter of what is free. (A CPU needs none: the host keeps
            frames, ``hcft_jax.data.kept``.)
        decode: who decodes JPEG files: "host", or "device", by nvImageCodec, whose pixels are not
            exactly the same (``hcft_jax.run.device_decoder``).
        progress: called with the index of a sequence and how many frames of it have been tracked
            since the last call.
        unfinished: called for each sequence that is under way when Ctrl-C, or whoever takes the
            tracks, ends the tracking, with its index and the boxes that are known.

    Yields:
        The tracks in the order in which they end. One whose first frame or first box cannot be
        used has an error and no boxes.

    Raises:
        ValueError: the lanes do not divide evenly, a target does not fit into the bucket, or
            ``decode`` is neither.
        SettingError: the devices, or what is installed, cannot ``decode``.
    """
    forked.check()
    if decode not in ("host", "device"):
        raise ValueError(f"decode: {decode!r} is neither 'host' nor 'device'")
    devices = devices or jax.local_devices()[:1]
    each, rest = divmod(lanes, len(devices))
    if rest or not each:
        raise ValueError(f"{lanes} lanes cannot be spread evenly over {len(devices)} devices")
    mesh = Mesh(np.array(devices), ("lanes",))
    passes = passes or usual_passes(devices[0], each)
    batched = batches(devices[0]) if batched is None else batched
    # what is not installed should show before anything is compiled
    decoders = device_decoder.decoders_on(devices) if decode == "device" else []
    spare = _spare(devices[0], bucket.image, frame_memory)
    lanes_ = _Lanes(params, config, bucket, mesh, each, passes, batched, spare, decoders)
    with contextlib.closing(lanes_):
        try:
            yield from lanes_.track(enumerate(sequences), progress)
        except (KeyboardInterrupt, GeneratorExit):
            for track in lanes_.underway:
                unfinished(track.index, track.boxes)
            raise


def usual_passes(on: jax.Device, lanes: int = 1) -> int:
    """Return the number of passes between two exchanges with the host: few where they take long.

    Args:
        on: the device.
        lanes: that it has.
    """
    return 2 if on.platform == "cpu" else max(8, min(_PATCHES // lanes, 32))


def ring_of(passes: int) -> int:
    """Return the number of frames per lane on the device: a call uses at most one per pass."""
    return (_CALLS + 1) * passes


class _Lanes:
    """The lanes of some devices, with what the host knows about them."""

    def __init__(
        self,
        params: Params,
        config: TrackerConfig,
        bucket: Bucket,
        mesh: Mesh,
        each: int,
        passes: int,
        batched: bool,
        spare: int,
        decoders: list[DeviceDecoder],
    ) -> None:
        self._host_params, self._config, self._bucket = params, config, bucket
        self._each, self._passes = each, passes
        devices = mesh.devices.size
        lanes = devices * each
        self._begin, self._advance = programs(mesh, passes, batched=batched)
        self._params = jax.device_put(params, NamedSharding(mesh, P()))
        blank = tracker.blank(params, config, bucket)
        split = NamedSharding(mesh, P("lanes"))
        self._state = jax.device_put(empty(params, config, blank, lanes), split)
        self._ring = ring_of(passes)
        slots = each * self._ring + spare
        packet = max(1, each * passes // 4)
        self._feed = Feed(mesh, bucket.image, slots, packet, decoders=decoders)
        self._slots = np.zeros((lanes, self._ring), np.int32)
        self._running: list[_Running | None] = [None] * lanes
        self._calls: collections.deque[tuple[list[_Running | None], Any, Any]] = collections.deque()
        # nothing to begin and nothing to do: compiles
        self._nobody = np.full(devices, each, np.int32)
        nowhere = np.zeros(2, np.float32)
        self._state = self._begin(self._state, self._nobody, blank, nowhere)
        self._call(np.zeros(lanes, np.int32))

    def close(self) -> None:
        """Stop the threads."""
        self._feed.close()

    @property
    def underway(self) -> list[LaneTrack]:
        """The tracks in the lanes, as far as they are known."""
        return [track.track() for track in self._running if track is not None]

    def track(
        self, coming: Iterator[tuple[int, Sequence]], progress: Callable[[int, int], Any]
    ) -> Iterator[LaneTrack]:
        """Track all that comes; yield each track as it ends."""
        while True:
            yield from self._ended()
            yield from self._begun(coming)
            if not any(self._running) and not self._calls:
                return
            self._receive()
            if any(self._running):
                available = [track.loaded if track else 0 for track in self._running]
                found, done = self._call(np.array(available, np.int32))
                self._calls.append((list(self._running), found, done))
            if len(self._calls) == _CALLS or not any(self._running):
                self._hear(progress)

    def _call(self, available: npt.NDArray[np.int32]) -> tuple[Pass, jax.Array]:
        self._state, found, done = self._advance(
            self._params,
            self._config,
            self._state,
            self._feed.store,
            available,
            self._slots.copy(),  # which may be read later, while this one changes
        )
        return found, done

    def _ended(self) -> Iterator[LaneTrack]:
        """Yield the tracks that are finished; their lanes are free."""
        for lane, track in enumerate(self._running):
            if track is not None and track.detected >= track.total:
                self._running[lane] = None
                for held in track.ahead:
                    self._feed.release(held)
                yield track.track()

    def _begun(self, coming: Iterator[tuple[int, Sequence]]) -> Iterator[LaneTrack]:
        """Give free lanes the tracks that come next; yield those that cannot begin."""
        for lane in range(len(self._running)):
            while self._running[lane] is None and (given := next(coming, None)) is not None:
                index, sequence = given
                try:
                    track = _begin(index, sequence, self._host_params, self._config, self._bucket)
                except InputError as error:
                    yield _none(index, error)
                    continue
                self._running[lane] = track
                starting = self._nobody.copy()
                starting[lane // self._each] = lane % self._each
                self._state = self._begin(self._state, starting, track.target, track.position)

    def _request(self) -> None:
        """Ask for frames while there is room, those lanes first that have the fewest ahead."""
        for level in range(1, self._ring + 1):
            for lane, track in enumerate(self._running):
                if track is None or len(track.ahead) >= level or track.requested >= track.total:
                    continue
                number = track.requested
                first = track.first if number == 0 else None
                held = self._feed.request(
                    lane // self._each, track.sequence.frames, number, track.size, first
                )
                if held is None:
                    return
                track.first = None
                track.ahead.append(held)
                self._slots[lane, number % self._ring] = held.slot

    def _receive(self) -> None:
        """Have the device receive frames; wait for some if most lanes would soon be without."""
        while True:
            self._request()
            self._feed.send()
            running = [track for track in self._running if track is not None]
            for track in running:
                track.arrived()
            used = len(self._calls) * self._passes  # at most, by the calls that are under way
            short = [t for t in running if t.loaded < min(t.total, t.done + used + 1)]
            if 2 * len(short) <= len(running):
                return
            self._feed.flush()
            self._feed.send(wait=True)

    def _hear(self, progress: Callable[[int, int], Any]) -> None:
        """Take the results of the oldest call."""
        asked, found, done = self._calls.popleft()
        found, done = jax.device_get((found, done))
        for lane, track in enumerate(asked):
            if track and track is self._running[lane]:  # it has not ended since
                progress(track.index, track.hear(found, lane))
                while track.done < int(done[lane]):
                    self._feed.release(track.ahead.popleft())
                    track.done += 1


def _spare(device: jax.Device, image: tuple[int, int], memory: int | None) -> int:
    """Return how many frames may stay on a device beyond those that tracks need."""
    known = None if device.platform == "cpu" else device.memory_stats()
    if known is None:
        return 0
    if memory is None:
        memory = int(_KEPT * (known["bytes_limit"] - known["bytes_in_use"]))
    return memory // (3 * image[0] * image[1])


def _begin(
    index: int, sequence: Sequence, params: Params, config: TrackerConfig, bucket: Bucket
) -> _Running:
    """Begin a track with a sequence's first frame and box.

    Raises:
        InputError: the frame or the box cannot be used.
    """
    first = sequence.frames.read(0)
    size = first.shape[0], first.shape[1]
    target, position = tracker.begin(params, config, sequence.boxes[0], size, bucket)
    boxes = np.full((len(sequence), 4), np.nan, np.float32)
    boxes[0] = [*(position - 0.5 * np.asarray(target.size))[::-1], *np.asarray(target.size)[::-1]]
    peak, psr = np.full((2, len(sequence)), np.nan, np.float32)
    lost = np.zeros(len(sequence), np.bool_)
    return _Running(
        index, sequence, first, size, len(sequence), target, position, boxes, peak, psr, lost
    )


def _none(index: int, error: InputError) -> LaneTrack:
    nothing = np.zeros(0, np.float32)
    return LaneTrack(
        index, np.zeros((0, 4), np.float32), nothing, nothing, np.zeros(0, np.bool_), 0.0, error
    )
