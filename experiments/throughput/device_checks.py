"""The checks of an accelerator, each of which prints its numbers."""

import dataclasses
import functools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from hcft_jax.benchmark.execute import BUCKETS
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket
from hcft_jax.data import datasets
from hcft_jax.data.frames import plain_jpeg
from hcft_jax.data.sequence import Sequence
from hcft_jax.experiment import settings
from hcft_jax.run import device_decoder
from hcft_jax.run.batch import track_many
from hcft_jax.run.device_decoder import DeviceDecoder
from hcft_jax.run.environment import versions
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import compilation
from hcft_jax.util.boxes import Boxes, parse, to_file
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

from . import CHECKS, cost_model, feeding, stages, workload
from .workload import Workload

LANES, PRECISION = 64, "bfloat16"  # without --lanes and --precision
_LOOKED_AT = 8  # frames of each sequence, whose pixels are compared


class Checks:
    """The checks of one run, each of which prints its numbers."""

    def __init__(self, given: flags.FlagValues) -> None:
        """Read the weights and the sequences that the flags name.

        Raises:
            InputError: they cannot be read.
        """
        self._given, self._started = given, time.perf_counter()
        self._lanes = given.lanes or LANES
        self._config = dataclasses.replace(
            settings.load(given.config).tracker, precision=given.precision or PRECISION
        ).validate()
        self._weights = lookup.find(given.weights, self._config.backbone).params
        sequences = workload.real(given.data_dir, given.sequences or [], given.max_frames)
        self._files = workload.gather(sequences, self._config, BUCKETS)
        self._placed = functools.cache(
            functools.partial(self._config.network.placed, self._weights)
        )
        self._beside_authors = functools.cache(self._track_beside_authors)

    def say(self, text: str) -> None:
        """Print a line with the seconds since the start."""
        print(f"{time.perf_counter() - self._started:6.1f} s  {text}", flush=True)

    def machine(self) -> None:
        """Print what is measured."""
        known = ", ".join(f"{name} {version}" for name, version in versions().items())
        device = jax.devices()[0]
        self.say(f"{device.device_kind} ({device.platform}), {feeding.cores()} cores; {known}")

    def lanes(self) -> None:
        """Print the frames per second of many lanes, and how busy they keep the device."""
        lanes, precision = self._lanes, self._config.precision
        many = self._files.repeated(lanes)
        before = compilation.total()
        self._tracked(many.shortened(2), lanes)
        compiled = compilation.total() - before
        self.say(f"compiling: {compiled.executables} executables, {compiled.seconds:.1f} s")
        from_files = self._tracked(many, lanes)
        self.say(f"{lanes} lanes, {precision}, from files: {from_files:.0f} frames/s")
        rate = self._tracked(many.in_memory(), lanes)
        self.say(f"{lanes} lanes, {precision}, frames in memory: {rate:.0f} frames/s")
        alone = {}
        for bucket, indices in many.groups():
            sequence = many.sequences[indices[0]]
            params = self._placed(precision)
            rate = feeding.advanced(params, self._config, sequence, bucket, lanes, 6)
            frames = sum(len(many.sequences[i]) for i in indices)
            alone[bucket] = frames / rate
            self.say(f"the device alone, grid of {bucket.grid}: {rate:.0f} frames/s")
        never_waiting = many.frames / sum(alone.values())
        self.say(
            f"the device is busy {100 * from_files / never_waiting:.0f} % of the time, by that"
        )

    def _tracked(self, work: Workload, lanes: int, decode: str = "host") -> float:
        """Track a workload in lanes; return the frames per second."""
        params = self._placed(self._config.precision)
        started = time.perf_counter()
        for bucket, indices in work.groups():
            sequences = [work.sequences[i] for i in indices]
            tracks = track_many(
                params, self._config, sequences, bucket=bucket, lanes=lanes, decode=decode
            )
            for track in tracks:
                if track.error is not None:
                    raise track.error
        return work.frames / (time.perf_counter() - started)

    def stages(self) -> None:
        """Print the time of each stage for a patch, and the least that the ceilings allow."""
        index = max(
            range(len(self._files.geometries)), key=lambda i: self._files.geometries[i].grid
        )
        own = self._files.geometries[index]
        bucket = Bucket(own.image, own.grid, own.window)
        sequence = self._files.sequences[index]
        lanes = self._lanes
        found = stages.measure(self._weights, self._config, sequence, bucket, lanes, 5)
        seconds = {name: found[name]["per_patch"] for name in stages.DEVICE}
        ceilings = cost_model.H200.get(self._config.precision, cost_model.H200["bfloat16"])
        costs = cost_model.stages(self._weights, self._config, own.grid, own.window)
        for name, flops, moved, least, limit, us in cost_model.rows(costs, ceilings, seconds):
            self.say(
                f"{name}: {us} us a patch ({flops} GFLOP, {moved} MB; at least {least} us on an "
                f"H200 by its {limit})"
            )
        self.say(f"the sum of the stages: {1e6 * sum(seconds.values()):.0f} us a patch")

    def stream(self) -> None:
        """Print the frames per second of one stream, by itself and as one lane."""
        params, config = self._placed(self._config.precision), self._config
        bucket, indices = self._files.groups()[0]
        sequence = self._files.sequences[indices[0]]

        def alone(sequence: Sequence) -> Iterator[Any]:
            return track_sequence(params, config, sequence)

        def as_lane(sequence: Sequence) -> Iterator[Any]:
            return track_many(params, config, [sequence], bucket=bucket, lanes=1)

        for name, track in (("track_sequence", alone), ("one lane", as_lane)):
            list(track(sequence.part(0, 1)))
            started = time.perf_counter()
            list(track(sequence))
            rate = len(sequence) / (time.perf_counter() - started)
            self.say(f"one stream, {name}, {config.precision}: {rate:.0f} frames/s")

    def precisions(self) -> None:
        """Print the time of the network for a patch in each precision."""
        side = self._config.input_side(self._weights)
        patches = np.random.default_rng(0).uniform(0, 255, (self._lanes, side, side, 3))
        placed = jax.device_put(patches.astype(np.float32))
        field = next(f for f in dataclasses.fields(TrackerConfig) if f.name == "precision")
        for precision in field.metadata["choices"]:
            config = dataclasses.replace(self._config, precision=precision)
            params = self._placed(precision)
            jax.block_until_ready(tracker.features(params, config, placed))
            times = []
            for _ in range(5):
                started = time.perf_counter()
                jax.block_until_ready(tracker.features(params, config, placed))
                times.append(time.perf_counter() - started)
            us = 1e6 * float(np.median(times)) / len(patches)
            self.say(f"network, {precision}, batch of {len(patches)}: {us:.1f} us a patch")

    def feed(self) -> None:
        """Print the frames per second that the host delivers to a device that does nothing."""
        sequence, held = self._files.sequences[0], self._files.in_memory().sequences[0]
        size = self._files.geometries[0].image
        lanes, frames = self._lanes, 40 * self._lanes
        sources = {"memory": held.frames, "files": sequence.frames}
        for name, source in sources.items():
            feeding.delivered(source, size, lanes, frames)
            rate = feeding.delivered(source, size, lanes, frames)
            self.say(f"feed from {name}, {size[1]} x {size[0]} px: {rate:.0f} frames/s")
        self.say(f"decoding alone: {feeding.decoded(sequence.frames, frames):.0f} frames/s")

    def oracle(self) -> None:
        """Print in how many frames eight lanes in float32 have the authors' boxes."""
        if self._given.oracle is None:
            self.say("no --oracle: boxes are not compared with the authors'")
            return
        own, theirs = self._beside_authors("host")
        equal, count = _equal(own, theirs)
        self.say(f"cf2, float32, 8 lanes: the authors' boxes in {equal} of {count} frames")

    def _track_beside_authors(self, decode: str) -> tuple[list[Boxes], list[Boxes]]:
        """Return the boxes of eight lanes in float32, as in files, and the authors'."""
        config = dataclasses.replace(settings.load("cf2").tracker, precision="float32")
        params = config.network.placed(lookup.find(self._given.weights, "vgg19").params)
        expected, sequences = [], []
        for path in sorted(Path(self._given.oracle).glob("*.txt")):
            boxes = parse(path)[: self._given.max_frames]
            (target,) = datasets.find(self._given.data_dir, names=[path.stem])
            sequences.append(target.load().part(0, len(boxes) - 1))
            expected.append(boxes)
        (bucket,) = workload.gather(sequences, config, 1).buckets
        tracks = track_many(params, config, sequences, bucket=bucket, lanes=8, decode=decode)
        own = {track.index: to_file(track.boxes) for track in tracks}
        return [own[index] for index in range(len(sequences))], expected

    def decode(self) -> None:
        """Print the frames per second where the device decodes, and how its pixels differ."""
        try:
            (decoder,) = device_decoder.decoders_on(jax.devices()[:1])
        except InputError as error:
            self.say(f"the device does not decode: {error}")
            return
        lanes, precision = self._lanes, self._config.precision
        sequence, size = self._files.sequences[0], self._files.geometries[0].image
        many = self._files.repeated(lanes)
        self._tracked(many.shortened(2), lanes, "device")
        rate = self._tracked(many, lanes, "device")
        self.say(f"{lanes} lanes, {precision}, decoded on the device: {rate:.0f} frames/s")
        for _ in range(2):  # the first time compiles
            rate = feeding.delivered(sequence.frames, size, lanes, 40 * lanes, [decoder])
        self.say(f"feed decoded on the device, {size[1]} x {size[0]} px: {rate:.0f} frames/s")
        self._pixels(decoder)
        if self._given.oracle is not None:
            own, (host, theirs) = self._beside_authors("device")[0], self._beside_authors("host")
            others = sum(int((a != b).any(1).sum()) for a, b in zip(own, host, strict=True))
            equal, count = _equal(own, theirs)
            self.say(f"decoded on the device: another box in {others} of {count} frames")
            self.say(f"decoded on the device: the authors' boxes in {equal} of {count} frames")

    def _pixels(self, decoder: DeviceDecoder) -> None:
        """Print how far the pixels of a device's decoder are from those of the host's."""
        apart, refused = [], 0
        for sequence, geometry in zip(self._files.sequences, self._files.geometries, strict=True):
            for index in range(min(len(sequence), _LOOKED_AT)):
                content = plain_jpeg(sequence.frames, index, geometry.image)
                image = None if content is None else decoder.decode([content])[0]
                host = sequence.frames.read(index)
                if image is None or image.shape != host.shape:
                    refused += 1
                else:
                    apart.append(np.abs(np.asarray(image).astype(np.int16) - host))
        if apart:
            mean = float(np.mean([a.mean() for a in apart]))
            most = max(int(a.max()) for a in apart)
            self.say(f"pixels decoded on the device: {mean:.3f} of 255 apart, at most {most}")
        self.say(f"not decoded on the device: {refused} of {refused + len(apart)} frames")


def _equal(own: list[Boxes], theirs: list[Boxes]) -> tuple[int, int]:
    """Return in how many frames centres are less than half a pixel apart, and the frames."""
    equal = 0
    for one, other in zip(own, theirs, strict=True):
        some = other[: len(one)]
        apart = np.abs(one[:, :2] + one[:, 2:] / 2 - some[:, :2] - some[:, 2:] / 2).max(1)
        equal += int((apart < 0.5).sum())
    return equal, sum(map(len, theirs))


@command("interrupted; what was printed was measured")
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the checks; return the exit status."""
    if given.data_dir is None:
        raise InputError("--data_dir: name a folder of sequences")
    if unknown := set(given.checks) - set(CHECKS):
        raise InputError(f"--checks: no {unknown.pop()!r}; there are {', '.join(CHECKS)}")
    checks = Checks(given)
    checks.machine()
    for name in CHECKS:
        if name in given.checks:
            getattr(checks, name)()
    return 0
