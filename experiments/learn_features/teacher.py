"""What a small network is taught: principal components of a large one's hierarchical features."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params

Floats = npt.NDArray[np.float32]
Moments = dict[str, npt.NDArray[np.float64]]  # by layer [C, C]: mean of x x^T over cells


@dataclass(frozen=True)
class Component:
    """The components of one layer of C channels."""

    basis: Floats  # [C, D], orthonormal columns
    scale: float  # root mean square of a component's values
    kept: float  # share of the features' energy that the components have, 0 to 1


class Teacher:
    """VGG-19, or another backbone whose features are to be learned."""

    def __init__(self, params: Params, backbone: str, layers: Iterable[str]) -> None:
        """Takes its parameters, as they are, and the names of the layers that are taught."""
        network, names = registry.get(backbone), tuple(layers)
        self._params = network.placed(params)
        self.side = network.input_size(params)
        self._maps = jax.jit(lambda params, patch: network.maps(params, patch, names))
        self._moments = jax.jit(lambda maps: {n: _moment(of) for n, of in maps.items()})
        self._project = jax.jit(
            lambda maps, bases: [{n: _projected(maps[n], b) for n, b in of.items()} for of in bases]
        )

    def _seen(self, patch: npt.NDArray[np.uint8]) -> dict[str, jax.Array]:
        return dict(self._maps(self._params, patch.astype(np.float32)))

    def moments(self, patch: npt.NDArray[np.uint8]) -> Moments:
        """Second moments of the features of a patch, RGB uint8 ``[side, side, 3]``."""
        found = self._moments(self._seen(patch))
        return {name: np.asarray(of, np.float64) for name, of in found.items()}

    def lessons(
        self, patch: npt.NDArray[np.uint8], components: Iterable[Mapping[str, Component]]
    ) -> list[dict[str, npt.NDArray[np.float16]]]:
        """A patch's components ``[h, w, D]``, scaled to root mean square 1, for each training."""
        bases = [{n: c.basis / np.float32(c.scale) for n, c in of.items()} for of in components]
        found = self._project(self._seen(patch), bases)
        return [{name: np.asarray(x, np.float16) for name, x in of.items()} for of in found]


def _moment(x: jax.Array) -> jax.Array:
    flat = x.reshape(-1, x.shape[-1])
    return jnp.matmul(flat.T, flat, precision=jax.lax.Precision.HIGHEST) / flat.shape[0]


def _projected(x: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.einsum("...c,cd->...d", x, basis, precision=jax.lax.Precision.HIGHEST)


def components(moments: Moments, channels: Mapping[str, int]) -> dict[str, Component]:
    """The principal components of features with these second moments.

    Not centred: responses are made of inner products, and the mean is a part of those.

    Args:
        moments: by layer.
        channels: by layer, how many.
    """
    found = {}
    for name, moment in moments.items():
        values, vectors = np.linalg.eigh(moment)
        order = np.argsort(values)[::-1][: channels[name]]
        basis = vectors[:, order]
        basis = basis * np.where(basis.sum(axis=0) < 0, -1.0, 1.0)  # one of two signs, always
        energy = float(values[order].sum())
        found[name] = Component(
            basis.astype(np.float32),
            float(np.sqrt(energy / len(order))),
            energy / float(values.sum()),
        )
    return found
