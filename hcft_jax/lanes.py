"""Many sequences at once: lanes of a padded executable, each at its own pace.

A lane is one track. The network's batch is the lanes: each gives the patch that it needs next, to
detect its target in its next frame or, where that moved, to learn from the same frame at the new
position. A target that stayed needs no second patch (its features are known), so its lane goes on
to the next frame: no pass of the network is wasted, and lanes do not wait for each other. The
boxes are those of ``tracker.step``.

Frames lie in a ring on the device, a few of each lane. ``advance`` runs a fixed number of passes
over what is there; meanwhile the host decodes and sends more (``load``), and gives a lane whose
sequence has ended the next one. Everything that depends on a target's size is data
(``hcft_jax.target``), so the targets of a bucket need these two executables and no others.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from hcft_jax import sampling, tracker
from hcft_jax.backbones.backbone import Params
from hcft_jax.config import TrackerConfig
from hcft_jax.filters import Filter
from hcft_jax.target import Target
from hcft_jax.tracker import State


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["images", "state", "frame", "learning"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Lanes:
    """L tracks under way; every array has a leading axis of lanes."""

    images: jax.Array  # uint8 [L, C, H, W, 3]: frame t of a lane is at t modulo C
    state: State
    frame: jax.Array  # int32 [L]: how many frames are done
    learning: jax.Array  # bool [L]: detected in the current frame, but not yet learned from it


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["detected", "frame", "box", "peak", "psr"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Pass:
    """What each lane's patch in one pass of the network gave; ``advance`` adds an axis before."""

    detected: jax.Array  # bool [L]: the rest is meaningless where it is False
    frame: jax.Array  # int32 [L]
    box: jax.Array  # [L, 4] x, y, w, h in pixels
    peak: jax.Array  # [L]
    psr: jax.Array  # [L]


def empty(params: Params, config: TrackerConfig, target: Target, lanes: int, ring: int) -> Lanes:
    """Lanes without a track, on the host.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        target: any that is padded to the bucket.
        lanes: how many.
        ring: frames of each that are on the device.
    """
    filters = jax.eval_shape(functools.partial(_trained, config), params, target)

    def zeros(a: Any) -> Any:
        return np.zeros((lanes, *a.shape), a.dtype)

    return Lanes(
        images=zeros(jax.ShapeDtypeStruct((ring, *target.image, 3), np.uint8)),
        state=State(
            position=zeros(jax.ShapeDtypeStruct((2,), np.float32)),
            filters=jax.tree.map(zeros, filters),
            target=jax.tree.map(zeros, target),
        ),
        frame=zeros(jax.ShapeDtypeStruct((), np.int32)),
        learning=zeros(jax.ShapeDtypeStruct((), np.bool_)),
    )


def _trained(config: TrackerConfig, params: Params, target: Target) -> tuple[Filter, ...]:
    side = tracker.input_size(params, config)
    patch = jnp.zeros((side, side, 3), jnp.float32)
    maps = tracker.features(params, config, patch)
    return tracker.train(config, target, tracker.spectra(config, target, maps))


class Programs(NamedTuple):
    """``load`` and ``advance``, compiled for some devices."""

    load: Callable[..., Lanes]
    advance: Callable[..., tuple[Lanes, Pass, jax.Array]]


@functools.cache
def programs(mesh: jax.sharding.Mesh, passes: int) -> Programs:
    """The two functions over a mesh of one axis, ``lanes``, which splits the lanes evenly.

    ``load(lanes, frames, where, starting, target, position)`` puts frames into the rings and starts
    a track; ``lanes`` is donated, ``frames``, ``where`` and ``starting`` are split like the lanes:

    * frames: RGB ``[K, H, W, 3]``, padded to the bucket;
    * where: int32 ``[K, 2]``, the lane (on its device) and the number of the frame in its sequence;
      a lane that does not exist for none;
    * starting: int32 ``[1]`` a device, the lane of a track that starts, or one that does not exist;
    * target, position: of that track.

    ``advance(params, config, lanes, available)`` runs the network ``passes`` times over a batch of
    L patches; ``lanes`` is donated. available: int32 ``[L]``, how many frames of each lane's
    sequence have been loaded. Returns the lanes, what each pass gave (``Pass`` with an axis of
    passes before), and how many frames of each lane are done, ``[L]``.
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
        functools.partial(_advance, passes),
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
    state, lane = lanes.state, starting[0]
    return Lanes(
        images=lanes.images.at[where[:, 0], slot].set(frames, mode="drop"),
        state=State(
            position=state.position.at[lane].set(position, mode="drop"),
            filters=state.filters,
            target=jax.tree.map(
                lambda all_, one: all_.at[lane].set(one, mode="drop"), state.target, target
            ),
        ),
        frame=lanes.frame.at[lane].set(0, mode="drop"),
        learning=lanes.learning.at[lane].set(True, mode="drop"),
    )


def _advance(
    passes: int, params: Params, config: TrackerConfig, lanes: Lanes, available: jax.Array
) -> tuple[Lanes, Pass, jax.Array]:
    def one(lanes: Lanes, _: None) -> tuple[Lanes, Pass]:
        shapes = jax.eval_shape(functools.partial(_pass, params, config), lanes, available)[1]
        nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        return jax.lax.cond(
            jnp.any(lanes.frame < available),
            lambda: _pass(params, config, lanes, available),
            lambda: (lanes, nothing),
        )

    lanes, seen = jax.lax.scan(one, lanes, None, length=passes)
    return lanes, seen, jnp.copy(lanes.frame)


def _pass(
    params: Params, config: TrackerConfig, lanes: Lanes, available: jax.Array
) -> tuple[Lanes, Pass]:
    state, target = lanes.state, lanes.state.target
    frame, learning = lanes.frame, lanes.learning
    active = frame < available
    first = frame == 0

    @jax.vmap
    def seen(images: jax.Array, frame: jax.Array, state: State) -> jax.Array:
        image = images[frame % images.shape[0]]
        return sampling.patch(image, state.position, state.target.crop)

    maps = tracker.features(params, config, seen(lanes.images, frame, state))
    x = jax.vmap(functools.partial(tracker.spectra, config))(target, maps)

    position, output = jax.vmap(functools.partial(tracker.detect, config))(state, x)
    detected = active & ~learning
    moved = detected & jnp.any(position != state.position, axis=1)
    learns = active & ~moved

    @jax.vmap
    def learned(
        first: jax.Array, learns: jax.Array, target: Target, old: tuple[Filter, ...], x: Any
    ) -> tuple[Filter, ...]:
        new = tracker.train(config, target, x)
        average = tracker.average(config, old, new)
        return jax.tree.map(
            lambda o, a, n: jnp.where(learns, jnp.where(first, n, a), o), old, average, new
        )

    after = Lanes(
        images=lanes.images,
        state=replace(
            state,
            position=jnp.where(detected[:, None], position, state.position),
            filters=learned(first, learns, target, state.filters, x),
        ),
        frame=frame + learns.astype(jnp.int32),
        learning=jnp.where(active, moved, learning),
    )
    return after, Pass(detected, frame, output.box, output.peak, output.psr)
