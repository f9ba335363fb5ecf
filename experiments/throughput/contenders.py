"""Who is timed: programs that track all sequences of a workload and return their boxes."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Sequence
from hcft_jax.run.batch import ring_of, track_many, usual_passes
from hcft_jax.run.lanes import empty
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import compilation
from hcft_jax.util.memory import available_memory

from . import plain_tracker, torch_hcft
from .timing import PeakMemory, device_memory, ratios, spread
from .workload import Workload

Boxes = list[npt.NDArray[np.float32]]  # [T, 4] x, y, w, h in pixels, one array per sequence
Chunks = Iterable[npt.NDArray[np.float32]]  # [n, 4], the boxes of one sequence


@dataclass(frozen=True)
class Contender:
    """A program and its settings."""

    name: str  # plain, exact, torch_plain, torch_tuned, torch_plain_tf32, torch_tuned_tf32
    program: str  # how it tracks, in words
    lanes: int
    precision: str
    run: Callable[[Workload], Boxes]
    device: str

    @property
    def label(self) -> str:
        """All settings that distinguish it from the others, in one line."""
        return f"{self.name}, {self.program}, {self.lanes}, {self.precision}"


@dataclass
class TimedContender:
    """A contender's seconds, one value per round, and the results of its first call."""

    contender: Contender
    work: Workload
    boxes: Boxes
    first_seconds: float  # of the first call, which compiles
    compilations: compilation.Compilations
    later: int = 0  # executables compiled in the timed rounds; not 0 if something compiles again
    seconds: list[float] = field(default_factory=list)
    peak: int | None = None  # bytes, host
    device: dict[str, int] | None = None  # memory, where the device tells

    @property
    def speeds(self) -> list[float]:
        """Frames per second, one value per round."""
        return [self.work.frames / s for s in self.seconds]

    def row(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        speeds = spread(self.speeds)
        return {
            "name": self.contender.name,
            "program": self.contender.program,
            "lanes": self.contender.lanes,
            "precision": self.contender.precision,
            "device": self.contender.device,
            "fps": speeds["median"],
            "fps_least": speeds["least"],
            "fps_most": speeds["most"],
            "repeats": len(self.seconds),
            "frames": self.work.frames,
            "sequences": len(self.work.sequences),
            "executables": self.compilations.executables,
            "executables_later": self.later,
            "compile_seconds": self.compilations.seconds,
            "first_run_seconds": self.first_seconds,
            "host_peak_bytes": self.peak,
            "device_memory": self.device,
        }


class ContenderPrograms:
    """The contenders of one configuration and machine."""

    def __init__(
        self, network: Params, config: TrackerConfig, *, devices: list[jax.Device] | None = None
    ) -> None:
        """Take the settings.

        Args:
            network: the backbone's parameters, on the host, not prepared.
            config: the tracker's constants; each contender replaces the precision by its own.
            devices: the devices that share the lanes. None: the first one.
        """
        self._network, self._config = network, config
        self._devices = devices or jax.devices()[:1]
        first = self._devices[0]
        self._device = f"{len(self._devices)} x {first.device_kind} ({first.platform})"
        self._prepared = functools.cache(functools.partial(config.network.placed, network))
        self._chunk = 4 if jax.default_backend() == "cpu" else 32  # the same as in ``streaming``

    def plain(self) -> Contender:
        """Return the plain tracker: two passes per frame, jnp.fft, one sequence after the other."""
        params = jax.device_put(self._network)
        config = dataclasses.replace(self._config, dft="fft", precision="float32")

        def track(sequence: Sequence) -> Chunks:
            return plain_tracker.track_sequence(params, config, sequence, chunk=self._chunk)

        run = _one_by_one(track)
        return Contender("plain", "two passes, fft", 1, "float32", run, self._device)

    def single(self, precision: str) -> Contender:
        """Return ``track_sequence``: one sequence after the other, one executable per size."""
        config = dataclasses.replace(self._config, precision=precision)

        def track(sequence: Sequence) -> Chunks:
            return (t.boxes for t in track_sequence(self._prepared(precision), config, sequence))

        run = _one_by_one(track)
        return Contender("exact", "track_sequence", 1, precision, run, self._device)

    def laned(self, lanes: int, precision: str, frames: str = "") -> Contender:
        """Return ``track_many``, which tracks bucket by bucket.

        Args:
            lanes: tracks at once.
            precision: of the network.
            frames: where they are, if not in files.
        """
        config = dataclasses.replace(self._config, precision=precision)

        def run(work: Workload) -> Boxes:
            params = self._prepared(precision)
            boxes: dict[int, npt.NDArray[np.float32]] = {}
            for bucket, indices in work.groups():
                # the longest first: lanes then end close to each other
                order = sorted(indices, key=lambda i: -len(work.sequences[i]))
                for track in track_many(
                    params,
                    config,
                    [work.sequences[i] for i in order],
                    bucket=bucket,
                    lanes=lanes,
                    devices=self._devices,
                ):
                    if track.error is not None:
                        raise track.error
                    boxes[order[track.index]] = track.boxes
            return [boxes[i] for i in range(len(work.sequences))]

        program = f"track_many, frames {frames}" if frames else "track_many"
        return Contender("exact", program, lanes, precision, run, self._device)

    def fits(self, work: Workload, lanes: int) -> str | None:
        """Return why the host, as the device, lacks memory for the lanes; None if it does not."""
        available, first = available_memory(), self._devices[0]
        if first.platform != "cpu" or available is None:
            return None  # other devices report it themselves
        ring = ring_of(usual_passes(first, lanes))
        each = 0
        for bucket in work.buckets:
            blank = tracker.blank(self._network, self._config, bucket)
            lane = empty(self._network, self._config, blank, 1)
            images = ring * 3 * bucket.image[0] * bucket.image[1]
            each = max(each, images + sum(leaf.nbytes for leaf in jax.tree.leaves(lane)))
        needed = 3 * lanes * each  # the donated lanes, the results of a pass, and a copy
        if needed < 0.7 * available:
            return None
        gib, of = needed / 2**30, available / 2**30
        return f"left out, about {gib:.0f} GiB of {of:.0f} would be needed"

    def outside(self, competitor: torch_hcft.Plain) -> Contender:
        """Return a tracker in PyTorch, which tracks one sequence after the other."""
        run = _one_by_one(lambda s: [competitor.track(s.frames, s.boxes[0])])
        what = competitor.description
        precision = competitor.precision
        return Contender(competitor.name, what, 1, precision, run, competitor.device)


def _one_by_one(track: Callable[[Sequence], Chunks]) -> Callable[[Workload], Boxes]:
    return lambda work: [np.concatenate(list(track(s))) for s in work.sequences]


def compete(
    entries: list[tuple[Contender, Workload]], repeats: int, budget: float, notes: list[str]
) -> Iterator[TimedContender]:
    """Time contenders in turn, round by round; each is called once before, which compiles.

    Args:
        entries: each contender with what it tracks.
        repeats: the number of rounds.
        budget: no new round begins after this many seconds; there is always one round.
        notes: receives one line for each contender that the device has no memory for.

    Yields:
        All other contenders, after the last round.
    """
    measured = []
    for contender, work in entries:
        before, begun = compilation.total(), time.perf_counter()
        try:
            boxes = contender.run(_least(work, contender.lanes))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            notes.append(f"{contender.label}: the device has not enough memory")
            continue
        spent = time.perf_counter() - begun
        compiled = compilation.total() - before
        measured.append(TimedContender(contender, work, boxes, spent, compiled))
    started = time.perf_counter()
    for repeat in range(repeats):
        if repeat and time.perf_counter() - started > budget:
            break
        for each in measured:
            before = compilation.total()
            with PeakMemory() as memory:
                begun = time.perf_counter()
                each.boxes = each.contender.run(each.work)
                each.seconds.append(time.perf_counter() - begun)
            each.later += (compilation.total() - before).executables
            each.device = device_memory(jax.devices()[0])
            if memory.peak is not None:
                each.peak = max(each.peak or 0, memory.peak)
    yield from measured


def _least(work: Workload, lanes: int) -> Workload:
    """Return two frames of each sequence, which compile everything that is needed.

    Lanes need only one sequence of each bucket.
    """
    kept = [indices[0] for _, indices in work.groups()] if lanes > 1 else []
    wanted = kept or range(len(work.sequences))
    return Workload(
        tuple(work.sequences[i] for i in wanted),
        tuple(work.geometries[i] for i in wanted),
        work.buckets,
    ).shortened(2)


def against(ours: Boxes, theirs: Boxes) -> dict[str, Any]:
    """Return in how many frames two results of the same sequences differ, and by how much."""
    apart = [
        np.abs(a - b).max(axis=1) if len(a) == len(b) else np.full(max(len(a), len(b)), np.inf)
        for a, b in zip(ours, theirs, strict=False)
    ]
    all_of = np.concatenate(apart)
    return {
        "frames": len(all_of),
        "frames_that_differ": int((all_of > 0).sum()),
        "largest_difference_px": float(all_of.max()) if np.isfinite(all_of).all() else None,
        "sequences_that_differ": int(sum((a > 0).any() for a in apart)),
    }


def speed_ratios(measured: list[TimedContender]) -> dict[str, Any]:
    """Return the ratios of our frames per second to the others', taken round by round."""
    return {
        f"{own.contender.label} / {other.contender.name}": ratios(own.speeds, other.speeds)
        for own in measured
        if own.contender.name == "exact"
        for other in measured
        if other.contender.name != "exact"
    }
