"""The loss of a batch of clips, by which a backbone is learned through the filter.

It has two parts. ``taught``: the levels' maps should be the components of a teacher's maps
(``teacher``), normalised in the same way. ``tracked``: a filter that is trained on a clip's first
region, and averaged over the following ones, should find the target in the next region, which is
cropped elsewhere. Spectra, filters and responses are computed by the tracker's own functions.
"""

import dataclasses
import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Backbone, Params
from hcft_jax.backbones.compact import normalised
from hcft_jax.core import detection, differentiable, target, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Spectra, State
from hcft_jax.core.sampling import PADDED, Geometry
from hcft_jax.core.target import Target

CELL = 4  # pixels of the patch per cell of the response grid, as in a video of that size
MEAN, STD = (123.68, 116.78, 103.94), (58.4, 57.1, 57.4)  # of the network's input


class Batch(NamedTuple):
    """B clips, and the teacher's components of their first regions."""

    regions: jax.Array  # uint8 [B, K, S, S, 3]
    lessons: dict[str, jax.Array]  # float16 [B, h, w, D], components of root mean square 1


@dataclasses.dataclass(frozen=True)
class LearningTask:
    """What is learned, apart from the data.

    Attributes:
        config: The tracker's constants; ``temperature`` is that of the loss, ``precision`` that of
            the network.
        taught: Weight of the teacher's part of the loss.
        tracked: Weight of the filter's part.
        light: How much brightness, contrast and colour vary, relative to 1.
        noise: Standard deviation of added noise, in grey levels.
    """

    config: TrackerConfig
    taught: float = 1.0
    tracked: float = 0.3
    light: float = 0.1
    noise: float = 2.0


def initial(network: Backbone, seed: int) -> Params:
    """Draw the parameters of a network: He's normal kernels, biases of zero."""

    def normal(number: int, shape: tuple[int, ...]) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(jax.random.key(seed), number), shape)

    return jax.device_put(network.initial(normal, variance=1.0))


def complete(params: Params) -> Params:
    """Return the network's parameters as the tracker takes them, with its normalization."""
    constants = {"mean": np.array(MEAN, np.float32), "std": np.array(STD, np.float32)}
    return params | {"normalization": constants}


def geometry(config: TrackerConfig, params: Params) -> Target:
    """Return the operators of a target whose search window is a whole patch."""
    side = config.input_side(params)
    grid = side // CELL
    sizes = Geometry((side, side), (side, side), (grid, grid))
    maps = tracker.map_sizes(params, config)
    return target.fixed(sizes, (side / PADDED,) * 2, (side, side), maps)


def loss(
    task: LearningTask, fixed: Target, params: Params, batch: Batch, key: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Return the loss of a batch, and its parts by name.

    ``fixed`` is from ``geometry``, and ``params`` have no normalization.
    """
    config, network = task.config, task.config.network
    clips, count, side = batch.regions.shape[:3]
    patch = fixed.crop.vertical.shape[0]
    light, shift = jax.random.split(key)
    regions = lit(light, batch.regions, task.light, task.noise)
    margin = (side - patch) // 2
    # mostly small, as from frame to frame, or the network would work against the Hann window
    uniform = jax.random.uniform(shift, (clips, count, 2), minval=-1, maxval=1)
    offsets = jnp.round(margin * uniform**3).astype(jnp.int32)
    offsets = offsets.at[:, 0].set(0)  # a filter is trained where the target is

    def cropped(region: jax.Array, offset: jax.Array) -> jax.Array:
        corner = [margin + offset[0], margin + offset[1], jnp.zeros_like(offset[0])]
        return jax.lax.dynamic_slice(region, corner, (patch, patch, 3))

    searched = jax.vmap(jax.vmap(cropped))(regions, offsets)
    seen = searched.reshape(-1, patch, patch, 3)
    if count > 2:  # the filter is averaged where the target is, in all regions but the last
        centred = jax.vmap(jax.vmap(cropped))(regions[:, 1:-1], jnp.zeros_like(offsets[:, 1:-1]))
        seen = jnp.concatenate([seen, centred.reshape(-1, patch, patch, 3)])
    maps = network.maps(complete(params), seen, network.layers, config.precision)
    raw = {n: m[: clips * count].reshape(clips, count, *m.shape[1:]) for n, m in maps.items()}

    parts = {}
    for name, lesson in batch.lessons.items():
        own, wanted = raw[name][:, 0], normalised(lesson.astype(jnp.float32))
        wanted = jax.image.resize(wanted, own.shape, "linear")  # a teacher's map may be coarser
        weight = jnp.asarray(_taper(own.shape[1:3]), own.dtype)[None, :, :, None]
        parts[f"taught/{name}"] = jnp.mean(weight * jnp.square(own - wanted))

    spectra = jax.vmap(functools.partial(tracker.spectra, config, fixed))(maps)

    def by_clip(values: jax.Array, frames: int) -> jax.Array:
        return values.reshape(clips, frames, *values.shape[1:])

    found = jax.tree.map(lambda x: by_clip(x[: clips * count], count), spectra)
    more = jax.tree.map(lambda x: by_clip(x[clips * count :], count - 2), spectra)
    displacements = -offsets.astype(jnp.float32) / CELL
    apart = jax.vmap(functools.partial(_followed, config, fixed))(found, more, displacements)
    for index, name in enumerate([*config.response_names, "all"]):
        parts[f"tracked/{name}"] = jnp.mean(apart[:, index])

    def mean(kind: str) -> jax.Array:
        return jnp.mean(jnp.stack([v for n, v in parts.items() if n.startswith(kind)]))

    whole_loss = task.tracked * mean("tracked")
    if batch.lessons:
        whole_loss = whole_loss + task.taught * mean("taught")
    return whole_loss, parts


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
        total = differentiable.total(config, output.responses)
        judged = jnp.concatenate([output.responses, total[None]])
        # not the height of a peak matters, but how far it is above all other cells
        judged = judged / jax.lax.stop_gradient(jnp.max(judged, axis=(1, 2), keepdims=True))
        divergence = functools.partial(differentiable.divergence, config, fixed)
        apart.append(jax.vmap(divergence, (0, None))(judged, displacements[k]))
        if k <= count - 2:
            learned = tracker.learn(config, fixed, learned, at(more, k - 1))
    return jnp.mean(jnp.stack(apart), axis=0)


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


def _taper(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the squared Hann window over a map, of mean 1: the filter sees the map through it."""
    rows, columns = (np.hanning(n + 2)[1:-1] ** 2 for n in shape)
    taper = np.outer(rows, columns)
    return np.asarray(taper / taper.mean())


def gradient(task: LearningTask, fixed: Target) -> Any:
    """Return the compiled function ``(params, batch, key) -> ((loss, parts), gradient)``."""
    return jax.jit(jax.value_and_grad(functools.partial(loss, task, fixed), has_aux=True))
