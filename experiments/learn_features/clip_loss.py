"""The loss of a batch of clips, by which features are learned through the filter.

A filter that is trained on a clip's first region, and averaged over the following ones, should find
the target in the next region, which is cropped elsewhere. Spectra, filters and responses are
computed by the tracker's own functions.
"""

import dataclasses
import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, differentiable, target, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Spectra, State
from hcft_jax.core.sampling import PADDED, Geometry
from hcft_jax.core.target import Target

CELL = 4  # pixels of the patch per cell of the response grid, as in a video of that size


@dataclasses.dataclass(frozen=True)
class LearningTask:
    """What is learned, apart from the data.

    Attributes:
        config: The tracker's constants; ``temperature`` is that of the loss, ``precision`` that of
            the network.
        light: How much brightness, contrast and colour vary, relative to 1.
        noise: Standard deviation of added noise, in grey levels.
    """

    config: TrackerConfig
    light: float = 0.1
    noise: float = 2.0


def geometry(config: TrackerConfig, params: Params) -> Target:
    """Return the operators of a target whose search window is a whole patch."""
    side = config.input_side(params)
    grid = side // CELL
    sizes = Geometry((side, side), (side, side), (grid, grid))
    maps = tracker.map_sizes(params, config)
    return target.fixed(sizes, (side / PADDED,) * 2, (side, side), maps)


def loss(
    task: LearningTask,
    fixed: Target,
    params: Params,
    rest: Params,
    regions: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of a batch of B clips, and its parts: each layer's, and that of their sum.

    Args:
        task: What is learned.
        fixed: By ``geometry``.
        params: The parameters that are learned.
        rest: Those of the network that are not.
        regions: The clips, uint8 ``[B, K, S, S, 3]``.
        key: Of light, noise and the places of search windows.
    """
    config, network = task.config, task.config.network
    clips, count, side = regions.shape[:3]
    patch = fixed.crop.vertical.shape[0]
    light, shift = jax.random.split(key)
    seen_lit = lit(light, regions, task.light, task.noise)
    margin = (side - patch) // 2
    # mostly small, as from frame to frame, or the network would work against the Hann window
    uniform = jax.random.uniform(shift, (clips, count, 2), minval=-1, maxval=1)
    offsets = jnp.round(margin * uniform**3).astype(jnp.int32)
    offsets = offsets.at[:, 0].set(0)  # a filter is trained where the target is

    def cropped(region: jax.Array, offset: jax.Array) -> jax.Array:
        corner = [margin + offset[0], margin + offset[1], jnp.zeros_like(offset[0])]
        return jax.lax.dynamic_slice(region, corner, (patch, patch, 3))

    searched = jax.vmap(jax.vmap(cropped))(seen_lit, offsets)
    seen = searched.reshape(-1, patch, patch, 3)
    if count > 2:  # the filter is averaged where the target is, in all regions but the last
        centred = jax.vmap(jax.vmap(cropped))(seen_lit[:, 1:-1], jnp.zeros_like(offsets[:, 1:-1]))
        seen = jnp.concatenate([seen, centred.reshape(-1, patch, patch, 3)])
    maps = network.maps(rest | params, seen, config.layers, config.precision)
    spectra = jax.vmap(functools.partial(tracker.spectra, config, fixed))(maps)

    def by_clip(values: jax.Array, frames: int) -> jax.Array:
        return values.reshape(clips, frames, *values.shape[1:])

    found = jax.tree.map(lambda x: by_clip(x[: clips * count], count), spectra)
    more = jax.tree.map(lambda x: by_clip(x[clips * count :], count - 2), spectra)
    displacements = -offsets.astype(jnp.float32) / CELL
    apart = jax.vmap(functools.partial(_followed, config, fixed))(found, more, displacements)
    means = jnp.mean(apart, axis=0)
    names = [*config.response_names, "all"]
    return jnp.mean(means), {name: means[i] for i, name in enumerate(names)}


def _followed(
    config: TrackerConfig, fixed: Target, found: Spectra, more: Spectra, displacements: jax.Array
) -> jax.Array:
    """Return how far each layer's response, and Eq. 5's sum, are from the truth: ``[L + 1]``.

    Args:
        config: The tracker's constants.
        fixed: The operators.
        found: Spectra where the target is searched, with a leading axis of K regions.
        more: Where it is, of the K - 2 regions between the first and the last.
        displacements: ``[K, 2]`` (rows, columns) of the target in ``found``, in cells.
    """

    def at(spectra: Spectra, index: int) -> Spectra:
        return cast(Spectra, jax.tree.map(lambda x: x[index], spectra))

    learned = tracker.train(config, fixed, at(found, 0))
    apart = []
    count = displacements.shape[0]
    for k in range(1, count):
        state = State(jnp.zeros(2, jnp.float32), learned, fixed)
        _, output = detection.detect(config, state, at(found, k), with_responses=True)
        assert output.responses is not None
        total = differentiable.total(config, fixed, output.responses)
        judged = _by_maximum(jnp.concatenate([output.responses, total[None]]))
        divergence = functools.partial(differentiable.divergence, config, fixed)
        apart.append(jax.vmap(divergence, (0, None))(judged, displacements[k]))
        if k <= count - 2:
            learned = tracker.learn(config, fixed, learned, at(more, k - 1))
    return jnp.mean(jnp.stack(apart), axis=0)


def _by_maximum(responses: jax.Array) -> jax.Array:
    """Return responses ``[L, gh, gw]`` whose peaks are 1.

    Not the height of a peak matters, but how far it is above all other cells.
    """
    return responses / jax.lax.stop_gradient(jnp.max(responses, axis=(1, 2), keepdims=True))


def lit(key: jax.Array, regions: jax.Array, light: float, noise: float) -> jax.Array:
    """Return regions ``[B, K, S, S, 3]`` in [0, 255], each under another light, as float32.

    Brightness, contrast and colour balance change by up to ``light``, relative to 1; ``noise`` is
    the standard deviation of the noise that is added, in grey levels.
    """
    x = regions.astype(jnp.float32)
    keys = jax.random.split(key, 4)
    shape = (*regions.shape[:2], 1, 1, 1)

    def varied(key: jax.Array, shape: tuple[int, ...], most: float) -> jax.Array:
        return jnp.exp(jax.random.uniform(key, shape, minval=-1, maxval=1) * float(np.log1p(most)))

    mean = jnp.mean(x, axis=(2, 3, 4), keepdims=True)
    x = (x - mean) * varied(keys[0], shape, light) + mean * varied(keys[1], shape, light)
    x = x * varied(keys[2], (*regions.shape[:2], 1, 1, 3), light / 3)
    return jnp.clip(x + noise * jax.random.normal(keys[3], x.shape), 0.0, 255.0)


def gradient(task: LearningTask, fixed: Target) -> Any:
    """Return the compiled function of ``loss``'s last arguments: ((loss, parts), gradient)."""
    return jax.jit(jax.value_and_grad(functools.partial(loss, task, fixed), has_aux=True))
