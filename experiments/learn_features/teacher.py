"""The lessons of a small network: principal components of a large network's features."""

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
    """The D principal components of a layer of C channels."""

    basis: Floats  # [C, D], orthonormal columns
    scale: float  # root mean square of the components' values
    kept: float  # share of the features' energy in the components, 0 to 1


class Teacher:
    """VGG-19, or another backbone whose features a small network should learn."""

    def __init__(self, params: Params, backbone: str, layers: Iterable[str]) -> None:
        """Take the backbone's parameters as loaded, its name, and the layers to teach."""
        network, names = registry.get(backbone), tuple(layers)
        self._params = network.placed(params)
        self.side = network.input_size(params)
        self._maps = jax.jit(lambda params, patch: network.maps(params, patch, names))
        self._moments = jax.jit(lambda maps: {n: _moment(of) for n, of in maps.items()})
        self._project = jax.jit(
            lambda maps, bases: [{n: _projected(maps[n], b) for n, b in of.items()} for of in bases]
        )

    def _maps_of(self, patch: npt.NDArray[np.uint8]) -> dict[str, jax.Array]:
        return dict(self._maps(self._params, patch.astype(np.float32)))

    def moments(self, patch: npt.NDArray[np.uint8]) -> Moments:
        """Return the second moments of the features of a patch, RGB uint8 ``[side, side, 3]``."""
        found = self._moments(self._maps_of(patch))
        return {name: np.asarray(of, np.float64) for name, of in found.items()}

    def lessons(
        self, patch: npt.NDArray[np.uint8], components: Iterable[Mapping[str, Component]]
    ) -> list[dict[str, npt.NDArray[np.float16]]]:
        """Return a patch's components ``[h, w, D]``, root mean square 1, for each training."""
        bases = [{n: c.basis / np.float32(c.scale) for n, c in of.items()} for of in components]
        found = self._project(self._maps_of(patch), bases)
        return [{name: np.asarray(x, np.float16) for name, x in of.items()} for of in found]


def _moment(x: jax.Array) -> jax.Array:
    flat = x.reshape(-1, x.shape[-1])
    return jnp.matmul(flat.T, flat, precision=jax.lax.Precision.HIGHEST) / flat.shape[0]


def _projected(x: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.einsum("...c,cd->...d", x, basis, precision=jax.lax.Precision.HIGHEST)


def components(moments: Moments, channels: Mapping[str, int]) -> dict[str, Component]:
    """Return the principal components of features with these second moments, by layer.

    The features are not centred: responses are made of inner products, which the mean is part of.

    Args:
        moments: Second moments by layer.
        channels: Number of components by layer.
    """
    found = {}
    for name, moment in moments.items():
        values, vectors = np.linalg.eigh(moment)
        order = np.argsort(values)[::-1][: channels[name]]
        basis = vectors[:, order]
        basis = basis * np.where(basis.sum(axis=0) < 0, -1.0, 1.0)  # the same sign in every run
        energy = float(values[order].sum())
        found[name] = Component(
            basis.astype(np.float32),
            float(np.sqrt(energy / len(order))),
            energy / float(values.sum()),
        )
    return found
