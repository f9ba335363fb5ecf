"""The tracker as pure functions of arrays: ``init``, ``step``, and ``track``, a scan of steps.

Read downwards: a frame is observed at the old position (``observe``), its responses tell the new
position (``detect``), and the filters learn from what is observed there (``learn``). Boxes and
positions are 0-based (``hcft_jax.util.boxes``).
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import filters, sampling, scale, search, spectrum
from hcft_jax.core.arrays import Array
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.filters import Filter, Kernel, Parts
from hcft_jax.core.sampling import LEAST_GRID, Geometry, Image, View
from hcft_jax.core.scale import Scale, Scales
from hcft_jax.core.target import Bucket, Target, fixed, place
from hcft_jax.util.errors import InputError

Spectra = tuple[Parts, ...]  # per filter, deepest layer first


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["position", "filters", "target", "scale"],
    meta_fields=[],
)
@dataclass(frozen=True)
class State:
    """What a track carries from frame to frame."""

    position: jax.Array  # [2] centre of the target (row, column) in pixels
    filters: tuple[Filter, ...]  # one per layer, deepest first; a single one for a hypercolumn
    target: Target  # the same in every frame
    scale: Scale | None = None  # the target's size; None: that of the first frame


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["box", "peak", "psr", "responses"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Output:
    """The result of one frame; ``track`` adds a leading axis of frames."""

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
    """Return the state after the first frame: filters trained on the given box.

    Args:
        params: the backbone's, ``{"conv1_1": {"kernel", "bias"}, ..., "normalization": ...}``.
        config: the tracker's constants.
        image: RGB ``[H, W, 3]`` in [0, 255], uint8 or float.
        box: (x, y, w, h), 0-based pixels; concrete numbers, since the window's size follows.
        bucket: sizes to pad to, so that targets share an executable; later images are then padded
            to ``bucket.image`` below and to the right. None: each size has its own executable.

    Raises:
        InputError: a constant out of range, parameters of another backbone, an image of another
            shape, or a box that is not four finite numbers, empty, outside the image, larger than
            it, or too thin to track.
        ValueError: the target does not fit into the bucket.
    """
    config.validate().network.require(params)
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
    """Return what a first box (x, y, w, h) in an image (H, W) fixes, and the target's position.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        box: (x, y, w, h), 0-based pixels.
        image: (H, W) in pixels.
        bucket: as for ``init``.

    Returns:
        The operators, in NumPy, and (row, column) of the target's centre, float32 ``[2]``.

    Raises:
        InputError, ValueError: as ``init``.
    """
    geometry, position = place(box, image, config.layout)
    _, _, w, h = np.asarray(box, np.float64)
    target = fixed(
        geometry,
        (h, w),
        config.input_shape(params),
        map_sizes(params, config),
        dft=config.dft,
        bucket=bucket,
        precision=config.precision,
        margin=config.layout.margin,
    )
    return target, position


def blank(params: Params, config: TrackerConfig, bucket: Bucket) -> Target:
    """Return a target of the bucket's shapes that nothing is tracked with."""
    layout = config.layout
    window = (layout.cell * LEAST_GRID,) * 2
    patch = window if layout.own else None
    least = Geometry(bucket.image, window, (LEAST_GRID,) * 2, patch=patch)
    return fixed(
        least,
        (1.0, 1.0),
        config.input_shape(params),
        map_sizes(params, config),
        bucket=bucket,
        precision=config.precision,
        margin=layout.margin,
    )


def map_sizes(params: Params, config: TrackerConfig) -> set[tuple[int, int]]:
    """Return the (height, width) of each of the network's maps; none where there is no network."""
    shape = config.input_shape(params)
    if shape is None:
        return set()
    patch = jax.ShapeDtypeStruct((*shape, 3), jnp.float32)
    maps = jax.eval_shape(features, params, config, patch)
    return {(m.shape[0], m.shape[1]) for m in maps.values()}


@jax.jit
def start(
    params: Params,
    config: TrackerConfig,
    target: Target,
    image: npt.ArrayLike | jax.Array,
    position: npt.ArrayLike | jax.Array,
) -> State:
    """Do ``init`` for what ``begin`` returned: all of it arrays, so it can be traced and batched.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        target: the operators.
        image: RGB ``[H, W, 3]``, of the size (``target.image``) that the operators are for.
        position: (row, column) of the target's centre.
    """
    image, position = jnp.asarray(image), jnp.asarray(position)
    size = measure_first(target, image, position)
    seen = observe(params, config, target, image, view(config, position, size))
    fixed = jax.tree.map(jnp.asarray, target)
    return State(position, train(config, target, seen), fixed, size)


@functools.partial(jax.jit, static_argnames="with_responses")
def step(
    params: Params,
    config: TrackerConfig,
    state: State,
    image: jax.Array,
    *,
    with_responses: bool = False,
) -> tuple[State, Output]:
    """Track one frame: detect at the old position (Eq. 4, 5), learn at the new one (Eq. 6).

    Args:
        params: the network's parameters.
        config: the tracker's constants; with the same layers as in ``init``.
        state: after the previous frame.
        image: RGB ``[H, W, 3]`` in [0, 255], of the first frame's size.
        with_responses: also return every layer's response map.

    Raises:
        InputError: the image has another size.
    """
    target = state.target
    if image.shape[:2] != target.image:
        raise InputError(f"image: {image.shape[:2]} px, but the first one had {target.image}")
    before = view(config, state.position, state.scale)
    z = observe(params, config, target, image, before)
    found = find(config, state, z, image, with_responses=with_responses)
    after = view(config, found.position, found.scale)
    # where the target stayed, the features at the new position are those at the old one
    x = jax.lax.cond(found.moved, lambda: observe(params, config, target, image, after), lambda: z)
    learned = learn(config, target, state.filters, x)
    return State(found.position, learned, target, found.scale), found.output


def view(config: TrackerConfig, position: jax.Array, size: Scale | None) -> View:
    """Return where the search window of a target lies, and how large it is.

    Args:
        config: the tracker's constants.
        position: (row, column) of the target's centre in pixels, ``[2]``.
        size: the target's.
    """
    if config.window == "first" or size is None:
        return View(position)
    return View(position, scale.factor(size.exponent, position.dtype))


def observe(
    params: Params, config: TrackerConfig, target: Target, image: Image, view: View
) -> Spectra:
    """Return the spectra of a search window (Eq. 1): patch, features, DFT.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        target: the operators.
        image: RGB ``[H, W, 3]`` in [0, 255], or one that is stored.
        view: where the window lies.
    """
    patch = sampling.patch(image, view, target.crop)
    return spectra(config, target, features(params, config, patch, target.crop.size))


@jax.jit
def features(
    params: Params, config: TrackerConfig, patch: jax.Array, size: Array | None = None
) -> dict[str, jax.Array]:
    """Return the configured layers' maps, float32, ``[..., fh, fw, D]`` each.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        patch: ``[..., height, width, 3]`` in [0, 255].
        size: int32 ``[..., 2]``, (height, width) of the patches without padding; None: they have
            none. A network's input never has.
    """
    return config.network.maps(params, patch, config.layers, config.precision, size)


def spectra(config: TrackerConfig, target: Target, maps: dict[str, jax.Array]) -> Spectra:
    """Return the spectra of a search window's features, per filter.

    Args:
        config: the tracker's constants.
        target: the operators.
        maps: by ``features``, ``[fh, fw, D]`` by layer.
    """
    parts = tuple(target.transform.observe(maps[name]) for name in config.deepest_first)
    return (parts,) if config.hypercolumn else tuple((part,) for part in parts)


def label(config: TrackerConfig, target: Target) -> jax.Array:
    """Return Y, the spectrum of the Gaussian label that filters are trained on.

    Its shape is ``[2, gh // 2 + 1, gw]``.
    """
    size, cell = jnp.asarray(target.size), jnp.asarray(target.cell)
    return target.transform.label(spectrum.deviation(size, config.sigma, cell))


def detect(
    config: TrackerConfig, state: State, z: Spectra, *, with_responses: bool = False
) -> tuple[jax.Array, Output]:
    """Return the new position ``[2]`` by Eq. 4 and 5, from the spectra at the old one.

    Args:
        config: the tracker's constants.
        state: after the previous frame.
        z: by ``observe`` at ``state.position``.
        with_responses: also return every layer's response map, in the ``Output``.

    Returns:
        The position, and an ``Output`` whose box has the old size: ``measure`` follows.
    """
    transform = state.target.transform
    y = label(config, state.target)
    responses = [
        filters.respond(f, parts, y, transform, config.lambda_, config.update, _kernel(config))
        for f, parts in zip(state.filters, z, strict=True)
    ]
    if config.normalized:
        responses = [search.normalized(response, transform.grid) for response in responses]
    radius = None if config.search == "sum" else config.radius
    total, peak = search.combine(responses, config.response_weights, radius, transform.grid)
    found = peak.astype(state.position.dtype)
    if config.search == "soft":
        found = search.expect(total, peak, config.temperature, transform.grid)
    still = jnp.asarray(transform.grid, jnp.int32) // 2  # the cell of no displacement
    cell = jnp.asarray(state.target.cell)
    factor = view(config, state.position, state.scale).factor
    if factor is not None:
        cell = factor * cell
    position = state.position + cell * (found - still.astype(found.dtype))
    output = Output(
        box=_box(position, state.target, state.scale),
        peak=total[peak[0], peak[1]],
        psr=search.peak_to_sidelobe(total, peak, transform.grid),
        responses=jnp.stack(responses) if with_responses else None,
    )
    return position, output


class Found(NamedTuple):
    """Where and how large the target is in a frame."""

    position: jax.Array  # [2] (row, column) of its centre in pixels
    scale: Scale | None  # its size; None: that of the first frame
    output: Output
    moved: jax.Array  # bool []: whether its search window is another one than before


def find(
    config: TrackerConfig,
    state: State,
    z: Spectra,
    image: Image | None,
    *,
    with_responses: bool = False,
) -> Found:
    """Return where the target is, and how large: ``detect`` and then ``measure``.

    Args:
        config: the tracker's constants.
        state: after the previous frame.
        z: by ``observe`` at ``state.position``.
        image: as for ``measure``.
        with_responses: as for ``detect``.
    """
    position, output = detect(config, state, z, with_responses=with_responses)
    size, output, moved = measure(config, state, output, image, position)
    return Found(position, size, output, moved)


def measure_first(
    target: Target, image: Image | npt.ArrayLike, position: jax.Array
) -> Scale | None:
    """Return the target's size in the first frame; None where it is not followed.

    Args:
        target: the operators.
        image: RGB ``[H, W, 3]`` in [0, 255], or one that is stored.
        position: (row, column) of the target's centre.
    """
    if target.scales is None:
        return None
    return _first_size(target.scales, image, target.crop.image, position)


@jax.jit
def _first_size(fixed: Scales, image: Any, extent: Array, position: jax.Array) -> Scale:
    return scale.start(fixed, sampling.grey(image, extent), extent, position)


def measure(
    config: TrackerConfig, state: State, output: Output, image: Image | None, position: jax.Array
) -> tuple[Scale | None, Output, jax.Array]:
    """Return the target's size where it was found, and what follows from it.

    Args:
        config: the tracker's constants.
        state: after the previous frame.
        output: by ``detect``.
        image: RGB ``[H, W, 3]`` in [0, 255], or one that is stored; not needed, and may be None,
            where the size is not followed.
        position: (row, column) of the target's centre, by ``detect``.

    Returns:
        The size, the output with a box of that size, and whether the search window has moved.
    """
    target, size = state.target, state.scale
    if size is not None and target.scales is not None:
        assert image is not None
        extent = jnp.asarray(target.crop.image)
        pixels = sampling.grey(image, extent)
        size = scale.follow(target.scales, size, pixels, extent, position, config.scale_eta)
        output = replace(output, box=_box(position, target, size))
    before, after = (view(config, *at) for at in ((state.position, state.scale), (position, size)))
    differ = jax.tree.map(lambda a, b: jnp.any(a != b), before, after)
    return size, output, functools.reduce(jnp.logical_or, jax.tree.leaves(differ))


def train(config: TrackerConfig, target: Target, x: Spectra) -> tuple[Filter, ...]:
    """Return the filters of one frame, from its spectra (Eq. 2, 3)."""
    y = label(config, target)
    return tuple(
        filters.train(parts, y, target.transform, config.lambda_, config.update, _kernel(config))
        for parts in x
    )


def _kernel(config: TrackerConfig) -> Kernel | None:
    if config.kernel == "linear":
        return None
    return Kernel(config.bandwidth, centred=config.kernel == "csk")


def average(
    old: tuple[Filter, ...], new: tuple[Filter, ...], rates: Iterable[jax.Array | float]
) -> tuple[Filter, ...]:
    """Return the running average of filters (Eq. 6).

    Args:
        old: the filters so far.
        new: those of a frame.
        rates: eta of each: 1 replaces the old one, 0 keeps it.
    """
    return tuple(filters.update(o, n, eta) for o, n, eta in zip(old, new, rates, strict=True))


def learn(
    config: TrackerConfig, target: Target, old: tuple[Filter, ...], x: Spectra
) -> tuple[Filter, ...]:
    """Return the filters after learning from spectra: trained on them and averaged (Eq. 3, 6).

    Args:
        config: the tracker's constants.
        target: the operators.
        old: the filters so far, deepest layer first.
        x: by ``observe`` at the new position.
    """
    return average(old, train(config, target, x), config.learning_rates)


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
    """Scan ``step`` over a chunk of frames; the given state's memory is reused.

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
    """Return the target's box (x, y, w, h), ``[4]``, around its centre: half pixels occur."""
    return _box(state.position, state.target, state.scale)


def _box(position: jax.Array, target: Target, followed: Scale | None) -> jax.Array:
    size = jnp.asarray(target.size)
    if followed is not None:
        size = size * scale.factor(followed.exponent, size.dtype)
    corner = position - 0.5 * size
    return jnp.concatenate([corner[::-1], size[::-1]])
