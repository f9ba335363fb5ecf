"""Where the target is in a frame, and how large: from the spectra of its search window to a box.

``find`` is the whole of it: ``detect`` the position (Eq. 4, 5), ask the memory whether to believe
it, and ``measure`` the size. Boxes and positions are 0-based (``hcft_jax.util.boxes``).
"""

import functools
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy.typing as npt

from hcft_jax.core import filters, long_term, sampling, scale, search, spectrum, verdict, weighting
from hcft_jax.core.arrays import Array
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.filters import Filter, Kernel, Parts
from hcft_jax.core.long_term import LongTermMemory
from hcft_jax.core.sampling import Image, View
from hcft_jax.core.scale import Scale, Scales
from hcft_jax.core.target import Target
from hcft_jax.core.weighting import Trust

RELUCTANCE = 0.985  # share of a response that counts, per 2 % of a change of the size
Spectra = tuple[Parts, ...]  # per filter, deepest layer first


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["position", "filters", "target", "scale", "memory", "trust"],
    meta_fields=[],
)
@dataclass(frozen=True)
class State:
    """What a track carries from frame to frame."""

    position: jax.Array  # [2] centre of the target (row, column) in pixels
    filters: tuple[Filter, ...]  # one per layer, deepest first; a single one for a hypercolumn
    target: Target  # the same in every frame
    scale: Scale | None = None  # the target's size; None: that of the first frame
    memory: LongTermMemory | None = None  # what says when it is lost; None: nothing is remembered
    trust: Trust | None = None  # in the layers; None: their weights stay


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["box", "peak", "psr", "lost", "responses"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Output:
    """The result of one frame; ``track`` adds a leading axis of frames."""

    box: jax.Array  # [4] x, y, w, h in pixels
    peak: jax.Array  # [] the combined response where the target was found
    psr: jax.Array  # [] its peak-to-sidelobe ratio
    lost: jax.Array  # bool [] whether the target counts as lost
    responses: jax.Array | None  # [L, gh, gw] when asked, deepest layer first, not weighted


def view(config: TrackerConfig, position: jax.Array, size: Scale | None) -> View:
    """Return where the search window of a target lies, and how large it is.

    Args:
        config: the tracker's constants.
        position: (row, column) of the target's centre in pixels, ``[2]``.
        size: the target's.
    """
    if size is None or (config.window == "first" and config.scale != "cnn"):
        return View(position)
    return View(position, scale.factor(size.exponent, position.dtype))


def kernel(config: TrackerConfig) -> Kernel | None:
    """Return the kernel of the correlation; None: linear."""
    if config.kernel == "linear":
        return None
    return Kernel(config.bandwidth, centred=config.kernel == "csk")


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
    position, output, _ = _detected(config, state, z, with_responses)
    return position, output


def _detected(
    config: TrackerConfig, state: State, z: Spectra, with_responses: bool
) -> tuple[jax.Array, Output, tuple[jax.Array, list[jax.Array]]]:
    """Return what ``detect`` does, and (row, column) of the peak with the layers' responses.

    These are as the filters give them, not normalized.
    """
    transform = state.target.transform
    y = label(config, state.target)
    responses = [
        filters.respond(f, parts, y, transform, config.lambda_, config.update, kernel(config))
        for f, parts in zip(state.filters, z, strict=True)
    ]
    raw = responses
    if config.normalized:
        responses = [search.normalized(response, transform.grid) for response in responses]
    radius = None if config.search == "sum" else config.radius
    gamma: Any = config.response_weights
    if state.trust is not None:
        gamma = weighting.weights(gamma, state.trust)
    total, peak = search.combine(responses, gamma, radius, transform.grid)
    found = peak.astype(state.position.dtype)
    if config.search == "soft":
        found = search.expect(total, peak, config.temperature, transform.grid)
    still = jnp.asarray(transform.grid, jnp.int32) // 2  # the cell of no displacement
    cell = jnp.asarray(state.target.cell)
    factor = view(config, state.position, state.scale).factor
    if factor is not None:
        cell = factor * cell
    position = state.position + cell * (found - still.astype(found.dtype))
    psr = search.peak_to_sidelobe(total, peak, transform.grid)
    output = Output(
        box=_box(position, state.target, state.scale),
        peak=total[peak[0], peak[1]],
        psr=psr,
        lost=verdict.is_lost(config, psr, transform.grid),
        responses=jnp.stack(responses) if with_responses else None,
    )
    return position, output, (peak, raw)


class Found(NamedTuple):
    """Where and how large the target is in a frame."""

    position: jax.Array  # [2] (row, column) of its centre in pixels
    scale: Scale | None  # its size; None: that of the first frame
    memory: LongTermMemory | None  # after it has judged the position; None: nothing is remembered
    trust: Trust | None  # in the layers; None: their weights stay
    output: Output
    moved: jax.Array  # bool []: whether its search window is another one than before


def find(
    config: TrackerConfig,
    state: State,
    z: Spectra,
    image: Image | None,
    plain: jax.Array,
    *,
    with_responses: bool = False,
) -> Found:
    """Return where the target is, and how large: ``detect``, judge, and ``measure``.

    Args:
        config: the tracker's constants.
        state: after the previous frame.
        z: by ``observe`` at ``state.position``.
        image: as for ``measure``.
        plain: bool [], whether the search window is of one colour (``sampling.plain``): then
            there is no target in it, whatever the filters have learned.
        with_responses: as for ``detect``.
    """
    position, output, (peak, responses) = _detected(config, state, z, with_responses)
    output = replace(output, lost=output.lost | plain, psr=jnp.where(plain, 0.0, output.psr))
    judged, sure = None, ~plain
    if state.memory is not None:
        value = long_term.at(recall(config, state, z), peak, state.target.transform.grid)
        judged = long_term.judge(config, state.memory, jnp.where(plain, 0.0, value))
        output = replace(output, lost=judged.lost | plain)
        sure = long_term.certain(config, judged)
    trust = state.trust
    if trust is not None:
        after = weighting.follow(trust, responses, peak, state.target.transform.grid)
        trust = jax.tree.map(lambda new, old: jnp.where(sure, new, old), after, trust)
    size, output, moved = measure(config, state, output, image, position, sure)
    return Found(position, size, judged, trust, output, moved)


def recall(config: TrackerConfig, state: State, z: Spectra) -> jax.Array:
    """Return the memory's response to a search window, ``[gh, gw]``, or larger, padded.

    Args:
        config: the tracker's constants.
        state: of a track that has a memory.
        z: spectra of the window.
    """
    assert state.memory is not None
    y = label(config, state.target)
    return long_term.respond(config, state.memory, state.target, z, y, kernel(config))


def looks(config: TrackerConfig, state: State, count: int) -> View:
    """Return the next search windows over the whole image, of a target that is lost.

    Args:
        config: the tracker's constants.
        state: of a track that has a memory.
        count: how many.

    Returns:
        So many views, of the present size.
    """
    assert state.memory is not None
    here = view(config, state.position, state.scale)
    factor = 1.0 if here.factor is None else here.factor
    places = long_term.windows(state.target, factor, state.memory.looked, count)
    if here.factor is None:
        return View(places)
    return View(places, jnp.broadcast_to(here.factor, places.shape[:1]))


def consider(config: TrackerConfig, state: State, z: Spectra, seen: View) -> LongTermMemory:
    """Return the memory after one more search window has been looked at.

    Args:
        config: the tracker's constants.
        state: of a track that has a memory.
        z: spectra of the window.
        seen: where it lies.
    """
    assert state.memory is not None
    factor = 1.0 if seen.factor is None else seen.factor
    response = recall(config, state, z)
    return long_term.consider(state.memory, state.target, factor, response, seen.position)


def candidate(config: TrackerConfig, state: State) -> View:
    """Return the search window around the best place that was considered."""
    assert state.memory is not None
    return view(config, state.memory.candidate[1:], state.scale)


def accept(config: TrackerConfig, state: State, z: Spectra) -> State:
    """Return the state after the best place that was considered is taken, or not.

    Args:
        config: the tracker's constants.
        state: of a track that has a memory.
        z: spectra of the search window around that place.
    """
    assert state.memory is not None
    taken = long_term.accepts(config, state.memory, state.target, recall(config, state, z))
    return replace(state, position=jnp.where(taken, state.memory.candidate[1:], state.position))


def sizes(config: TrackerConfig, state: State) -> View:
    """Return the search windows of ``scale="cnn"``: at the old position, of several sizes.

    Args:
        config: the tracker's constants.
        state: after the previous frame.
    """
    every = jnp.arange(config.scales, dtype=jnp.int32)
    return jax.vmap(lambda k: _own(config, resized(config, state, k)))(every)


def _own(config: TrackerConfig, state: State) -> View:
    return view(config, state.position, state.scale)


def resized(config: TrackerConfig, state: State, number: jax.Array) -> State:
    """Return the state with another size.

    Args:
        config: the tracker's constants; with ``scale="cnn"``.
        state: of a track.
        number: int32 [], which of ``sizes``.
    """
    assert state.scale is not None
    crop, size = state.target.crop, jnp.asarray(state.target.size)
    window, image = (jnp.asarray(a).astype(size.dtype) for a in (crop.window, crop.image))
    least, most = scale.limits(tuple(size), tuple(window), tuple(image))
    exponent = state.scale.exponent + number - config.scales // 2
    return replace(state, scale=state.scale._replace(exponent=jnp.clip(exponent, least, most)))


def suits(config: TrackerConfig, state: State, z: Spectra, number: jax.Array) -> jax.Array:
    """Return how well a size suits, []: the weighted response at the peak, less for a change.

    A target that is lost keeps its size.

    Args:
        config: the tracker's constants; with ``scale="cnn"``.
        state: after the previous frame.
        z: spectra of the search window of that size.
        number: int32 [], which of ``sizes``.
    """
    _, _, (peak, responses) = _detected(config, resized(config, state, number), z, False)
    gamma: Any = config.response_weights
    if state.trust is not None:
        gamma = weighting.weights(gamma, state.trust)
    total = sum(weight * r[peak[0], peak[1]] for weight, r in zip(gamma, responses, strict=True))
    away = jnp.abs(number - config.scales // 2)
    value = jnp.asarray(total) * RELUCTANCE ** away.astype(responses[0].dtype)
    if state.memory is None:
        return value
    return jnp.where(state.memory.lost & (away > 0), -jnp.inf, value)


def measure_first(
    config: TrackerConfig, target: Target, image: Image | npt.ArrayLike, position: jax.Array
) -> Scale | None:
    """Return the target's size in the first frame; None where it is not followed.

    Args:
        config: the tracker's constants.
        target: the operators.
        image: RGB ``[H, W, 3]`` in [0, 255], or one that is stored.
        position: (row, column) of the target's centre.
    """
    if config.scale == "cnn":
        return Scale(jnp.zeros((), jnp.int32))
    if target.scales is None:
        return None
    return _first_size(target.scales, image, target.crop.image, position)


@jax.jit
def _first_size(fixed: Scales, image: Any, extent: Array, position: jax.Array) -> Scale:
    return scale.start(fixed, sampling.grey(image, extent), extent, position)


def measure(
    config: TrackerConfig,
    state: State,
    output: Output,
    image: Image | None,
    position: jax.Array,
    sure: jax.Array,
) -> tuple[Scale | None, Output, jax.Array]:
    """Return the target's size where it was found, and what follows from it.

    Args:
        config: the tracker's constants.
        state: after the previous frame.
        output: by ``detect``.
        image: RGB ``[H, W, 3]`` in [0, 255], or one that is stored; not needed, and may be None,
            where the size is not followed.
        position: (row, column) of the target's centre, by ``detect``.
        sure: bool [], whether it is there; else the size stays.

    Returns:
        The size, the output with a box of that size, and whether the search window has moved.
    """
    target, size = state.target, state.scale
    if size is not None and target.scales is not None:
        assert image is not None
        extent = jnp.asarray(target.crop.image)
        pixels = sampling.grey(image, extent)
        new = scale.follow(target.scales, size, pixels, extent, position, config.scale_eta)
        size = jax.tree.map(lambda a, b: jnp.where(sure, a, b), new, size)
        output = replace(output, box=_box(position, target, size))
    before, after = (view(config, *at) for at in ((state.position, state.scale), (position, size)))
    differ = jax.tree.map(lambda a, b: jnp.any(a != b), before, after)
    return size, output, functools.reduce(jnp.logical_or, jax.tree.leaves(differ))


def box(state: State) -> jax.Array:
    """Return the target's box (x, y, w, h), ``[4]``, around its centre: half pixels occur."""
    return _box(state.position, state.target, state.scale)


def _box(position: jax.Array, target: Target, followed: Scale | None) -> jax.Array:
    size = jnp.asarray(target.size)
    if followed is not None:
        size = size * scale.factor(followed.exponent, size.dtype)
    corner = position - 0.5 * size
    return jnp.concatenate([corner[::-1], size[::-1]])
