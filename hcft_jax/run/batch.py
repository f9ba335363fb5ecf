"""Many sequences at once, on the host: lanes are fed, and refilled when a sequence ends.

The device's side is ``hcft_jax.run.lanes``. Here frames are decoded ahead in threads, sent while
the device works on those it has, and the boxes are collected. The results of a call to the device
are read after it has been given the next call, so that it never waits for the host.
"""

import collections
import contextlib
import functools
import heapq
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket, Target
from hcft_jax.core.tracker import Params
from hcft_jax.data import frames
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.run.lanes import Pass, batches, empty, programs
from hcft_jax.util.errors import InputError

Floats = npt.NDArray[np.float32]
_CALLS = 2  # calls that the device has been given at any time
_PACKERS = 4  # threads that copy frames into packets


@dataclass(frozen=True)
class LaneTrack:
    """A sequence tracked to its end, or up to a frame that could not be read."""

    index: int  # in the given order
    boxes: Floats  # [n, 4] x, y, w, h, 0-based pixels
    peak: Floats  # [n] the combined response at the target; NaN in the first frame
    psr: Floats  # [n] its peak-to-sidelobe ratio; NaN in the first frame
    seconds: float  # that its lane was taken
    error: InputError | None


@dataclass(eq=False)
class _Running:
    """A track in a lane, as the host knows it."""

    index: int
    frames: Generator[Frame, None, None]
    held: Frame | None  # decoded, not sent yet
    total: int  # number of frames, or of those before a frame that cannot be read
    target: Target
    position: Floats  # in the first frame
    boxes: Floats
    peak: Floats
    psr: Floats
    loaded: int = 0  # frames sent
    done: int = 0  # of these, finished on the device as last heard
    detected: int = 1  # of these, with a known box
    error: InputError | None = None
    started: float = field(default_factory=time.perf_counter)

    def read(self) -> Frame | None:
        """Return the next frame to send, if there is one."""
        if self.held is not None:
            frame, self.held = self.held, None
            return frame
        try:
            return next(self.frames, None)
        except InputError as error:
            self.total, self.error = self.loaded, error
            return None

    def hear(self, found: Pass, lane: int, done: int) -> int:
        """Take the results of a call to the device for its lane; return the number of new boxes."""
        new = np.asarray(found.detected)[:, lane]
        at = np.asarray(found.frame)[new, lane]
        for own, heard in ((self.boxes, found.box), (self.peak, found.peak), (self.psr, found.psr)):
            own[at] = np.asarray(heard)[new, lane]
        self.detected += len(at)
        self.done = done
        return len(at)

    def track(self) -> LaneTrack:
        """Return the track as far as it is known."""
        n = self.detected
        seconds = time.perf_counter() - self.started
        return LaneTrack(
            self.index, self.boxes[:n], self.peak[:n], self.psr[:n], seconds, self.error
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
    progress: Callable[[int, int], Any] = lambda index, frames: None,
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
            where each takes long, and 8 elsewhere.
        devices: to spread the lanes over. None: the first one.
        batched: whether the lanes of a device are one batch, or take turns. None: they take turns
            on a CPU, where that is faster.
        progress: called with the index of a sequence and how many frames of it have been tracked
            since the last call.

    Yields:
        The tracks in the order in which they end. One whose first frame or first box cannot be
        used has an error and no boxes.

    Raises:
        ValueError: the lanes do not divide evenly, or a target does not fit into the bucket.
    """
    devices = devices or jax.local_devices()[:1]
    each, rest = divmod(lanes, len(devices))
    if rest or not each:
        raise ValueError(f"{lanes} lanes cannot be spread evenly over {len(devices)} devices")
    mesh = Mesh(np.array(devices), ("lanes",))
    passes = passes or usual_passes(devices[0])
    batched = batches(devices[0]) if batched is None else batched
    load, advance = programs(mesh, passes, batched=batched)
    params = jax.device_put(params, NamedSharding(mesh, P()))
    ring = ring_of(passes)
    size = max(1, each * passes // 4)  # of a packet: few calls, and the last one not half empty
    nobody = np.full(len(devices), each, np.int32)
    blank, nowhere = tracker.blank(params, config, bucket), np.zeros(2, np.float32)
    state = jax.device_put(
        empty(params, config, blank, lanes, ring), NamedSharding(mesh, P("lanes"))
    )
    running: list[_Running | None] = [None] * lanes
    coming = enumerate(sequences)
    calls: collections.deque[tuple[list[_Running | None], Any, Any]] = collections.deque()
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(thread_name_prefix="frames"))
        packers = stack.enter_context(ThreadPoolExecutor(_PACKERS, thread_name_prefix="packing"))
        stack.callback(_close, running)
        packet = functools.partial(_packet, packers, running, bucket, len(devices), size, ring)
        # nothing to load and nothing to do: compiles
        state = load(state, *packet(), nobody, blank, nowhere)
        state, *_ = advance(params, config, state, np.zeros(lanes, np.int32))
        while True:
            for lane, track in enumerate(running):
                if track is not None and track.detected >= track.total:
                    running[lane] = None
                    track.frames.close()
                    yield track.track()
            for lane in range(lanes):
                while running[lane] is None and (given := next(coming, None)) is not None:
                    try:
                        begun = _begin(*given, params, config, bucket, threads, 2 * passes)
                    except InputError as error:
                        yield _none(given[0], error)
                        continue
                    running[lane] = begun
                    start = nobody.copy()
                    start[lane // each] = lane % each
                    state = load(state, *packet(), start, begun.target, begun.position)
            while any(_wants(r, ring) for r in running if r):
                state = load(state, *packet(), nobody, blank, nowhere)
            if any(running):
                available = np.array([r.loaded if r else 0 for r in running], np.int32)
                state, found, done = advance(params, config, state, available)
                calls.append((list(running), found, done))
            if not calls:
                return
            if len(calls) == _CALLS or not any(running):
                asked, found, done = calls.popleft()
                found, done = jax.device_get((found, done))
                for lane, known in enumerate(asked):
                    if known and known is running[lane]:  # it has not ended since
                        progress(known.index, known.hear(found, lane, int(done[lane])))


def usual_passes(on: jax.Device) -> int:
    """Return the number of passes between two exchanges with the host: few where they take long."""
    return 2 if on.platform == "cpu" else 8


def ring_of(passes: int) -> int:
    """Return the number of frames per lane on the device: a call uses at most one per pass."""
    return (_CALLS + 1) * passes


def _begin(
    index: int,
    sequence: Sequence,
    params: Params,
    config: TrackerConfig,
    bucket: Bucket,
    threads: ThreadPoolExecutor,
    ahead: int,
) -> _Running:
    """Begin a track with a sequence's first frame and box.

    Raises:
        InputError: the frame or the box cannot be used.
    """
    stream = frames.stream(sequence.frames, threads=threads, ahead=ahead)
    first = next(stream)
    target, position = tracker.begin(
        params, config, sequence.boxes[0], (first.shape[0], first.shape[1]), bucket
    )
    boxes = np.full((len(sequence), 4), np.nan, np.float32)
    boxes[0] = [*(position - 0.5 * np.asarray(target.size))[::-1], *np.asarray(target.size)[::-1]]
    peak, psr = np.full((2, len(sequence)), np.nan, np.float32)
    return _Running(index, stream, first, len(sequence), target, position, boxes, peak, psr)


def _close(running: list[_Running | None]) -> None:
    for track in running:
        if track is not None:
            track.frames.close()


def _none(index: int, error: InputError) -> LaneTrack:
    nothing = np.zeros(0, np.float32)
    return LaneTrack(index, np.zeros((0, 4), np.float32), nothing, nothing, 0.0, error)


def _wants(track: _Running, ring: int) -> bool:
    """Return whether there are frames to send, and room for them."""
    return track.loaded < min(track.total, track.done + ring)


def _packet(
    packers: ThreadPoolExecutor,
    running: list[_Running | None],
    bucket: Bucket,
    devices: int,
    size: int,
    ring: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return frames ``[devices * size, H, W, 3]`` and where they go, ``[devices * size, 2]``.

    Lanes take turns, those with the fewest frames ahead first.
    """
    each = len(running) // devices
    images = np.empty((devices * size, *bucket.image, 3), np.uint8)  # paddings are not looked at
    where = np.full((devices * size, 2), each, np.int32)  # a lane that does not exist
    taken: list[tuple[int, Frame]] = []
    for number in range(devices):
        lanes = range(number * each, (number + 1) * each)
        here = ((lane % each, t) for lane in lanes if (t := running[lane]) and _wants(t, ring))
        waiting = [(track.loaded - track.done, lane, track) for lane, track in here]
        heapq.heapify(waiting)
        slot = number * size
        while waiting and slot < (number + 1) * size:
            _, lane, track = heapq.heappop(waiting)
            frame = track.read()
            if frame is None:
                continue
            taken.append((slot, frame))
            where[slot] = lane, track.loaded
            slot, track.loaded = slot + 1, track.loaded + 1
            if _wants(track, ring):
                heapq.heappush(waiting, (track.loaded - track.done, lane, track))

    def put(some: list[tuple[int, Frame]]) -> None:
        for slot, frame in some:
            images[slot, : frame.shape[0], : frame.shape[1]] = frame

    list(packers.map(put, (taken[k::_PACKERS] for k in range(_PACKERS))))
    return images, where
