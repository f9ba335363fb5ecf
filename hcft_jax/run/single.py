"""One target, frame by frame, in parts: the network is compiled once for targets of all sizes.

``init`` and ``step`` of ``hcft_jax.core.tracker`` are one program each, and the network, most of
what is compiled, is in the first once and in the second twice. Here it is a program of its own,
which only the patch's size, the layers and the precision decide on. The rest, the crop, the spectra
and the filter, is small; the sizes of a target are data in it (``hcft_jax.core.target``), padded to
one of few buckets (``common_bucket``). So another target compiles nothing where its bucket is
known, and little else.

Between detecting and learning the host asks whether the target moved. The boxes are those of
``hcft_jax.core.tracker``.
"""

import functools
from dataclasses import replace

import jax
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Output, State
from hcft_jax.core.filters import Filter
from hcft_jax.core.sampling import Crop, View
from hcft_jax.core.target import Target, common_bucket, place
from hcft_jax.util import compilation

Filters = tuple[Filter, ...]
Maps = dict[str, jax.Array]  # by layer
Image = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | jax.Array


def init(params: Params, config: TrackerConfig, image: Image, box: npt.ArrayLike) -> State:
    """Return the state after the first frame, and compile what ``step`` needs.

    The operators are padded to the target's ``common_bucket``; with ``dft="fft"``, which cannot be
    padded, each size compiles the small programs anew. The images are not padded: another size of
    them compiles another crop.

    Args:
        params: The network's parameters.
        config: The tracker's constants.
        image: RGB ``[H, W, 3]`` in [0, 255], uint8 or float32.
        box: (x, y, w, h), 0-based pixels.

    Raises:
        InputError: The box cannot be tracked.
    """
    size = image.shape[0], image.shape[1]
    geometry, _ = place(box, size, config.layout)
    bucket = None if config.dft == "fft" else common_bucket([geometry])
    target, position = jax.device_put(tracker.begin(params, config, box, size, bucket))
    scale = detection.measure_first(config, target, image, position)
    maps, _ = _look(params, config, target, image, detection.view(config, position, scale))
    learned = _train(config, _general(target), maps)
    state = tracker.begun(config, State(position, learned, target, scale))

    def every() -> object:
        """Do what a step may: also for a target that moved, and for one that is lost."""
        general = replace(state, target=_general(target))
        others = search(params, config, state, image) if config.redetect else None
        return step(params, config, state, image), _learn(config, general, maps), others

    compilation.once("single", every, config, state, image)
    return jax.block_until_ready(state)


def step(params: Params, config: TrackerConfig, state: State, image: Image) -> tuple[State, Output]:
    """Track one frame, as ``step`` of ``hcft_jax.core.tracker`` does.

    Args:
        params: The network's parameters.
        config: The tracker's constants.
        state: After the previous frame.
        image: RGB ``[H, W, 3]`` in [0, 255], of the first frame's size and type.

    Returns:
        The state, on the device and complete, and the result, on the host.
    """
    target = state.target
    image = jax.device_put(image)  # once, although it is cropped twice where the target moved
    if config.scale == "cnn":
        state, maps, plain = _sized(params, config, state, image)
    else:
        view = detection.view(config, state.position, state.scale)
        maps, plain = _look(params, config, target, image, view)
    sized = None if target.scales is None else image
    after, output, moved = _follow(
        config, replace(state, target=_general(target)), maps, plain, sized
    )
    output, moved = jax.device_get((output, moved))
    if moved:
        view = detection.view(config, after.position, after.scale)
        maps, _ = _look(params, config, target, image, view)
        after = _learn(config, after, maps)
    after = replace(after, target=target)
    if after.memory is not None and after.memory.lost:
        after = search(params, config, after, image)
        output = replace(output, box=np.asarray(detection.box(after)))
    # the caller may now write into the image, and a device that fails does so in this call
    return jax.block_until_ready(after), output


@jax.jit
def _patch(image: jax.Array, view: View, crop: Crop) -> tuple[jax.Array, jax.Array]:
    """Return the patch of a search window, and whether it is of one colour."""
    patch = sampling.patch(image, view, crop)
    return patch, sampling.of_one_colour(patch, crop.size)


_patches = jax.jit(jax.vmap(sampling.patch, in_axes=(None, 0, None)))


@jax.jit
def _train(config: TrackerConfig, target: Target, maps: Maps) -> Filters:
    return tracker.train(config, target, tracker.spectra(config, target, maps))


@jax.jit
def _follow(
    config: TrackerConfig, state: State, maps: Maps, plain: jax.Array, image: jax.Array | None
) -> tuple[State, Output, jax.Array]:
    """Return the state, which has learned only where its search window has not moved."""
    z = tracker.spectra(config, state.target, maps)
    found = detection.find(config, state, z, image, plain)
    after = tracker.following(state, found)
    stayed = functools.partial(tracker.taught, config, x=z)
    return jax.lax.cond(found.moved, lambda state: state, stayed, after), found.output, found.moved


@jax.jit
def _learn(config: TrackerConfig, state: State, maps: Maps) -> State:
    return tracker.taught(config, state, tracker.spectra(config, state.target, maps))


def _look(
    params: Params, config: TrackerConfig, target: Target, image: Image, view: View
) -> tuple[Maps, jax.Array]:
    """Return the configured layers' maps of a search window, and whether it is of one colour."""
    patch, plain = _patch(image, view, target.crop)
    return tracker.features(params, config, patch, target.crop.size), plain


def _sized(
    params: Params, config: TrackerConfig, state: State, image: Image
) -> tuple[State, Maps, jax.Array]:
    """Return the state with the size that suits best, and what is seen of its search window."""
    target = state.target
    patches, maps = _look_at(params, config, target, image, _sizes(config, state), config.scales)
    after, maps, best = _chosen(config, replace(state, target=_general(target)), maps)
    return replace(after, target=target), maps, _plain(patches, best, target.crop.size)


def _look_at(
    params: Params, config: TrackerConfig, target: Target, image: Image, seen: View, count: int
) -> tuple[jax.Array, Maps]:
    """Return the patches of several search windows, and their maps, as one batch."""
    patches = _patches(image, seen, target.crop)
    sizes = np.broadcast_to(np.asarray(target.crop.size), (count, 2))
    return patches, tracker.features(params, config, patches, sizes)


_sizes = jax.jit(detection.sizes)


@jax.jit
def _chosen(config: TrackerConfig, state: State, maps: Maps) -> tuple[State, Maps, jax.Array]:
    assert state.scale is not None
    z = jax.vmap(functools.partial(tracker.spectra, config, state.target))(maps)
    after, best = tracker.chosen(config, state, z)
    return after, jax.tree.map(lambda a: a[best], maps), best


@jax.jit
def _plain(patches: jax.Array, best: jax.Array, size: jax.Array) -> jax.Array:
    return sampling.of_one_colour(patches[best], size)


def search(params: Params, config: TrackerConfig, state: State, image: Image) -> State:
    """Return the state after a lost target was looked for in the whole image.

    It is that of ``tracker.search_image``.

    Args:
        params: The network's parameters.
        config: The tracker's constants; with ``redetect``.
        state: Of a track that is lost.
        image: RGB ``[H, W, 3]`` in [0, 255].
    """
    target, general = state.target, replace(state, target=_general(state.target))
    # where the windows lie depends on the image's true size, which is data
    seen = _looks(config, state, config.looks)
    _, maps = _look_at(params, config, target, image, seen, config.looks)
    general = _considered(config, general, maps, seen)
    maps, _ = _look(params, config, target, image, detection.candidate(config, general))
    return replace(_accepted(config, general, maps), target=target)


_looks = jax.jit(detection.looks, static_argnames="count")


@jax.jit
def _considered(config: TrackerConfig, state: State, maps: Maps, seen: View) -> State:
    z = jax.vmap(functools.partial(tracker.spectra, config, state.target))(maps)
    return tracker.considered(config, state, z, seen)


@jax.jit
def _accepted(config: TrackerConfig, state: State, maps: Maps) -> State:
    return detection.accept(config, state, tracker.spectra(config, state.target, maps))


def _general(target: Target) -> Target:
    """Return the operators without the images' size, on which only the crop depends."""
    return replace(target, image=(0, 0))
