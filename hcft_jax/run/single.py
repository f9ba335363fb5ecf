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
from hcft_jax.core import sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.filters import Filter
from hcft_jax.core.scale import Scale
from hcft_jax.core.target import Target, common_bucket, place
from hcft_jax.core.tracker import Found, Output, State
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
    scale = tracker.measure_first(target, image, position)
    maps = _look(params, config, target, image, position, scale)
    state = State(position, _train(config, _general(target), maps), target, scale)
    followed = config, _general(target), state.filters, maps  # what a target that moved takes more

    def every() -> object:
        return step(params, config, state, image), _learn(*followed)

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
    target, general = state.target, _general(state.target)
    image = jax.device_put(image)  # once, although it is cropped twice where the target moved
    maps = _look(params, config, target, image, state.position, state.scale)
    sized = None if state.scale is None else image
    found, filters = _follow(config, replace(state, target=general), maps, sized)
    output, moved = jax.device_get((found.output, found.moved))
    if moved:
        maps = _look(params, config, target, image, found.position, found.scale)
        filters = _learn(config, general, state.filters, maps)
    # the caller may now write into the image, and a device that fails does so in this call
    after = State(found.position, filters, target, found.scale)
    return jax.block_until_ready(after), output


_patch = jax.jit(sampling.patch)


@jax.jit
def _train(config: TrackerConfig, target: Target, maps: Maps) -> Filters:
    return tracker.train(config, target, tracker.spectra(config, target, maps))


@jax.jit
def _follow(
    config: TrackerConfig, state: State, maps: Maps, image: jax.Array | None
) -> tuple[Found, Filters]:
    """Return where the target is, and the filters where its search window has not moved."""
    target, old = state.target, state.filters
    z = tracker.spectra(config, target, maps)
    found = tracker.find(config, state, z, image)
    stayed = functools.partial(tracker.learn, config, target, old, z)
    return found, jax.lax.cond(found.moved, lambda: old, stayed)


@jax.jit
def _learn(config: TrackerConfig, target: Target, old: Filters, maps: Maps) -> Filters:
    return tracker.learn(config, target, old, tracker.spectra(config, target, maps))


def _look(
    params: Params,
    config: TrackerConfig,
    target: Target,
    image: Image,
    position: jax.Array,
    size: Scale | None,
) -> Maps:
    """Return the configured layers' maps of the search window of a target."""
    view = tracker.view(config, position, size)
    patch = _patch(image, view, target.crop)
    return tracker.features(params, config, patch, target.crop.size)


def _general(target: Target) -> Target:
    """Return the operators without the images' size, on which only the crop depends."""
    return replace(target, image=(0, 0))
