"""Many sequences at once, on the device: lanes of a padded executable, each at its own pace.

A lane is one track. The network sees the patch that each lane needs next: to detect its target in
its next frame or, where the target moved, to learn from the same frame at the new position. A
target that stayed needs no second patch (its features are known), so its lane goes on to the next
frame: no pass of the network is wasted, and lanes do not wait for each other. The boxes are those
of ``tracker.step``.

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
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.filters import Filter
from hcft_jax.core.sampling import Stored
from hcft_jax.core.scale import Scale
from hcft_jax.core.target import Target
from hcft_jax.core.tracker import Output, State


class Lane(NamedTuple):
    """A track under way; ``Lanes`` are the same with a leading axis of L lanes in every array."""

    state: State
    frame: jax.Array  # int32 []: how many frames are done
    learning: jax.Array  # bool []: detected in the current frame, but not yet learned from it


Lanes = Lane


class Pass(NamedTuple):
    """The result of a lane's patch in one pass; ``advance`` adds two leading axes."""

    detected: jax.Array  # bool []: the rest is meaningless where it is False
    frame: jax.Array  # int32 []
    box: jax.Array  # [4] x, y, w, h in pixels
    peak: jax.Array  # []
    psr: jax.Array  # []


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
    number, flag = jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct((), np.bool_)
    shapes: Any = Lane(state, number, flag)  # type: ignore[arg-type]
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

    state, frame, learning = lanes
    return Lane(
        state=State(
            position=put(state.position, position),
            # of a track before nothing may be left: not a number stays that at any learning rate
            filters=jax.tree.map(lambda all_: put(all_, 0.0), state.filters),
            target=jax.tree.map(put, state.target, target),
            scale=jax.tree.map(lambda all_: put(all_, 0), state.scale),
        ),
        frame=put(frame, 0),
        learning=put(learning, True),
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
    state, frame, learning = lane
    target = state.target
    view = tracker.view(config, state.position, state.scale)
    x = tracker.observe(params, config, target, image, view)

    def detect() -> tuple[jax.Array, Output]:
        return tracker.detect(config, state, x)

    def learn(rates: list[jax.Array]) -> tuple[Filter, ...]:
        return tracker.average(state.filters, tracker.train(config, target, x), rates)

    def detect_if_due() -> tuple[jax.Array, Output]:
        _, nothing = _zeros(detect)
        return jax.lax.cond(learning, lambda: (state.position, nothing), detect)

    position, output = detect() if batched else detect_if_due()
    detected = active & ~learning
    position = jnp.where(detected, position, state.position)
    first = active & learning & (frame == 0)
    which = jnp.where(first, 2, jnp.where(detected, 1, 0))
    size, output, moved = _measured(config, state, output, image, position, which, batched)
    moved = detected & moved
    learns = active & ~moved
    # a rate of 1 takes the first frame's filters, and one of 0 keeps what there is
    rates = [
        jnp.where(learns, jnp.where(frame == 0, 1.0, eta), 0.0) for eta in config.learning_rates
    ]
    if batched:
        filters = learn(rates)
    else:
        filters = jax.lax.cond(learns, learn, lambda _: state.filters, rates)
    changed = Lane(
        State(position, filters, target, size),
        frame=frame + learns.astype(jnp.int32),
        learning=jnp.where(active, moved, learning),
    )
    return changed, Pass(detected, frame, output.box, output.peak, output.psr)


def _measured(
    config: TrackerConfig,
    state: State,
    output: Output,
    image: Stored,
    position: jax.Array,
    which: jax.Array,
    batched: bool,
) -> tuple[Scale | None, Output, jax.Array]:
    """Measure a lane's target: 0, not; 1, where it was detected; 2, in its first frame."""
    if state.scale is None:
        return tracker.measure(config, state, output, None, position)

    def first() -> tuple[Scale | None, Output, jax.Array]:
        return tracker.measure_first(state.target, image, position), output, jnp.zeros((), bool)

    def detected() -> tuple[Scale | None, Output, jax.Array]:
        return tracker.measure(config, state, output, image, position)

    def none() -> tuple[Scale | None, Output, jax.Array]:
        return state.scale, output, jnp.zeros((), bool)

    if not batched:
        return jax.lax.switch(which, [none, detected, first])
    return jax.tree.map(lambda *each: jax.lax.select_n(which, *each), none(), detected(), first())
