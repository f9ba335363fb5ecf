"""The tracker as pure functions of arrays: ``init``, ``step``, and ``track``, a scan of steps.

Read downwards: a frame becomes spectra at the old position, responses, a displacement, spectra at
the new position, new filters. Boxes and positions are 0-based (``hcft_jax.util.boxes``).
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.core import filters, sampling, search, spectrum
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.filters import Filter
from hcft_jax.core.sampling import CELL, LEAST_GRID, Geometry
from hcft_jax.core.target import Bucket, Target, fixed, place
from hcft_jax.util.errors import InputError


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["position", "filters", "target"],
    meta_fields=[],
)
@dataclass(frozen=True)
class State:
    """What a track carries from frame to frame."""

    position: jax.Array  # [2] centre of the target (row, column) in pixels
    filters: tuple[Filter, ...]  # one a layer, deepest first; one in all for a hypercolumn
    target: Target  # the same in every frame


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["box", "peak", "psr", "responses"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Output:
    """What a frame gives; ``track`` adds a leading axis of frames."""

    box: jax.Array  # [4] x, y, w, h in pixels
    peak: jax.Array  # [] the combined response where the target was found
    psr: jax.Array  # [] its peak-to-sidelobe ratio
    responses: jax.Array | None  # [L, gh, gw] when asked, deepest layer first, not weighted


def init(
    params: Params,
    config: TrackerConfig,
    image: npt.ArrayLike | jax.Array,
    box: npt.ArrayLike,
    *,
    bucket: Bucket | None = None,
) -> State:
    """The state after the first frame: filters trained on the given box.

    Args:
        params: the backbone's, ``{"conv1_1": {"kernel", "bias"}, ..., "normalization": ...}``.
        config: the tracker's constants.
        image: RGB ``[H, W, 3]`` in [0, 255], uint8 or float.
        box: (x, y, w, h), 0-based pixels; concrete numbers, since the window's size follows.
        bucket: sizes to pad to, so that targets share an executable; later images are then padded
            to ``bucket.image`` below and to the right. None: each size has its own.

    Raises:
        InputError: a constant out of range, parameters of another backbone, an image of another
            shape, or a box that is not four finite numbers, empty, outside the image, larger than
            it, or too thin to track.
        ValueError: the target does not fit into the bucket.
    """
    config.validate()
    registry.get(config.backbone).require(params)
    shape = np.shape(image)
    if len(shape) != 3 or shape[2] != 3:
        raise InputError(f"image: shape {shape} is not [height, width, 3]")
    target, position = begin(params, config, box, (shape[0], shape[1]), bucket)
    if shape[:2] != target.image:  # on the host: each size would compile a padding of its own
        more = [(0, most - own) for own, most in zip(shape[:2], target.image, strict=True)]
        image = np.pad(image, [*more, (0, 0)])
    return start(params, config, target, image, position)


def begin(
    params: Params,
    config: TrackerConfig,
    box: npt.ArrayLike,
    image: tuple[int, int],
    bucket: Bucket | None = None,
) -> tuple[Target, npt.NDArray[np.float32]]:
    """What a first box (x, y, w, h) in an image (H, W) fixes, and its position (row, column).

    Raises:
        InputError, ValueError: as ``init``.
    """
    side = input_size(params, config)
    geometry, position = place(box, image, config.grid)
    _, _, w, h = np.asarray(box, np.float64)
    target = fixed(
        geometry,
        (h, w),
        (side, side),
        map_sizes(params, config),
        dft=config.dft,
        bucket=bucket,
    )
    return target, position


def blank(params: Params, config: TrackerConfig, bucket: Bucket) -> Target:
    """A target of the bucket's shapes that nothing is tracked with."""
    side = input_size(params, config)
    least = Geometry(bucket.image, (CELL * LEAST_GRID,) * 2, (LEAST_GRID,) * 2)
    return fixed(least, (1.0, 1.0), (side, side), map_sizes(params, config), bucket=bucket)


def map_sizes(params: Params, config: TrackerConfig) -> set[tuple[int, int]]:
    """(height, width) of the network's maps."""
    side = input_size(params, config)
    patch = jax.ShapeDtypeStruct((side, side, 3), jnp.float32)
    maps = jax.eval_shape(features, params, config, patch)
    return {(m.shape[0], m.shape[1]) for m in maps.values()}


@jax.jit
def features(params: Params, config: TrackerConfig, patch: jax.Array) -> dict[str, jax.Array]:
    """The configured layers' maps, float32, of a patch ``[..., size, size, 3]``."""
    return registry.get(config.backbone).maps(params, patch, config.layers, config.precision)


@jax.jit
def start(
    params: Params,
    config: TrackerConfig,
    target: Target,
    image: npt.ArrayLike | jax.Array,
    position: npt.ArrayLike | jax.Array,
) -> State:
    """``init`` for what ``begin`` gave: all of it arrays, so it can be traced and batched.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        target: the operators.
        image: RGB ``[H, W, 3]``, of the size (``target.image``) that the operators are for.
        position: (row, column) of the target's centre.
    """
    image, position = jnp.asarray(image), jnp.asarray(position)
    patch = sampling.patch(image, position, target.crop)
    trained = train(config, target, spectra(config, target, features(params, config, patch)))
    return State(position, trained, jax.tree.map(jnp.asarray, target))


@functools.partial(jax.jit, static_argnames="with_responses")
def step(
    params: Params,
    config: TrackerConfig,
    state: State,
    image: jax.Array,
    *,
    with_responses: bool = False,
) -> tuple[State, Output]:
    """One frame: detect at the old position (Eq. 4, 5), learn at the new one (Eq. 6).

    Args:
        params: the network's parameters.
        config: the tracker's constants; with the same layers as in ``init``.
        state: after the previous frame.
        image: RGB ``[H, W, 3]`` in [0, 255], of the first frame's size.
        with_responses: also return every layer's response map.
    """
    target = state.target
    if image.shape[:2] != target.image:
        raise InputError(f"image: {image.shape[:2]} px, but the first one had {target.image}")

    def observed(position: jax.Array) -> tuple[jax.Array, ...]:
        patch = sampling.patch(image, position, target.crop)
        return spectra(config, target, features(params, config, patch))

    z = observed(state.position)
    position, output = detect(config, state, z, with_responses=with_responses)
    # where the target stayed, the features at the new position are those at the old one
    x = jax.lax.cond(jnp.any(position != state.position), lambda: observed(position), lambda: z)
    learned = average(config, state.filters, train(config, target, x))
    return State(position, learned, target), output


def spectra(
    config: TrackerConfig, target: Target, maps: dict[str, jax.Array]
) -> tuple[jax.Array, ...]:
    """Spectra ``[2, gh, gw // 2 + 1, D]`` of the search window's features, a filter each."""
    parts = tuple(target.transform.spectrum(maps[name]) for name in _deepest_first(config))
    return (jnp.concatenate(parts, axis=-1),) if config.hypercolumn else parts


def detect(
    config: TrackerConfig, state: State, z: tuple[jax.Array, ...], *, with_responses: bool = False
) -> tuple[jax.Array, Output]:
    """The new position ``[2]`` by Eq. 4 and 5, from the spectra at the old one."""
    transform = state.target.transform
    y = _label(config, state.target)
    responses = [
        filters.respond(f, spectra, y, transform, config.lambda_, config.update)
        for f, spectra in zip(state.filters, z, strict=True)
    ]
    radius = None if config.search == "sum" else config.radius
    total, peak = search.combine(responses, response_weights(config), radius, transform.grid)
    found = peak.astype(state.position.dtype)
    if config.search == "soft":
        found = search.expect(total, peak, config.temperature, transform.grid)
    still = jnp.asarray(transform.grid, jnp.int32) // 2  # the cell of no displacement
    position = state.position + state.target.cell * (found - still.astype(found.dtype))
    output = Output(
        box=_box(position, state.target),
        peak=total[peak[0], peak[1]],
        psr=search.peak_to_sidelobe(total, peak, transform.grid),
        responses=jnp.stack(responses) if with_responses else None,
    )
    return position, output


def train(config: TrackerConfig, target: Target, x: tuple[jax.Array, ...]) -> tuple[Filter, ...]:
    """The filters of one frame, from its spectra (Eq. 2, 3)."""
    y = _label(config, target)
    return tuple(
        filters.train(spectra, y, target.transform, config.lambda_, config.update) for spectra in x
    )


def average(
    config: TrackerConfig, old: tuple[Filter, ...], new: tuple[Filter, ...]
) -> tuple[Filter, ...]:
    """The filters after Eq. 6."""
    rates = learning_rates(config)
    return tuple(filters.update(o, n, eta) for o, n, eta in zip(old, new, rates, strict=True))


@functools.partial(jax.jit, static_argnames="with_responses", donate_argnames="state")
def track(
    params: Params,
    config: TrackerConfig,
    state: State,
    images: jax.Array,
    count: jax.Array | int,
    *,
    with_responses: bool = False,
) -> tuple[State, Output]:
    """``lax.scan`` of ``step`` over a chunk of frames; the given state's memory is reused.

    A video is tracked chunk by chunk, so that memory does not grow with its length. Every chunk has
    the same length, so that one executable serves them all; of the last one only ``count`` frames
    are tracked, and the outputs after them are zeros.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        state: after the previous frame; donated.
        images: RGB ``[T, H, W, 3]`` in [0, 255].
        count: how many of the T frames are real.
        with_responses: also return every layer's response maps.
    """
    one = functools.partial(step, params, config, with_responses=with_responses)
    _, empty = jax.eval_shape(one, state, images[0])

    def body(state: State, frame: tuple[jax.Array, jax.Array]) -> tuple[State, Output]:
        image, real = frame
        skip = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), empty)
        return jax.lax.cond(real, lambda: one(state, image), lambda: (state, skip))

    return jax.lax.scan(body, state, (images, jnp.arange(images.shape[0]) < count))


def box(state: State) -> jax.Array:
    """The target's box (x, y, w, h), ``[4]``, around its centre: half pixels occur."""
    return _box(state.position, state.target)


def _box(position: jax.Array, target: Target) -> jax.Array:
    size = jnp.asarray(target.size)
    corner = position - 0.5 * size
    return jnp.concatenate([corner[::-1], size[::-1]])


def input_size(params: Params, config: TrackerConfig) -> int:
    """Side of the network's input in pixels: as set, or that of the network's training."""
    return config.input_size or registry.get(config.backbone).input_size(params)


def response_names(config: TrackerConfig) -> list[str]:
    """What the response maps of ``Output`` come from, in their order: layers, deepest first."""
    return ["hypercolumn"] if config.hypercolumn else _deepest_first(config)


def response_weights(config: TrackerConfig) -> list[float]:
    """Eq. 5's gamma, in the order of ``response_names``; a hypercolumn has nothing to weigh."""
    return [1.0] if config.hypercolumn else _in_order(config, config.gamma)


def learning_rates(config: TrackerConfig) -> list[float]:
    """Eq. 6's eta of each filter, in the order of ``response_names``."""
    if isinstance(config.eta, tuple):
        return _in_order(config, config.eta)
    return [config.eta] * len(response_names(config))


def _in_order(config: TrackerConfig, values: tuple[float, ...]) -> list[float]:
    """Values given in the order of ``config.layers``, deepest layer first."""
    by_name = dict(zip(config.layers, values, strict=True))
    return [by_name[name] for name in _deepest_first(config)]


def _label(config: TrackerConfig, target: Target) -> jax.Array:
    """Y, the label's spectrum, ``[2, gh, gw // 2 + 1]``."""
    size, cell = jnp.asarray(target.size), jnp.asarray(target.cell)
    return target.transform.label(spectrum.deviation(size, config.sigma, cell))


def _deepest_first(config: TrackerConfig) -> list[str]:
    """The layers in the order of the search (Eq. 5), whatever order they were given in."""
    return sorted(config.layers, key=registry.get(config.backbone).layers.index, reverse=True)
