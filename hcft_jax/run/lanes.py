"""Many sequences at once, on the device: lanes of a padded executable, each at its own pace.

A lane is one track. The network sees the patch that each lane needs next: to detect its target in
its next frame or, where the target moved, to learn from the same frame at the new position. A
target that stayed needs no second patch (its features are known), so its lane goes on to the next
frame: no pass of the network is wasted, and lanes do not wait for each other. The boxes are those
of ``tracker.step``.

On accelerators the lanes are a batch. On a CPU, where a batch of patches takes as long as one after
the other and the maps of one patch fit into the caches, they take turns.

Frames lie in a ring on the device, a few per lane. ``advance`` runs a fixed number of passes over
the frames in it; meanwhile the host (``hcft_jax.run.batch``) decodes and sends more (``load``), and
gives a lane whose sequence has ended the next one. Everything that depends on a target's size is
data (``hcft_jax.core.target``), so the targets of a bucket need these two executables only.
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
from hcft_jax.core.target import Target
from hcft_jax.core.tracker import State


class Lane(NamedTuple):
    """A track under way; in ``Lanes`` every array has a leading axis of L lanes."""

    state: State
    frame: jax.Array  # int32 []: how many frames are done
    learning: jax.Array  # bool []: detected in the current frame, but not yet learned from it


class Lanes(NamedTuple):
    """L tracks under way."""

    images: jax.Array  # uint8 [L, C, H, W, 3]: frame t of a lane is at t modulo C
    lane: Lane


class Pass(NamedTuple):
    """The result of a lane's patch in one pass; ``advance`` adds two leading axes."""

    detected: jax.Array  # bool []: the rest is meaningless where it is False
    frame: jax.Array  # int32 []
    box: jax.Array  # [4] x, y, w, h in pixels
    peak: jax.Array  # []
    psr: jax.Array  # []


def empty(params: Params, config: TrackerConfig, target: Target, lanes: int, ring: int) -> Lanes:
    """Return lanes without a track, on the host.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        target: any target that is padded to the bucket.
        lanes: number of lanes.
        ring: number of frames per lane on the device.
    """
    image = jax.ShapeDtypeStruct((*target.image, 3), np.uint8)
    position = jax.ShapeDtypeStruct((2,), np.float32)
    state = jax.eval_shape(tracker.start, params, config, target, image, position)
    number, flag = jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct((), np.bool_)
    ringed = jax.ShapeDtypeStruct((ring, *image.shape), image.dtype)
    shapes: Any = Lanes(ringed, Lane(state, number, flag))  # type: ignore[arg-type]
    return cast(Lanes, jax.tree.map(lambda a: np.zeros((lanes, *a.shape), a.dtype), shapes))


class Programs(NamedTuple):
    """``load`` and ``advance``, compiled for some devices."""

    load: Callable[..., Lanes]
    advance: Callable[..., tuple[Lanes, Pass, jax.Array]]


@functools.cache
def programs(mesh: jax.sharding.Mesh, passes: int, *, batched: bool) -> Programs:
    """Return the two functions over a mesh of one axis, ``lanes``, which splits the lanes evenly.

    ``batched`` says whether the lanes of a device are one batch, or take turns.

    ``load(lanes, frames, where, starting, target, position)`` puts frames into the rings and starts
    a track; ``lanes`` is donated, ``frames``, ``where`` and ``starting`` are split like the lanes:

    * frames: RGB ``[K, H, W, 3]``, padded to the bucket;
    * where: int32 ``[K, 2]``, the lane (on its device) and the number of the frame in its sequence;
      a lane that does not exist marks an unused row;
    * starting: int32 ``[1]`` per device, the lane of a track that starts, or one that does not
      exist;
    * target, position: of that track.

    ``advance(params, config, lanes, available)`` runs the network ``passes`` times for each of L
    lanes; ``lanes`` is donated. available: int32 ``[L]``, how many frames of each lane's
    sequence have been loaded. Returns the lanes, the results of each pass (``Pass`` with a leading
    axis of passes), and how many frames of each lane are done, ``[L]``.
    """
    split, same = P("lanes"), P()
    load = jax.shard_map(
        _load,
        mesh=mesh,
        in_specs=(split, split, split, split, same, same),
        out_specs=split,
        check_vma=False,
    )
    advance = jax.shard_map(
        functools.partial(_advance, passes, batched),
        mesh=mesh,
        in_specs=(same, same, split, split),
        out_specs=(split, P(None, "lanes"), split),
        check_vma=False,
    )
    return Programs(jax.jit(load, donate_argnums=0), jax.jit(advance, donate_argnums=2))


def _load(
    lanes: Lanes,
    frames: jax.Array,
    where: jax.Array,
    starting: jax.Array,
    target: Target,
    position: jax.Array,
) -> Lanes:
    slot = where[:, 1] % lanes.images.shape[1]
    (state, frame, learning), new = lanes.lane, starting[0]
    return Lanes(
        images=lanes.images.at[where[:, 0], slot].set(frames, mode="drop"),
        lane=Lane(
            state=State(
                position=state.position.at[new].set(position, mode="drop"),
                filters=state.filters,
                target=jax.tree.map(
                    lambda all_, one: all_.at[new].set(one, mode="drop"), state.target, target
                ),
            ),
            frame=frame.at[new].set(0, mode="drop"),
            learning=learning.at[new].set(True, mode="drop"),
        ),
    )


def _advance(
    passes: int,
    batched: bool,
    params: Params,
    config: TrackerConfig,
    lanes: Lanes,
    available: jax.Array,
) -> tuple[Lanes, Pass, jax.Array]:
    images, number = lanes.images, jnp.arange(len(available))

    def turn(lane: Lane, number: jax.Array, available: jax.Array) -> tuple[Lane, Pass]:
        image = images[number, lane.frame % images.shape[1]]
        return _pass(params, config, lane, image, lane.frame < available)

    # a batch is idle when all of its lanes are
    every = _unless_idle(over(turn, True)) if batched else over(_unless_idle(turn), False)

    lane, seen = jax.lax.scan(
        lambda lane, _: every(lane, number, available), lanes.lane, None, length=passes
    )
    return Lanes(images, lane), seen, jnp.copy(lane.frame)


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

    def maybe(lane: Lane, number: jax.Array, available: jax.Array) -> tuple[Lane, Pass]:
        _, shapes = jax.eval_shape(turn, lane, number, available)
        nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        return jax.lax.cond(
            jnp.any(lane.frame < available),
            lambda: turn(lane, number, available),
            lambda: (lane, nothing),
        )

    return maybe


def _pass(
    params: Params, config: TrackerConfig, lane: Lane, image: jax.Array, active: jax.Array
) -> tuple[Lane, Pass]:
    """Use one patch of a lane's current frame; a lane that is not active stays as it is."""
    state, frame, learning = lane
    target = state.target
    x = tracker.observe(params, config, target, image, state.position)
    position, output = tracker.detect(config, state, x)
    detected = active & ~learning
    moved = detected & jnp.any(position != state.position)
    learns = active & ~moved

    new = tracker.train(config, target, x)
    average = tracker.average(config, state.filters, new)
    filters = jax.tree.map(
        lambda old, averaged, first: jnp.where(learns, jnp.where(frame == 0, first, averaged), old),
        state.filters,
        average,
        new,
    )
    after = Lane(
        State(jnp.where(detected, position, state.position), filters, target),
        frame=frame + learns.astype(jnp.int32),
        learning=jnp.where(active, moved, learning),
    )
    return after, Pass(detected, frame, output.box, output.peak, output.psr)
