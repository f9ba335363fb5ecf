"""Several targets of one video, frame by frame, as one batch.

The targets are padded to one bucket, so they form one executable's batch: the network sees the
search windows of all targets at once, and then those of the targets that moved once more, at their
new positions (``tracker.step``, for a batch). These are gathered first, so that no pass is spent on
targets that stayed; their number is padded to a power of two, so that few sizes are compiled.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import sampling, tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.filters import Filter
from hcft_jax.core.target import Target, buckets, place
from hcft_jax.core.tracker import Output, State
from hcft_jax.util.errors import SettingError

Filters = tuple[Filter, ...]
Images = npt.NDArray[np.uint8]


class Several:
    """N targets in one video; each gets the boxes that it would get by itself."""

    def __init__(
        self,
        params: Params,
        config: TrackerConfig,
        image: Images,
        boxes: Sequence[npt.ArrayLike],
    ):
        """Learn the targets in the first frame and compile the programs that ``update`` needs.

        Args:
            params: The network's parameters.
            config: The tracker's constants.
            image: RGB uint8 ``[H, W, 3]``.
            boxes: (x, y, w, h) of each target, 0-based pixels.

        Raises:
            InputError: a box cannot be tracked, or ``dft="fft"``, which cannot be batched.
        """
        if config.dft == "fft":
            raise SettingError("dft", "several targets need matmul, which can be padded, not fft")
        size = image.shape[0], image.shape[1]
        geometries = [place(box, size, config.grid)[0] for box in boxes]
        (bucket,) = buckets(geometries, [1] * len(boxes), 1)
        begun = [tracker.begin(params, config, box, size, bucket) for box in boxes]
        target, position = jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *begun))
        self._params, self._config = params, config
        self._state = State(position, _begin(params, config, target, image, position), target)
        self._warm(image)

    @property
    def grids(self) -> npt.NDArray[np.int32]:
        """``[N, 2]``: cells (gh, gw) of each target's response map, without padding."""
        return np.asarray(self._state.target.transform.grid)

    @property
    def boxes(self) -> npt.NDArray[np.float32]:
        """``[N, 4]``: x, y, w, h in the last frame, pixels from 0."""
        return np.asarray(jax.vmap(tracker.box)(self._state))

    def update(self, image: Images) -> Output:
        """Track the next frame; return ``Output`` with a leading axis of targets, on the host."""
        before = self._state
        positions, output, learned = _detect(self._params, self._config, before, image)
        positions, places, output = jax.device_get((positions, before.position, output))
        which = np.flatnonzero((positions != places).any(axis=1))
        state = replace(before, position=positions, filters=learned)
        if len(which):
            state = self._follow(state, before.filters, image, which)
        self._state = state
        return output

    def _follow(
        self, state: State, old: Filters, image: Images, which: npt.NDArray[np.int64]
    ) -> State:
        count = len(state.position)
        padded = np.full(min(count, 1 << (len(which) - 1).bit_length()), count, np.int32)
        padded[: len(which)] = which
        filters = _follow(self._params, self._config, state, old, image, padded)
        return replace(state, filters=filters)

    def _warm(self, image: Images) -> None:
        """Compile by running, and forget the results."""
        before = self._state
        _, _, learned = _detect(self._params, self._config, before, image)
        state, count = replace(before, filters=learned), len(before.position)
        size = 1
        while True:
            which = np.arange(min(size, count))
            jax.block_until_ready(self._follow(state, before.filters, image, which))
            if size >= count:
                return
            size *= 2


def _spectra(
    params: Params,
    config: TrackerConfig,
    target: Target,
    image: jax.Array,
    positions: jax.Array,
) -> tuple[jax.Array, ...]:
    """Return the spectra of M targets at positions ``[M, 2]``, by one pass of the network."""
    patches = jax.vmap(sampling.patch, in_axes=(None, 0, 0))(image, positions, target.crop)
    maps = tracker.features(params, config, patches)
    return jax.vmap(functools.partial(tracker.spectra, config))(target, maps)


def _learned(
    config: TrackerConfig, target: Target, old: Filters, x: tuple[jax.Array, ...]
) -> Filters:
    return jax.vmap(functools.partial(tracker.learn, config))(target, old, x)


@jax.jit
def _begin(
    params: Params, config: TrackerConfig, target: Target, image: jax.Array, position: jax.Array
) -> Filters:
    x = _spectra(params, config, target, image, position)
    return jax.vmap(functools.partial(tracker.train, config))(target, x)


@jax.jit
def _detect(
    params: Params, config: TrackerConfig, state: State, image: jax.Array
) -> tuple[jax.Array, Output, Filters]:
    """Return new positions, outputs, and the filters of targets that stayed."""
    z = _spectra(params, config, state.target, image, state.position)
    positions, output = jax.vmap(functools.partial(tracker.detect, config))(state, z)
    return positions, output, _learned(config, state.target, state.filters, z)


@jax.jit
def _follow(
    params: Params,
    config: TrackerConfig,
    state: State,
    old: Filters,
    image: jax.Array,
    which: jax.Array,
) -> Filters:
    """Return the filters, after those of the targets ``which`` have learned at the new positions.

    Args:
        params: the network's parameters.
        config: the tracker's constants.
        state: with the new positions, and the filters of targets that stayed.
        old: the filters before this frame.
        image: of this frame.
        which: int32 ``[M]``; the rest is filled with N, which is no target.
    """
    own = jnp.minimum(which, state.position.shape[0] - 1)
    target, before = jax.tree.map(lambda a: a[own], (state.target, old))
    x = _spectra(params, config, target, image, state.position[own])
    learned = _learned(config, target, before, x)
    return jax.tree.map(lambda a, b: a.at[which].set(b, mode="drop"), state.filters, learned)
