"""Many sequences at once, on the device: lanes of a padded executable, each at its own pace.

A lane is one track. The network sees the patch that each lane needs next: to detect its target in
its next frame, where the target moved, to learn from the same frame at the new position, or, where
it is lost, one of the search windows over the image. A target that stayed needs no second patch
(its features are known), so its lane goes on to the next frame: no pass of the network is wasted,
and lanes do not wait for each other. The boxes are those of ``tracker.step``.

On accelerators the lanes are a batch. On a CPU, where a batch of patches takes as long as one after
the other and the maps of one patch fit into the caches, they take turns.

Frames lie in a store on the device (``hcft_jax.run.feed``), a few ahead of each lane. ``advance``
runs a fixed number of passes over them; meanwhile the host (``hcft_jax.run.batch``) decodes and
sends more, and gives a lane whose sequence has ended the next one (``begin``). Everything that
depends on a target's size is data (``hcft_jax.core.target``), so the targets of a bucket need these
two executables only.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Found, Output, State
from hcft_jax.core.sampling import Stored, View
from hcft_jax.core.target import Target
from hcft_jax.core.weighting import Trust


class Lane(NamedTuple):
    """A track under way; ``Lanes`` are the same with a leading axis of L lanes in every array."""

    state: State
    frame: jax.Array  # int32 []: how many frames are done
    phase: jax.Array  # int32 []: what the next patch of the current frame is for
    output: Output  # of the last frame whose target was sought
    suits: jax.Array  # [2]: how well the best size suits so far, and which it is


Lanes = Lane
# Phases. Below DETECT: to choose a size. LOOK and more: to look for a target that is lost.
DETECT, LEARN, LOOK = range(3)


class Pass(NamedTuple):
    """The result of a lane's patch in one pass; ``advance`` adds two leading axes."""

    detected: jax.Array  # bool []: the rest is meaningless where it is False
    frame: jax.Array  # int32 []
    box: jax.Array  # [4] x, y, w, h in pixels
    peak: jax.Array  # []
    psr: jax.Array  # []
    lost: jax.Array  # bool []


def empty(params: Params, config: TrackerConfig, target: Target, lanes: int) -> Lanes:
    """Return lanes without a track, on the host.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        target: any target that is padded to the bucket.
        lanes: number of lanes.
    """
    image = jax.ShapeDtypeStruct((*target.image, 3), np.uint8)
    position = jax.ShapeDtypeStruct((2,), np.float32)
    state = jax.eval_shape(tracker.start, params, config, target, image, position)
    first = jax.ShapeDtypeStruct(image.shape, image.dtype)
    _, output = jax.eval_shape(tracker.step, params, config, state, first)
    number = jax.ShapeDtypeStruct((), np.int32)
    suits = jax.ShapeDtypeStruct((2,), np.float32)
    shapes: Any = Lane(state, number, number, output, suits)  # type: ignore[arg-type]
    return cast(Lanes, jax.tree.map(lambda a: np.zeros((lanes, *a.shape), a.dtype), shapes))


class Programs(NamedTuple):
    """``begin`` and ``advance``, compiled for some devices."""

    begin: Callable[..., Lanes]
    advance: Callable[..., tuple[Lanes, Pass, jax.Array]]


@functools.cache
def programs(mesh: jax.sharding.Mesh, passes: int, *, batched: bool) -> Programs:
    """Return the two functions over a mesh of one axis, ``lanes``, which splits the lanes evenly.

    ``batched`` says whether the lanes of a device are one batch, or take turns.

    ``begin(lanes, starting, target, position)`` starts a track; ``lanes`` is donated. starting:
    int32 ``[1]`` per device, the lane (on its device) of the track, or one that does not exist;
    target, position: of that track.

    ``advance(params, config, lanes, store, available, slots)`` runs the network ``passes`` times
    for each of L lanes; ``lanes`` is donated. store: frames, by ``hcft_jax.run.feed``. available:
    int32 ``[L]``, how many frames of each lane's sequence are in it. slots: int32 ``[L, C]``, where
    (on the lane's device) frame t of each lane lies, at t modulo C. Returns the lanes, the results
    of each pass (``Pass`` with a leading axis of passes), and how many frames of each lane are
    done, ``[L]``.
    """
    split, same = P("lanes"), P()
    begin = jax.shard_map(
        _begin, mesh=mesh, in_specs=(split, split, same, same), out_specs=split, check_vma=False
    )
    advance = jax.shard_map(
        functools.partial(_advance, passes, batched),
        mesh=mesh,
        in_specs=(same, same, split, split, split, split),
        out_specs=(split, P(None, "lanes"), split),
        check_vma=False,
    )
    return Programs(jax.jit(begin, donate_argnums=0), jax.jit(advance, donate_argnums=2))


def _begin(lanes: Lanes, starting: jax.Array, target: Target, position: jax.Array) -> Lanes:
    new = starting[0]

    def put(all_: jax.Array, one: Any) -> jax.Array:
        return all_.at[new].set(one, mode="drop")

    def nothing(tree: Any) -> Any:
        # of a track before nothing may be left: not a number stays that at any learning rate
        return jax.tree.map(lambda all_: put(all_, jnp.zeros((), all_.dtype)), tree)

    state, frame, phase, output, suits = lanes
    trust = state.trust
    return Lane(
        state=State(
            position=put(state.position, position),
            filters=nothing(state.filters),
            target=jax.tree.map(put, state.target, target),
            scale=nothing(state.scale),
            memory=nothing(state.memory),
            trust=trust and Trust(put(trust.quality, 1.0), put(trust.sharpness, 0.0)),
        ),
        frame=put(frame, 0),
        phase=put(phase, LEARN),
        output=output,
        suits=suits,
    )


def _advance(
    passes: int,
    batched: bool,
    params: Params,
    config: TrackerConfig,
    lanes: Lanes,
    store: jax.Array,
    available: jax.Array,
    slots: jax.Array,
) -> tuple[Lanes, Pass, jax.Array]:
    store = store.reshape(store.shape[0], -1)

    def turn(lane: Lane, available: jax.Array, slots: jax.Array) -> tuple[Lane, Pass]:
        size = lane.state.target.image
        image = Stored(store, slots[lane.frame % slots.shape[0]], size)
        return _pass(params, config, lane, image, lane.frame < available, batched=batched)

    # a batch is idle when all of its lanes are
    every = _unless_idle(over(turn, True)) if batched else over(_unless_idle(turn), False)

    lanes, seen = jax.lax.scan(
        lambda lane, _: every(lane, available, slots), lanes, None, length=passes
    )
    return lanes, seen, jnp.copy(lanes.frame)


def batches(device: jax.Device) -> bool:
    """Return whether a batch of lanes is faster than one after the other."""
    return device.platform != "cpu"


def over(function: Callable[..., Any], batched: bool | None = None) -> Callable[..., Any]:
    """Apply a function of one lane to many: as a batch, or in turns. None: as ``batches`` says."""
    if batches(jax.devices()[0]) if batched is None else batched:
        return jax.vmap(function)
    return lambda *lanes: jax.lax.map(lambda lane: function(*lane), lanes)


def _unless_idle(turn: Callable[..., tuple[Lane, Pass]]) -> Callable[..., tuple[Lane, Pass]]:
    """Take the turn of a lane, or of a batch, only if there is a frame for any."""

    def maybe(lane: Lane, available: jax.Array, slots: jax.Array) -> tuple[Lane, Pass]:
        _, nothing = _zeros(turn, lane, available, slots)
        return jax.lax.cond(
            jnp.any(lane.frame < available),
            lambda: turn(lane, available, slots),
            lambda: (lane, nothing),
        )

    return maybe


def _zeros(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return zeros of the shapes of what a function returns."""
    shapes = jax.eval_shape(function, *arguments)
    return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)


def _pass(
    params: Params,
    config: TrackerConfig,
    lane: Lane,
    image: Stored,
    active: jax.Array,
    *,
    batched: bool,
) -> tuple[Lane, Pass]:
    """Use one patch of a lane's current frame; a lane that is not active stays as it is.

    In a batch, lanes that only detect, or only learn, do the other as well and drop it.
    """
    state, frame, phase, _, suits = lane
    target, first = state.target, lane.frame == 0
    due = functools.partial(_due, batched)
    view = _wanted(config, lane)
    x = tracker.observe(params, config, target, image, view)
    if config.scale == "cnn":
        state, suits = _sized(config, lane, x, active & (phase < DETECT), due)

    def find() -> Found:
        plain = sampling.plain(image, view, target.crop)
        return detection.find(config, state, x, None if target.scales is None else image, plain)

    found = due(phase == DETECT, find, lambda: _zeros(find))
    detected = active & (phase == DETECT)
    state = _chosen(detected, tracker.following(state, found), state)
    if state.scale is not None and target.scales is not None:
        begins = active & (phase == LEARN) & first
        begun = functools.partial(detection.measure_first, config, target, image, state.position)
        own = state.scale
        size = due(begins, begun, lambda: own)
        state = replace(state, scale=_chosen(begins, size, own))
    moved = detected & found.moved
    learns = active & (phase >= DETECT) & (phase <= LEARN) & ~moved
    taught = functools.partial(tracker.taught, config, state, x, learns=learns, first=first)
    # of a batch all lanes do this: a rate of zero keeps what there is
    state = due(learns, taught, lambda: state)
    seen = _chosen(detected, found.output, lane.output)
    start = -config.scales if config.scale == "cnn" else DETECT
    following = jnp.where(phase < DETECT, phase + 1, jnp.where(moved, LEARN, start))
    done, told = learns, detected
    if state.memory is not None:
        lost = active & state.memory.lost
        looked = phase - LOOK + 1
        considered = functools.partial(detection.consider, config, state, x, view)
        memory = due(phase >= LOOK, considered, lambda: state.memory)
        looking = active & (phase >= LOOK) & (looked <= config.looks)
        state = replace(state, memory=_chosen(looking, memory, state.memory))
        verifies = active & (looked > config.looks)
        accepted = functools.partial(detection.accept, config, state, x)
        state = _chosen(verifies, due(verifies, accepted, lambda: state), state)
        seen = replace(seen, box=jnp.where(verifies, detection.box(state), seen.box))
        searches = lost & ~verifies & (phase >= DETECT)
        following = jnp.where(searches, jnp.maximum(phase, LEARN) + 1, following)
        done, told = (learns & ~lost) | verifies, (detected & ~lost) | verifies
    changed = Lane(
        state,
        frame=frame + done.astype(jnp.int32),
        phase=jnp.where(active, following, phase),
        output=seen,
        suits=suits,
    )
    return changed, Pass(told, frame, seen.box, seen.peak, seen.psr, seen.lost)


def _wanted(config: TrackerConfig, lane: Lane) -> View:
    """Return the search window that a lane needs next."""
    state = lane.state
    own = detection.view(config, state.position, state.scale)
    if config.scale == "cnn":
        number = jnp.clip(lane.phase + config.scales, 0, config.scales - 1)
        size = jax.tree.map(lambda a: a[number], detection.sizes(config, state))
        own = jax.tree.map(lambda a, b: jnp.where(lane.phase < DETECT, a, b), size, own)
    if state.memory is None:
        return own
    coming = jax.tree.map(lambda a: a[0], detection.looks(config, state, 1))
    best = detection.candidate(config, state)
    verifies = lane.phase >= LOOK + config.looks
    which = jnp.clip(lane.phase - LEARN, 0, 1) + verifies.astype(jnp.int32)
    return jax.tree.map(lambda *each: jax.lax.select_n(which, *each), own, coming, best)


def _sized(
    config: TrackerConfig,
    lane: Lane,
    x: tracker.Spectra,
    sizing: jax.Array,
    due: Callable[..., Any],
) -> tuple[State, jax.Array]:
    """Return a lane's state, and how well the best size suits, after one more of the sizes."""
    number = jnp.clip(lane.phase + config.scales, 0, config.scales - 1)
    suits = functools.partial(detection.suits, config, lane.state, x, number)
    value = due(sizing, suits, lambda: jnp.zeros((), lane.suits.dtype))
    new = jnp.stack([value, number.astype(value.dtype)])
    best = jnp.where((number == 0) | (value > lane.suits[0]), new, lane.suits)
    best = jnp.where(sizing, best, lane.suits)
    last = sizing & (lane.phase == DETECT - 1)
    resized = detection.resized(config, lane.state, best[1].astype(jnp.int32))
    return _chosen(last, resized, lane.state), best


def _due(
    batched: bool, due: jax.Array, function: Callable[[], Any], other: Callable[[], Any]
) -> Any:
    """Return what one of two functions does; in a batch that is the first, done for all lanes."""
    return function() if batched else jax.lax.cond(due, function, other)


def _chosen(which: jax.Array, new: Any, old: Any) -> Any:
    """Return one of two trees of arrays."""
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)
