"""The tracker as pure functions of arrays: ``init``, ``step``, and ``track``, a scan of steps.

Read downwards: a frame becomes spectra at the old position, responses, a displacement, spectra at
the new position, new filters. Boxes and positions are 0-based (``hcft_jax.boxes``).
"""

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax import filters, sampling, search
from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.config import TrackerConfig
from hcft_jax.errors import InputError
from hcft_jax.filters import Filter
from hcft_jax.sampling import CELL, Geometry
from hcft_jax.spectrum import label, spectrum, split


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["position", "target", "filters"],
    meta_fields=["geometry"],
)
@dataclass(frozen=True)
class State:
    """What a track carries from frame to frame."""

    position: jax.Array  # [2] centre of the target (row, column) in pixels
    target: jax.Array  # [2] its size (h, w) in pixels
    filters: tuple[Filter, ...]  # one a layer, deepest first; one in all for a hypercolumn
    geometry: Geometry  # static sizes


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
    params: Params, config: TrackerConfig, image: npt.ArrayLike | jax.Array, box: npt.ArrayLike
) -> State:
    """The state after the first frame: filters trained on the given box.

    Args:
        params: the backbone's, ``{"conv1_1": {"kernel", "bias"}, ..., "normalization": ...}``.
        config: the tracker's constants.
        image: RGB ``[H, W, 3]`` in [0, 255], uint8 or float.
        box: (x, y, w, h), 0-based pixels; concrete numbers, since the window's size follows.

    Raises:
        InputError: a constant out of range, parameters of another backbone, an image of another
            shape, or a box that is not four finite numbers, empty, outside the image, larger than
            it, or too thin to track.
    """
    config.validate()
    registry.get(config.backbone).require(params)
    image = jnp.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"image: shape {image.shape} is not [height, width, 3]")
    size = (image.shape[0], image.shape[1])
    x, y, w, h = checked_box(box, size)
    try:
        geometry = sampling.geometry((h, w), size)
    except ValueError as error:
        raise InputError(f"first box: {w:g} x {h:g} px is too thin to track: {error}") from None
    # the centre as the authors' program has it: half sizes are rounded down
    position = jnp.array([y + h // 2, x + w // 2], jnp.float32)
    return _init(params, config, geometry, image, position, jnp.array([h, w], jnp.float32))


def checked_box(box: npt.ArrayLike, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The first box (x, y, w, h) as floats, if it can be a target in an image (height, width).

    Raises:
        InputError: what is wrong with it, the box and the image's size.
    """
    values = np.asarray(box, np.float64)
    if values.shape != (4,) or not np.isfinite(values).all():
        raise InputError(f"first box: {np.array2string(values)} is not four finite numbers")
    x, y, w, h = (float(v) for v in values)
    height, width = size
    shown = f"first box: {w:g} x {h:g} px at ({x:g}, {y:g})"
    if w <= 0 or h <= 0:
        raise InputError(f"{shown} is empty: width and height must be above zero")
    if x + w <= 0 or y + h <= 0 or x >= width or y >= height:
        raise InputError(f"{shown} lies outside the image of {width} x {height} px")
    if w > width or h > height:
        raise InputError(f"{shown} is larger than the image of {width} x {height} px")
    return x, y, w, h


@functools.partial(jax.jit, static_argnames="geometry")
def _init(
    params: Params,
    config: TrackerConfig,
    geometry: Geometry,
    image: jax.Array,
    position: jax.Array,
    target: jax.Array,
) -> State:
    spectra = _spectra(params, config, geometry, image, position)
    trained = _train(config, geometry, target, spectra)
    return State(position, target, trained, geometry)


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
    geometry, grid = state.geometry, state.geometry.grid
    if image.shape[:2] != geometry.image:
        raise InputError(f"image: {image.shape[:2]} px, but the first one had {geometry.image}")
    y = _label(config, geometry, state.target)
    z = _spectra(params, config, geometry, image, state.position)
    responses = [
        filters.respond(f, spectra, y, grid, config.lambda_, config.update)
        for f, spectra in zip(state.filters, z, strict=True)
    ]
    radius = config.radius if config.search == "paper" else None
    total, peak = search.combine(responses, response_weights(config), radius)
    moved = peak - np.array([grid[0] // 2, grid[1] // 2], np.int32)
    position = state.position + CELL * moved.astype(jnp.float32)

    # where the target stayed, the features at the new position are those at the old one
    x = jax.lax.cond(
        jnp.any(moved != 0),
        lambda: _spectra(params, config, geometry, image, position),
        lambda: z,
    )
    new = _train(config, geometry, state.target, x)
    learned = tuple(
        filters.update(f, n, config.eta) for f, n in zip(state.filters, new, strict=True)
    )
    state = State(position, state.target, learned, geometry)
    output = Output(
        box=box(state),
        peak=total[peak[0], peak[1]],
        psr=search.peak_to_sidelobe(total, peak),
        responses=jnp.stack(responses) if with_responses else None,
    )
    return state, output


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
    corner = state.position - 0.5 * state.target
    return jnp.concatenate([corner[::-1], state.target[::-1]])


def input_size(params: Params, config: TrackerConfig) -> int:
    """Side of the network's input in pixels: as set, or that of the network's training."""
    return config.input_size or registry.get(config.backbone).input_size(params)


def response_names(config: TrackerConfig) -> list[str]:
    """What the response maps of ``Output`` come from, in their order: layers, deepest first."""
    return ["hypercolumn"] if config.hypercolumn else _deepest_first(config)


def response_weights(config: TrackerConfig) -> list[float]:
    """Eq. 5's gamma, in the order of ``response_names``; a hypercolumn has nothing to weigh."""
    weights = dict(zip(config.layers, config.gamma, strict=True))
    return [1.0] if config.hypercolumn else [weights[name] for name in _deepest_first(config)]


def _spectra(
    params: Params, config: TrackerConfig, geometry: Geometry, image: jax.Array, position: jax.Array
) -> tuple[jax.Array, ...]:
    """Spectra ``[2, gh, gw // 2 + 1, D]`` of the search window's features, a filter each."""
    side = input_size(params, config)
    patch = sampling.patch(image, position, geometry.window, (side, side))
    maps = registry.get(config.backbone).features(params, patch, config.layers)
    spectra = tuple(
        spectrum(maps[name], geometry.grid, config.dft) for name in _deepest_first(config)
    )
    return (jnp.concatenate(spectra, axis=-1),) if config.hypercolumn else spectra


def _train(
    config: TrackerConfig, geometry: Geometry, target: jax.Array, spectra: tuple[jax.Array, ...]
) -> tuple[Filter, ...]:
    y = _label(config, geometry, target)
    return tuple(filters.train(x, y, geometry.grid, config.lambda_, config.update) for x in spectra)


def _label(config: TrackerConfig, geometry: Geometry, target: jax.Array) -> jax.Array:
    """Y, the label's spectrum, ``[2, gh, gw // 2 + 1]``."""
    return split(jnp.fft.rfft2(label(geometry.grid, target, config.sigma, CELL)))


def _deepest_first(config: TrackerConfig) -> list[str]:
    """The layers in the order of the search (Eq. 5), whatever order they were given in."""
    return sorted(config.layers, key=registry.get(config.backbone).layers.index, reverse=True)
