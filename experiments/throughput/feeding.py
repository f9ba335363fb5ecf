"""What the host delivers to a device that does nothing, and what a device does that never waits.

The slower of the two limits a run: ``delivered`` decodes (or copies) frames, sends them and has
them moved into the store, as in a run, but nothing is tracked; ``advanced`` tracks frames that lie
in the store already.
"""

import collections
import functools
import time
from collections.abc import Sequence as Many
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket
from hcft_jax.data.sequence import Frame, FrameSource, Sequence, encoded, read_to
from hcft_jax.run.batch import ring_of, usual_passes
from hcft_jax.run.device_decoder import DeviceDecoder
from hcft_jax.run.feed import Feed, Held, cores
from hcft_jax.run.lanes import batches, empty, programs

from . import timing, workload
from .workload import InMemory

IMAGES = ((96, 128), (240, 320), (480, 640), (720, 1280))  # height and width, pixels
_DISTINCT = 8  # frames of each image size


@dataclass(frozen=True)
class Endless:
    """A FrameSource that repeats another one, under indices that never come back."""

    source: FrameSource

    def __len__(self) -> int:
        return 2**31

    def read(self, index: int) -> Frame:
        """Return a frame of the source."""
        return self.source.read(index % len(self.source))

    def read_to(self, index: int, out: Frame) -> Frame:
        """Return a frame of the source, in ``out`` if it can be."""
        return read_to(self.source, index % len(self.source), out)

    def encoded(self, index: int) -> bytes | None:
        """Return the file of a frame of the source, if it has one."""
        return encoded(self.source, index % len(self.source))

    def label(self, index: int) -> str:
        """Return what the source calls the frame."""
        return self.source.label(index % len(self.source))


def measure(
    folder: Path, lanes: int, frames: int, repeats: int, images: Many[tuple[int, int]]
) -> dict[str, Any]:
    """Measure the frames per second that reach a device, for each size of image.

    Args:
        folder: for the JPEG files.
        lanes: that ask for frames, each for those of a video of its own.
        frames: the number of frames of each timed run.
        repeats: the number of timed runs of each, in turn.
        images: (H, W) of the frames.

    Returns:
        ``rows`` with ``image`` (W, H), and frames per second (spread) ``from_memory``,
        ``from_files`` and ``decoding``, what as many threads decode when they do nothing else; the
        spread of the ratio of the last two; and ``lanes``, ``cores``.
    """
    rows = []
    for size in images:
        files = workload.jpeg(folder / f"{size[1]}x{size[0]}", size, _DISTINCT).frames
        memory = InMemory(tuple(map(files.read, range(len(files)))))
        calls = {
            "from_memory": functools.partial(delivered, memory, size, lanes, frames),
            "from_files": functools.partial(delivered, files, size, lanes, frames),
            "decoding": functools.partial(decoded, files, frames),
        }
        rates: dict[str, list[float]] = {name: [] for name in calls}
        for repeat in range(repeats + 1):
            for name, call in calls.items():
                if repeat:
                    rates[name].append(call())
                else:
                    call()  # compiles, and reads the files into the system's cache
        row: dict[str, Any] = {name: timing.spread(values) for name, values in rates.items()}
        row["ratio"] = timing.ratios(rates["from_files"], rates["decoding"])
        rows.append({"image": size[::-1], **row})
    return {"rows": rows, "lanes": lanes, "cores": cores()}


def delivered(
    source: FrameSource,
    size: tuple[int, int],
    lanes: int,
    frames: int,
    decoders: Many[DeviceDecoder] = (),
) -> float:
    """Return the frames per second that are moved into a device's store.

    Args:
        source: the frames, which are repeated.
        size: (H, W) of them.
        lanes: that ask for frames.
        frames: how many are timed.
        decoders: one, if the device is to decode files.
    """
    device = jax.devices()[0]
    passes = usual_passes(device, lanes)
    ring = ring_of(passes)
    mesh = Mesh(np.array([device]), ("lanes",))
    feed = Feed(mesh, size, lanes * ring, max(1, lanes * passes // 4), decoders=decoders)
    sources = [Endless(source) for _ in range(lanes)]
    ahead: list[collections.deque[Held]] = [collections.deque() for _ in sources]
    number = [0] * lanes
    done = 0
    try:
        jax.block_until_ready(feed.store)
        started = time.perf_counter()
        while done < frames:
            for level in range(1, ring + 1):
                for lane, held in enumerate(ahead):
                    if len(held) >= level:
                        continue
                    new = feed.request(0, sources[lane], number[lane], size)
                    if new is None:
                        break
                    held.append(new)
                    number[lane] += 1
            feed.send()
            before = done
            for held in ahead:
                while held and held[0].sent:
                    feed.release(held.popleft())
                    done += 1
            if done == before:
                feed.flush()
                feed.send(wait=True)
        jax.block_until_ready(feed.store)
        return done / (time.perf_counter() - started)
    finally:
        feed.close()


def decoded(source: FrameSource, frames: int) -> float:
    """Return the frames per second that all cores decode, each frame into memory of its own."""
    count = len(source)
    with ThreadPoolExecutor(cores()) as threads:
        started = time.perf_counter()
        collections.deque(threads.map(lambda i: source.read(i % count), range(frames)), maxlen=0)
        return frames / (time.perf_counter() - started)


def advanced(
    params: Params,
    config: TrackerConfig,
    sequence: Sequence,
    bucket: Bucket,
    lanes: int,
    calls: int,
) -> float:
    """Return the frames per second of a device whose next frames are always there.

    Args:
        params: the network's parameters, placed.
        config: the tracker's constants.
        sequence: every lane tracks its first frames, forwards again and again.
        bucket: one that holds the sequence.
        lanes: the number of tracks.
        calls: that are timed, one right after the other.
    """
    device = jax.devices()[0]
    passes = usual_passes(device, lanes)
    ring = min(ring_of(passes), len(sequence))
    mesh = Mesh(np.array([device]), ("lanes",))
    begin, advance = programs(mesh, passes, batched=batches(device))
    images = [sequence.frames.read(index) for index in range(ring)]
    size = images[0].shape[0], images[0].shape[1]
    store = jax.device_put(np.stack(images).reshape(ring, 1, -1))
    target, position = tracker.begin(params, config, sequence.boxes[0], size, bucket)
    state = jax.device_put(empty(params, config, target, lanes))
    for lane in range(lanes):
        state = begin(state, np.full(1, lane, np.int32), target, position)
    slots = np.broadcast_to(np.arange(ring, dtype=np.int32), (lanes, ring)).copy()
    available = np.full(lanes, 2**30, np.int32)
    state, _, warm = advance(params, config, state, store, available, slots)
    before = np.asarray(warm)
    started = time.perf_counter()
    for _ in range(calls):
        state, _, done = advance(params, config, state, store, available, slots)
    frames = int(np.sum(np.asarray(done) - before))
    return frames / (time.perf_counter() - started)
