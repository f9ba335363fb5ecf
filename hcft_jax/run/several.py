"""Several targets of one video, frame by frame, as one batch.

The targets are padded to one bucket, so they form one executable's batch: the network sees the
search windows of all targets at once, and then those of the targets that moved once more, at their
new positions (``tracker.step``, for a batch). These are gathered first, so that no pass is spent on
targets that stayed; their number is padded to a power of two, so that few sizes are compiled.

As for one target (``hcft_jax.run.single``), the network is a program of its own, here one for each
number of search windows, and the bucket is one of few: other boxes of as many targets compile
nothing where their bucket is known, and no network where it is not.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import detection, sampling, tracker
from hcft_jax.core.arrays import Array
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.detection import Output, Spectra, State
from hcft_jax.core.filters import Filter
from hcft_jax.core.scale import Scale
from hcft_jax.core.target import Target, common_bucket, place
from hcft_jax.run import single
from hcft_jax.util import compilation, forked
from hcft_jax.util.errors import SettingError

Filters = tuple[Filter, ...]
Maps = dict[str, jax.Array]  # [N, fh, fw, D] by layer
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

        What an earlier object of as many targets has compiled is used again.

        Args:
            params: The network's parameters.
            config: The tracker's constants.
            image: RGB uint8 ``[H, W, 3]``.
            boxes: (x, y, w, h) of each target, 0-based pixels.

        Raises:
            InputError: a box cannot be tracked, or ``dft="fft"``, which cannot be batched.
        """
        forked.check()
        if config.dft == "fft":
            raise SettingError("dft", "several targets need matmul, which can be padded, not fft")
        size = image.shape[0], image.shape[1]
        geometries = [place(box, size, config.layout)[0] for box in boxes]
        bucket = common_bucket(geometries)
        begun = [tracker.begin(params, config, box, size, bucket) for box in boxes]
        target, position = jax.device_put(jax.tree.map(lambda *leaves: np.stack(leaves), *begun))
        self._params, self._config = params, config
        scale = _measure_first(config, target, image, position)
        maps, _ = self._look(target, image, position, scale)
        first = State(position, _train(config, target, maps), target, scale)
        self._state = jax.vmap(functools.partial(tracker.begun, config))(first)
        compilation.once("several", lambda: self._warm(image), config, self._state, image)

    @property
    def grids(self) -> npt.NDArray[np.int32]:
        """``[N, 2]``: cells (gh, gw) of each target's response map, without padding."""
        return np.asarray(self._state.target.transform.grid)

    @property
    def boxes(self) -> npt.NDArray[np.float32]:
        """``[N, 4]``: x, y, w, h in the last frame, pixels from 0."""
        return np.asarray(_boxes(self._state))

    def update(self, image: Images) -> Output:
        """Track the next frame; return ``Output`` with a leading axis of targets, on the host."""
        before = self._state
        state, output, moved = self._find(before, image)
        which = np.flatnonzero(moved)
        if len(which):
            state = self._follow(state, before, image, which)
        if state.memory is not None:
            for index in np.flatnonzero(state.memory.lost):
                state = self._search(state, image, int(index))
            output = replace(output, box=jax.device_get(_boxes(state)))
        self._state = state
        return output

    def _find(self, before: State, image: Images) -> tuple[State, Output, npt.NDArray[np.bool_]]:
        """Return the state where the targets are, in which those that stayed have learned."""
        if self._config.scale == "cnn":
            before, maps, plain = self._choose_sizes(before, image)
        else:
            maps, plain = self._look(before.target, image, before.position, before.scale)
        state, output, moved = _find(self._config, before, maps, plain, self._sized(image))
        positions, output, moved = jax.device_get((state.position, output, moved))
        return replace(state, position=positions), output, moved

    def _choose_sizes(self, state: State, image: Images) -> tuple[State, Maps, jax.Array]:
        """Return the state with the sizes that suit best, and what is seen of the windows."""
        best: Any = None
        for number in range(self._config.scales):
            resized = _resized(self._config, state, number)
            seen = self._look(state.target, image, resized.position, resized.scale)
            value = _suits(self._config, state, seen[0], number)
            new = value, resized.scale, seen
            best = new if best is None else _better(best, new)
        return replace(state, scale=best[1]), *best[2]

    def _search(self, state: State, image: Images, index: int) -> State:
        """Look for one of the targets in the whole image."""
        one = jax.tree.map(lambda a: a[index], state)
        one = single.search(self._params, self._config, one, image)
        return _put(state, one, index)

    def _follow(
        self, state: State, before: State, image: Images, which: npt.NDArray[np.int64]
    ) -> State:
        count = len(state.position)
        padded = np.full(min(count, 1 << (len(which) - 1).bit_length()), count, np.int32)
        padded[: len(which)] = which
        maps, _ = self._look(state.target, image, state.position, state.scale, padded)
        return _follow(self._config, state, before, maps, padded)

    def _sized(self, image: Images) -> Images | None:
        """Return the image where sizes are followed, so that no program depends on it elsewhere."""
        return None if self._state.target.scales is None else image

    def _look(
        self,
        target: Target,
        image: Images,
        positions: jax.Array,
        size: Scale | None,
        which: npt.NDArray[np.int32] | None = None,
    ) -> tuple[Maps, jax.Array]:
        """Return the maps of the targets ``which``, or of all, by one pass of the network.

        With them comes which of the search windows are of one colour.
        """
        patches, sizes, plain = _patches(self._config, target, image, positions, size, which)
        return tracker.features(self._params, self._config, patches, sizes), plain

    def _warm(self, image: Images) -> None:
        """Compile by running, and forget the results."""
        before = self._state
        _boxes(before)
        state, _, _ = self._find(before, image)
        if self._config.redetect:
            self._search(state, image, 0)
        count = len(before.position)
        size = 1
        while True:
            which = np.arange(min(size, count))
            jax.block_until_ready(self._follow(state, before, image, which))
            if size >= count:
                return
            size *= 2


_boxes = jax.jit(jax.vmap(detection.box))


@jax.jit
def _measure_first(
    config: TrackerConfig, target: Target, image: jax.Array, position: jax.Array
) -> Scale | None:
    first = functools.partial(detection.measure_first, config)
    return jax.vmap(first, in_axes=(0, None, 0))(target, image, position)


@jax.jit
def _patches(
    config: TrackerConfig,
    target: Target,
    image: jax.Array,
    positions: jax.Array,
    size: Scale | None,
    which: jax.Array | None,
) -> tuple[jax.Array, Array, jax.Array]:
    """Return the patches of M of N targets: ``which``, int32 ``[M]``, or all.

    With them come their sizes, and whether they are of one colour. Instead of a target that does
    not exist, the last one is cropped.
    """
    crop = target.crop
    view = jax.vmap(functools.partial(detection.view, config))(positions, size)
    if which is not None:
        own = jnp.minimum(which, positions.shape[0] - 1)
        crop, view = jax.tree.map(lambda a: a[own], (crop, view))
    patches = jax.vmap(sampling.patch, in_axes=(None, 0, 0))(image, view, crop)
    return patches, crop.size, jax.vmap(sampling.of_one_colour)(patches, crop.size)


def _spectra(config: TrackerConfig, target: Target, maps: Maps) -> Spectra:
    return jax.vmap(functools.partial(tracker.spectra, config))(target, maps)


def _taught(config: TrackerConfig, state: State, x: Spectra) -> State:
    return jax.vmap(functools.partial(tracker.taught, config))(state, x)


@jax.jit
def _train(config: TrackerConfig, target: Target, maps: Maps) -> Filters:
    x = _spectra(config, target, maps)
    return jax.vmap(functools.partial(tracker.train, config))(target, x)


@jax.jit
def _find(
    config: TrackerConfig,
    state: State,
    maps: Maps,
    plain: jax.Array,
    image: jax.Array | None,
) -> tuple[State, Output, jax.Array]:
    """Return where the targets are; all have learned, as if their search windows had stayed."""
    z = _spectra(config, state.target, maps)
    find = functools.partial(detection.find, config)
    found = jax.vmap(find, in_axes=(0, 0, None, 0))(state, z, image, plain)
    after = jax.vmap(tracker.following)(state, found)
    return _taught(config, after, z), found.output, found.moved


@jax.jit
def _follow(
    config: TrackerConfig, state: State, before: State, maps: Maps, which: jax.Array
) -> State:
    """Return the state, after the targets ``which`` have learned at their new positions.

    Args:
        config: the tracker's constants.
        state: with the new positions, and the filters of targets that stayed.
        before: with the filters before this frame.
        maps: of the targets ``which`` at the new positions.
        which: int32 ``[M]``; the rest is filled with N, which is no target.
    """
    own = jnp.minimum(which, state.position.shape[0] - 1)
    kept, old = state.memory, before.memory
    if kept is not None and old is not None:
        kept = kept._replace(filters=old.filters)
    untaught = replace(state, filters=before.filters, memory=kept)
    some = jax.tree.map(lambda a: a[own], untaught)
    some = _taught(config, some, _spectra(config, some.target, maps))
    return jax.tree.map(lambda a, b: a.at[which].set(b, mode="drop"), state, some)


@jax.jit
def _resized(config: TrackerConfig, state: State, number: int) -> State:
    which = jnp.asarray(number, jnp.int32)
    return jax.vmap(lambda one: detection.resized(config, one, which))(state)


@jax.jit
def _suits(config: TrackerConfig, state: State, maps: Maps, number: int) -> jax.Array:
    which, z = jnp.asarray(number, jnp.int32), _spectra(config, state.target, maps)
    return jax.vmap(lambda one, own: detection.suits(config, one, own, which))(state, z)


@jax.jit
def _better(old: Any, new: Any) -> Any:
    """Return, for each target, what suits better: value, size, and what is seen of it."""
    wins = new[0] > old[0]
    return jax.tree.map(
        lambda a, b: jnp.where(wins.reshape(-1, *[1] * (a.ndim - 1)), b, a), old, new
    )


@jax.jit
def _put(state: State, one: State, index: jax.Array | int) -> State:
    return jax.tree.map(lambda a, b: a.at[index].set(b), state, one)
