"""Several settings on one sequence, frame by frame: the network sees a shared patch only once.

The settings of a sweep mostly agree on where the target is, and the network's maps of a frame
depend on nothing else: the network, which takes nearly all of the time, then runs once for all.
The boxes are those of each setting by itself.
"""

import functools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Output, Spectra, State
from hcft_jax.core.sampling import View
from hcft_jax.core.target import Target
from hcft_jax.data import frames, sequence
from hcft_jax.util import forked

Floats = npt.NDArray[np.float32]


class FrameResults(NamedTuple):
    """The results of one frame, for each of n settings."""

    boxes: Floats  # [n, 4] x, y, w, h, 0-based pixels
    peak: Floats  # [n] the combined response at the target; NaN in the first frame
    psr: Floats  # [n] its peak-to-sidelobe ratio; NaN in the first frame
    lost: npt.NDArray[np.bool_]  # [n] whether the target counts as lost
    passes: int  # number of network passes


def patches(config: TrackerConfig) -> Hashable:
    """Return a key that is equal for settings which see the same patches by the same network."""
    same = (getattr(config, name) for name in ("backbone", "input_size", "precision", "dft"))
    # samples of a target's scales are not what the network sees
    return *same, replace(config.layout, margin=None)


def track_together(
    params: Params, configs: Sequence[TrackerConfig], sequence: sequence.Sequence
) -> Iterator[FrameResults]:
    """Track a sequence from its first box with each of n settings.

    Args:
        params: the network's parameters.
        configs: the settings, of equal ``patches``.
        sequence: T frames; only the first of the boxes is used.

    Yields:
        Every frame, in order.

    Raises:
        InputError: a frame cannot be read or the first box cannot be tracked; the results of the
            frames before it have been yielded.
        ValueError: settings that cannot share a network.
    """
    forked.check()
    if len(set(map(patches, configs))) > 1:
        raise ValueError(
            "only settings of one backbone, input size, layout, precision and dft share"
        )
    shared = _shared(configs)
    stream = frames.stream(sequence.frames)
    tracks: list[State] = []
    for image in stream:
        if not tracks:
            begin = functools.partial(
                tracker.begin, params, box=sequence.boxes[0], image=(image.shape[0], image.shape[1])
            )
            target, start = jax.device_put(begin(shared))
            look = _Look(params, shared, target, image)
            for config in configs:
                own = target
                if config.scale == "dsst":
                    own = replace(target, scales=jax.device_put(begin(config)[0].scales))
                size = detection.measure_first(config, own, image, start)
                x = look.spectra(config, detection.view(config, start, size))
                tracks.append(_begun(config, State(start, _train(config, own, x), own, size)))
            first = np.stack([np.asarray(detection.box(track)) for track in tracks])
            unknown = np.full(len(configs), np.nan, np.float32)
            yield FrameResults(
                first, unknown, unknown, np.zeros(len(configs), np.bool_), look.passes
            )
            continue
        look = _Look(params, shared, tracks[0].target, image)
        tracks = [
            _sized(config, track, look) if config.scale == "cnn" else track
            for config, track in zip(configs, tracks, strict=True)
        ]
        found = [
            _find(
                config,
                track,
                *look.at(config, track),
                None if track.target.scales is None else image,
            )
            for config, track in zip(configs, tracks, strict=True)
        ]
        outputs = jax.device_get([output for _, output in found])
        tracks = [
            _taught(config, track, look.at(config, track)[0])
            for config, (track, _) in zip(configs, found, strict=True)
        ]
        for i, (config, output) in enumerate(zip(configs, outputs, strict=True)):
            memory = tracks[i].memory
            if memory is not None and memory.lost:
                tracks[i] = _searched(config, tracks[i], look)
                outputs[i] = replace(output, box=np.asarray(detection.box(tracks[i])))
        boxes, peak, psr, lost = (
            np.stack([getattr(o, name) for o in outputs]) for name in ("box", "peak", "psr", "lost")
        )
        yield FrameResults(boxes, peak, psr, lost, look.passes)


class _Look:
    """A frame's maps and spectra at the positions that have been asked for."""

    def __init__(
        self, params: Params, shared: TrackerConfig, target: Target, image: sequence.Frame
    ) -> None:
        self.params, self.shared, self.target, self.image = params, shared, target, image
        self.maps: dict[tuple[float, ...], tuple[dict[str, jax.Array], jax.Array]] = {}
        self.known: dict[Any, Spectra] = {}

    @property
    def passes(self) -> int:
        return len(self.maps)

    def at(self, config: TrackerConfig, track: State) -> tuple[Spectra, jax.Array]:
        """Return what a setting sees of its search window, and whether it is of one colour."""
        view = detection.view(config, track.position, track.scale)
        spectra = self.spectra(config, view)
        return spectra, self.maps[self._place(view)][1]

    def _place(self, view: View) -> tuple[float, ...]:
        return tuple(float(value) for leaf in jax.tree.leaves(view) for value in np.ravel(leaf))

    def spectra(self, config: TrackerConfig, view: View) -> Spectra:
        """Return the spectra that a setting sees of a search window."""
        place = self._place(view)
        key = (place, config.response_names, frozenset(config.layers))
        if key not in self.known:
            if place not in self.maps:
                self.maps[place] = _maps(self.params, self.shared, self.target, self.image, view)
            maps = {name: self.maps[place][0][name] for name in config.layers}
            self.known[key] = _spectra(config, self.target, maps)
        return self.known[key]


def _shared(configs: Sequence[TrackerConfig]) -> TrackerConfig:
    """Return a setting that has the layers of all of them."""
    layers = tuple(sorted({name for config in configs for name in config.layers}))
    return replace(
        configs[0],
        layers=layers,
        gamma=(1.0,) * len(layers),
        hypercolumn=False,
        scale="none",
        window="first",
        redetect=False,
        weighting="fixed",
    )


@jax.jit
def _maps(
    params: Params,
    shared: TrackerConfig,
    target: Target,
    image: jax.Array,
    view: View,
) -> tuple[dict[str, jax.Array], jax.Array]:
    patch = sampling.patch(image, view, target.crop)
    maps = tracker.features(params, shared, patch, target.crop.size)
    return maps, sampling.of_one_colour(patch, target.crop.size)


@jax.jit
def _find(
    config: TrackerConfig, state: State, z: Spectra, plain: jax.Array, image: jax.Array | None
) -> tuple[State, Output]:
    found = detection.find(config, state, z, image, plain)
    return tracker.following(state, found), found.output


def _sized(config: TrackerConfig, track: State, look: _Look) -> State:
    """Return a track with the size that suits best, as by ``tracker.choose_size``."""
    views = _sizes(config, track)
    values = []
    for index in range(config.scales):
        view = jax.tree.map(lambda leaf, i=index: leaf[i], views)
        values.append(_suits(config, track, look.spectra(config, view), np.int32(index)))
    return _resized(config, track, np.int32(np.argmax(jax.device_get(values))))


def _searched(config: TrackerConfig, track: State, look: _Look) -> State:
    """Return a track after its lost target was looked for, as by ``tracker.search_image``."""
    seen = _looks(config, track, config.looks)
    for index in range(config.looks):
        view = jax.tree.map(lambda leaf, i=index: leaf[i], seen)
        memory = _consider(config, track, look.spectra(config, view), view)
        track = replace(track, memory=memory)
    return _accept(config, track, look.spectra(config, detection.candidate(config, track)))


_spectra = jax.jit(tracker.spectra)
_train = jax.jit(tracker.train)
_begun = jax.jit(tracker.begun)
_taught = jax.jit(tracker.taught)
_looks = jax.jit(detection.looks, static_argnames="count")
_sizes = jax.jit(detection.sizes)
_suits = jax.jit(detection.suits)
_resized = jax.jit(detection.resized)
_consider = jax.jit(detection.consider)
_accept = jax.jit(detection.accept)
