"""The tracker under ``jax.grad``: K frames unrolled, and a loss on their responses.

Nothing of the tracker is restated here. ``unroll`` is a scan of ``tracker.step``, recomputed
backwards instead of stored, and gradients flow from responses to the constants of
``TrackerConfig`` (its leaves), the network's parameters and, by ``windowed``, the window. The
choice of a maximum has no gradient: a loss is on the response maps (``cross_entropy``) or, with
``search="soft"``, on boxes. The place of a crop is a choice, too; the crop passes gradients on to
the image only.

Example (the guide to differentiable experiments has a whole one)::

    def loss(config):
        state = tracker.start(params, config, target, images[0], position)
        seen = differentiable.unroll(params, config, state, images[1:])
        return differentiable.cross_entropy(config, target, seen, centres).mean()

    jax.grad(loss)(config)  # a TrackerConfig of gradients
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import search, spectrum, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Output, State
from hcft_jax.core.spectrum import Matrices
from hcft_jax.core.target import Bucket, Target
from hcft_jax.util.errors import SettingError

LABEL = 0.05  # temperature of the softmax of labels, whose peak is 1


class Unrolled(NamedTuple):
    """The result of K unrolled frames."""

    state: State  # after the last one
    output: Output  # with a leading axis of frames, and responses
    searched: jax.Array  # [K, 2] (row, column) that each frame's search window was centred at


def unroll(params: Params, config: TrackerConfig, state: State, images: jax.Array) -> Unrolled:
    """Scan ``tracker.step`` over K frames, to be differentiated.

    Backwards each frame is computed once more (``jax.checkpoint``), so that memory grows by one
    state per frame and not by a network's maps.

    Args:
        params: the network's, as they are (not ``Backbone.prepared``, which has other kernels).
        config: the tracker's constants.
        state: after the frame before, as by ``tracker.init`` or ``tracker.start``.
        images: RGB ``[K, H, W, 3]`` in [0, 255].

    Raises:
        SettingError: a scale that is followed; it is chosen among 33, which has no gradient. A
            memory, which decides whether to learn.
    """
    if config.scale != "none":
        raise SettingError("scale", f"{config.scale} chooses a size, which has no gradient; none")
    if config.redetect:
        raise SettingError("redetect", "it decides when to learn, which has no gradient; leave it")

    @functools.partial(jax.checkpoint, prevent_cse=False)  # needless inside a scan
    def frame(state: State, image: jax.Array) -> tuple[State, tuple[Output, jax.Array]]:
        after, output = tracker.step(params, config, state, image, with_responses=True)
        return after, (output, state.position)

    state, (output, searched) = jax.lax.scan(frame, state, images)
    return Unrolled(state, output, searched)


def total(config: TrackerConfig, target: Target, responses: jax.Array) -> jax.Array:
    """Return Eq. 5's weighted sum ``[..., gh, gw]`` of responses ``[..., L, gh, gw]``.

    Args:
        config: the tracker's constants, which say whether responses are normalized before.
        target: the track's operators.
        responses: of the layers, deepest first.
    """
    if config.normalized:
        responses = search.normalized(responses, target.transform.grid)
    weights = config.response_weights
    parts = (weight * responses[..., layer, :, :] for layer, weight in enumerate(weights))
    return functools.reduce(jnp.add, parts)


def cross_entropy(
    config: TrackerConfig, target: Target, seen: Unrolled, centres: jax.Array
) -> jax.Array:
    """Return how far the responses are from the label laid where the target is, ``[K]``.

    Args:
        config: the tracker's constants; ``temperature`` is that of the softmax.
        target: the track's operators.
        seen: K frames.
        centres: (row, column) of the target in them, ``[K, 2]`` in pixels. The loss is 0 for a
            frame in which it is outside the search window, or NaN (unknown).
    """
    cell = jnp.asarray(target.cell)
    moved = (centres - seen.searched) / jnp.broadcast_to(cell, centres.shape)
    responses = total(config, target, seen.output.responses)  # type: ignore[arg-type]
    return jax.vmap(functools.partial(divergence, config, target))(responses, moved)


def divergence(
    config: TrackerConfig, target: Target, response: jax.Array, displacement: jax.Array
) -> jax.Array:
    """Return the Kullback-Leibler divergence of softmax(response / temperature) from the label.

    The label is softmax(y / LABEL), with y the Gaussian in [0, 1] that filters are trained on
    (``sigma``), its peak moved: it says in which cell the target is. (A distribution as wide as
    y itself would ask for responses that hardly fall off within a cell or two.)

    Args:
        config: the tracker's constants.
        target: the track's operators.
        response: ``[gh, gw]``, padded or not.
        displacement: (rows, columns) in cells, any real numbers; the result is 0 where they are
            not finite or lie outside the grid.
    """
    transform = target.transform
    grid = jnp.asarray(transform.grid, jnp.int32)
    inside = search.inside(response.shape, transform.grid)
    peak = displacement + (grid // 2).astype(displacement.dtype)
    counts = jnp.all((peak >= 0) & (peak <= (grid - 1).astype(peak.dtype)))
    peak = jnp.where(counts, peak, jnp.zeros_like(peak))
    spread = spectrum.deviation(jnp.asarray(target.size), config.sigma, jnp.asarray(target.cell))
    rows, columns = (
        spectrum.gaussian(jnp.arange(n).astype(peak.dtype) - peak[i], spread[i])
        for i, n in enumerate(response.shape)
    )
    low = jnp.asarray(-1e9, response.dtype)  # of a cell that does not exist; finite, for gradients
    label = jax.nn.log_softmax(
        jnp.where(inside, jnp.outer(rows, columns) / LABEL, low), axis=(0, 1)
    )
    answer = jax.nn.log_softmax(jnp.where(inside, response / config.temperature, low), axis=(0, 1))
    return jnp.where(counts, jnp.sum(jnp.exp(label) * (label - answer)), 0.0)


def windows(
    params: Params,
    config: TrackerConfig,
    box: npt.ArrayLike,
    image: tuple[int, int],
    orders: int = 2,
    bucket: Bucket | None = None,
) -> list[Matrices]:
    """Return a target's operators with each of the cosines 0, 1, ... as window.

    Args:
        params: the network's.
        config: the tracker's constants.
        box: x, y, w, h of the target in the first frame.
        image: its (H, W).
        orders: how many cosines (``spectrum.cosine``).
        bucket: sizes to pad to.

    Raises:
        InputError, ValueError: as ``tracker.init``.
    """
    target, _ = tracker.begin(params, config, box, image, bucket)
    if not isinstance(target.transform, Matrices):
        raise ValueError("dft: only matmul has windows that are data")
    grid = (int(target.transform.grid[0]), int(target.transform.grid[1]))
    maps = tracker.map_sizes(params, config)
    return [
        spectrum.matrices(
            grid, maps, target.transform.shape, spectrum.cosine(order), target.transform.precision
        )
        for order in range(orders)
    ]


def windowed(target: Target, basis: Sequence[Matrices], weights: jax.Array) -> Target:
    """Return the target with a weighted sum of the windows of ``basis``, ``[len(basis)]`` weights.

    With weights (0.5, -0.5) the window is Hann's, hence the target is unchanged.
    """
    return dataclasses.replace(target, transform=spectrum.blend(basis, weights))


def cast(tree: Any, dtype: type[np.floating[Any]]) -> Any:
    """Return a pytree with its floating arrays and numbers cast, as for checks in float64."""

    def one(leaf: Any) -> jax.Array:
        array = jnp.asarray(leaf)
        return array.astype(dtype) if jnp.issubdtype(array.dtype, np.floating) else array

    return jax.tree.map(one, tree)
