"""The tracker as pure functions of arrays: ``init``, ``step``, and ``track``, a scan of steps.

Read downwards: a frame is observed at the old position (``observe``), its responses tell the new
position (``find``), and the filters learn from what is observed there (``learn``). A target that is
lost is looked for in the whole image (``search_image``). Boxes and positions are 0-based
(``hcft_jax.util.boxes``).
"""

import functools
from collections.abc import Iterable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, filters, long_term, sampling, weighting
from hcft_jax.core.arrays import Array
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Found, Output, Spectra, State, find, label, measure_first, view
from hcft_jax.core.filters import Filter
from hcft_jax.core.sampling import LEAST_GRID, Geometry, Image, View
from hcft_jax.core.target import Bucket, Target, fixed, place
from hcft_jax.util import arguments
from hcft_jax.util.errors import InputError


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
    _, _, w, h = arguments.numbers("first box", box).astype(np.float64)
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
    size = measure_first(config, target, image, position)
    seen = observe(params, config, target, image, view(config, position, size))
    fixed = jax.tree.map(jnp.asarray, target)
    return begun(config, State(position, train(config, target, seen), fixed, size))


def begun(config: TrackerConfig, state: State) -> State:
    """Return the state of a first frame with all that the configuration carries beside filters.

    Args:
        config: the tracker's constants.
        state: with the filters of the first frame.
    """
    first = state.filters[0].scale
    return replace(
        state,
        memory=long_term.start(config, state.filters) if config.redetect else None,
        trust=(
            weighting.start(len(state.filters), first) if config.weighting == "adaptive" else None
        ),
    )


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
    if config.scale == "cnn":
        state, z = choose_size(params, config, state, image)
        before = view(config, state.position, state.scale)
    else:
        before = view(config, state.position, state.scale)
        z = observe(params, config, target, image, before)
    plain = sampling.plain(image, before, target.crop)
    found = find(config, state, z, image, plain, with_responses=with_responses)
    state = following(state, found)
    after = view(config, state.position, state.scale)
    # where the target stayed, the features at the new position are those at the old one
    x = jax.lax.cond(found.moved, lambda: observe(params, config, target, image, after), lambda: z)
    state, output = taught(config, state, x), found.output
    if found.memory is not None:
        state = jax.lax.cond(
            found.memory.lost,
            functools.partial(search_image, params, config, image=image),
            lambda state: state,
            state,
        )
        output = replace(output, box=detection.box(state))
    return state, output


def choose_size(
    params: Params, config: TrackerConfig, state: State, image: Image
) -> tuple[State, Spectra]:
    """Return the state with the size that suits best, and the spectra of its search window.

    Args:
        params: the network's parameters.
        config: the tracker's constants; with ``scale="cnn"``.
        state: after the previous frame.
        image: RGB ``[H, W, 3]`` in [0, 255], or one that is stored.
    """
    see = functools.partial(observe, params, config, state.target, image)
    z = jax.vmap(see)(detection.sizes(config, state))
    state, best = chosen(config, state, z)
    return state, jax.tree.map(lambda a: a[best], z)


def chosen(config: TrackerConfig, state: State, z: Spectra) -> tuple[State, jax.Array]:
    """Return the state with the size that suits best, and which of the sizes that is.

    Args:
        config: the tracker's constants; with ``scale="cnn"``.
        state: after the previous frame.
        z: spectra of the search windows of all sizes, with a leading axis.
    """
    every = jnp.arange(config.scales, dtype=jnp.int32)
    suits = functools.partial(detection.suits, config, state)
    best = jnp.argmax(jax.lax.map(lambda each: suits(*each), (z, every))).astype(jnp.int32)
    return detection.resized(config, state, best), best


def following(state: State, found: Found) -> State:
    """Return the state at the place where the target was found; it has learned nothing there."""
    return replace(
        state,
        position=found.position,
        scale=found.scale,
        memory=found.memory,
        trust=found.trust,
    )


def search_image(params: Params, config: TrackerConfig, state: State, image: Image) -> State:
    """Return the state after a lost target was looked for in the whole image.

    ``config.looks`` search windows are one batch of the network, and the place that the memory
    likes best is looked at once more.

    Args:
        params: the network's parameters.
        config: the tracker's constants; with ``redetect``.
        state: of a track that is lost.
        image: RGB ``[H, W, 3]`` in [0, 255], or one that is stored.
    """
    seen = detection.looks(config, state, config.looks)
    see = functools.partial(observe, params, config, state.target, image)
    state = considered(config, state, jax.vmap(see)(seen), seen)
    return detection.accept(config, state, see(detection.candidate(config, state)))


def considered(config: TrackerConfig, state: State, z: Spectra, seen: View) -> State:
    """Return the state after several search windows have been considered.

    Args:
        config: the tracker's constants; with ``redetect``.
        state: of a track that is lost.
        z: spectra of the windows, with a leading axis.
        seen: where they lie, with that axis.
    """

    def one(state: State, window: tuple[Spectra, View]) -> tuple[State, None]:
        return replace(state, memory=detection.consider(config, state, *window)), None

    return jax.lax.scan(one, state, (z, seen))[0]


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


def train(config: TrackerConfig, target: Target, x: Spectra) -> tuple[Filter, ...]:
    """Return the filters of one frame, from its spectra (Eq. 2, 3)."""
    y = label(config, target)
    return tuple(
        filters.train(
            parts, y, target.transform, config.lambda_, config.update, detection.kernel(config)
        )
        for parts in x
    )


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


def taught(
    config: TrackerConfig,
    state: State,
    x: Spectra,
    *,
    learns: jax.Array | bool = True,
    first: jax.Array | bool = False,
) -> State:
    """Return the state after its filters, and what is remembered, have learned from spectra.

    Args:
        config: the tracker's constants.
        state: after ``find``, with the filters so far.
        x: by ``observe`` at the new position.
        learns: bool [], whether it does; else it stays as it is.
        first: bool [], whether this is the first frame, whose filters replace those there are.
    """
    new = train(config, state.target, x)
    old = state.memory
    if old is not None:
        learns &= long_term.certain(config, old) | first
    rates = _rates(config.learning_rates, learns, first)
    state = replace(state, filters=average(state.filters, new, rates))
    if old is None:
        return state
    rate = _rates((config.memory_eta,), learns & (long_term.trusted(config, old) | first), first)
    kept = average(old.filters, new[: len(old.filters)], rate * len(old.filters))
    return replace(state, memory=old._replace(filters=kept))


def _rates(
    eta: Iterable[jax.Array | float], learns: jax.Array | bool, first: jax.Array | bool
) -> list[jax.Array | float]:
    """Return learning rates: 1 takes the first frame's filters, and 0 keeps what there is."""
    if learns is True and first is False:
        return list(eta)
    return [jnp.where(learns, jnp.where(first, 1.0, rate), 0.0) for rate in eta]


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
