"""The definition of a backbone: a frozen network with named maps for the tracker, and its files.

The module of a backbone makes one ``Backbone``; ``registry`` lists them. Parameters are a plain
nested dict, an argument of every compiled function::

    {"normalization": {"mean": [3] or [H, W, 3], "std": [3]},
     <layer>: {"kernel": [height, width, inputs / groups, outputs], "bias": [outputs]}, ...}

A layer may have a projection of its map's channels to others, fewer or whitened, that are linear in
them: ``"<layer>_projection": {"kernel": [1, 1, channels, outputs], "bias": [outputs]}``
(``experiments/project_levels`` computes it).

Where files of one backbone differ in more than their arrays, there is also ``"architecture"``: a
frozen dataclass of plain values, registered as static: it has no leaves and selects an executable.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones.products import PRECISIONS, Precision, product
from hcft_jax.util.errors import InputError

Params = dict[str, Any]
PROJECTION = "_projection"  # after the name of a layer: its projection
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Release:
    """A public file of trained parameters."""

    url: str
    checksum: str  # see ``download.download``


@dataclass(frozen=True)
class Package:
    """An installed Python package that has a file of trained parameters; it is never imported."""

    distribution: str  # its name for pip
    module: str
    file: str  # inside the module's folder


@dataclass(frozen=True)
class Operation:
    """A step of a network, as read from a file that describes its network."""

    kind: str  # conv, relu, normalize, pool, ...
    name: str
    stride: tuple[int, ...] = (1, 1)
    pad: tuple[int, ...] = (0, 0, 0, 0)  # top, bottom, left, right
    window: tuple[int, ...] = ()  # of a pooling
    parameters: tuple[float, ...] = ()  # of a normalisation over channels


@dataclass(frozen=True)
class Description:
    """The description of its network in a foreign file, besides the layers' arrays."""

    kernels: Mapping[str, Shape]  # HWIO
    operations: Sequence[Operation] | None = None  # from the image on; None: not in the file
    input_size: int | None = None


@dataclass(frozen=True)
class Backbone:
    """A network, the names of its parameters in files, and where its files are found."""

    name: str  # in settings, in files' metadata, and of the file in the cache
    title: str  # in messages
    layers: tuple[str, ...]  # shallow to deep
    features: Callable[[Params, jax.Array, Sequence[str], Any], dict[str, jax.Array]]
    """Maps parameters, an RGB image ``[..., H, W, 3]`` in [0, 255], names of layers and a precision
    to ``{name: [..., h, w, C]}``, each map after its ReLU, if any. Its products are those of
    ``products``."""
    shapes: Callable[[Any], dict[str, Shape]]
    """Maps an architecture to the shape of each layer's kernel (HWIO)."""
    side: Callable[[str, int], int]
    """Maps a layer and the input's side in pixels to the least side of the layer's map in cells."""
    input_size: Callable[[Params], int]
    """Maps parameters to the side of the input that they were trained on, in pixels."""
    environment: str  # the variable that may name a file
    architecture: Any = None  # of untrained parameters; None: there is only one architecture
    describe: Callable[[Description], Any] | None = None
    """Maps a file's description to its architecture; ValueError: it is not this network."""
    release: Release | None = None
    package: Package | None = None  # another package that has the file
    projections: Path | None = None  # projections of this package for the file of ``package``
    cells: Mapping[str, int] = field(default_factory=dict)
    """Pixels of each layer's cells where there is no network: features are then made of the search
    window as it is, and ``features`` takes its (height, width) in place of the precision."""
    chain: bool = True  # whether the layers are all convolutions, with a ReLU after each
    torch: Mapping[str, str] = field(default_factory=dict)  # layer to key in a state_dict
    torch_norms: Mapping[str, str] = field(default_factory=dict)
    """Layer to the key of the batch normalisation after it, which becomes a part of the layer."""
    torch_presets: tuple[str, ...] = ()  # which trainings have these keys
    keras: Mapping[str, str] = field(default_factory=dict)  # layer to group
    prepared: Callable[[Params], Params] = lambda params: params
    """Maps parameters to ones that compute the same features faster on a CPU, in float32."""

    def initial(self, draw: Callable[[int, Shape], Any], variance: float) -> Params:
        """Return He-initialised kernels (variance 2 / fan-in) and biases of zero, float32.

        Args:
            draw: Random values of mean 0 for the number of a layer and its kernel's shape.
            variance: Of these values.
        """
        params: Params = {}
        for number, (name, shape) in enumerate(self.shapes(self.architecture).items()):
            scale = np.float32(math.sqrt(2 / variance / math.prod(shape[:3])))
            kernel = draw(number, shape) * scale
            params[name] = {"kernel": kernel, "bias": np.zeros(shape[3], np.float32)}
        return params

    def placed(self, params: Params, precision: str = "float32") -> Params:
        """Return the parameters on the default device, in the form with which it is fastest.

        Args:
            params: The network's parameters.
            precision: A key of ``PRECISIONS``, the one that ``maps`` will use.
        """
        how = PRECISIONS[precision]
        if how.parts:
            shapes = self.shapes(params.get("architecture", self.architecture))
            shapes |= {f"{n}{PROJECTION}": (1, 1, shapes[n][3], 0) for n in self.layers}
            params = params | {
                name: _rounded(params[name], shape, how)
                for name, shape in shapes.items()
                if name in params
            }
        if how.parts < 2 and jax.default_backend() == "cpu":
            params = self.prepared(params)
        return jax.device_put(params)

    def maps(
        self,
        params: Params,
        image: jax.Array,
        layers: Sequence[str],
        precision: str = "float32",
        size: Any = None,
    ) -> dict[str, jax.Array]:
        """Return the named layers' maps ``[..., h, w, C]`` of an image, in the image's dtype.

        A layer's map is projected where the parameters have a projection for it.

        Args:
            params: The network's parameters, as ``placed`` for that precision.
            image: RGB ``[..., H, W, 3]`` in [0, 255].
            layers: Names of layers.
            precision: A key of ``PRECISIONS``.
            size: int32 ``[..., 2]``, (height, width) of the image without padding, which only a
                backbone with ``cells`` may have; None: it has none.
        """
        if self.cells:
            maps = self.features(params, image, layers, size)
        else:
            how = PRECISIONS[precision]
            maps = {
                name: _projected(values, params.get(f"{name}{PROJECTION}"), how)
                for name, values in self.features(params, image, layers, how).items()
            }
        return {name: values.astype(image.dtype) for name, values in maps.items()}

    def least_input(self, layer: str) -> int:
        """Return the smallest input side, in pixels, whose map of ``layer`` is 2 x 2 cells."""
        return next(size for size in itertools.count(1) if self.side(layer, size) >= 2)

    def require(self, params: Params) -> None:
        """Raise InputError if ``params`` are not this network's."""
        shapes = self.shapes(params.get("architecture", self.architecture))
        if missing := [name for name in shapes if name not in params]:
            raise InputError(
                f"params: no {missing[0]}, so they are not {self.title}'s; load weights of the "
                f"backbone that the configuration names ({self.name})"
            )

    def architecture_of(self, values: Any) -> Any:
        """Return the architecture from which ``dataclasses.asdict`` and JSON made ``values``.

        Raises:
            TypeError, ValueError: The values are not this backbone's.
        """
        if self.architecture is None or values is None:
            if self.architecture is not values:
                raise ValueError(f"an architecture of {self.title} is missing or out of place")
            return None
        known = {f.name for f in dataclasses.fields(self.architecture)}
        if set(values) != known:
            raise ValueError(f"an architecture of {self.title} has {', '.join(sorted(known))}")
        return type(self.architecture)(
            **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        )


def _projected(x: jax.Array, by: Mapping[str, jax.Array] | None, precision: Precision) -> jax.Array:
    """Return the channels of maps after a projection; None: as they are."""
    if by is None:
        return x
    y = product(x, by["kernel"].reshape(by["kernel"].shape[2:]), precision)
    return y + jnp.broadcast_to(by["bias"].astype(y.dtype), y.shape)


def _rounded(layer: Mapping[str, Any], shape: Shape, precision: Precision) -> dict[str, Any]:
    """Return a layer's arrays as the precision multiplies them; a bias has no parts.

    A depthwise kernel stays as it is: where nothing is summed over channels there is no product.
    """
    if shape[2] == 1:
        return dict(layer)
    arrays = {name: precision.rounded(jnp.asarray(values)) for name, values in layer.items()}
    return arrays | {"kernel": precision.right(arrays["kernel"], shape[2])}


def standardised(params: Params, image: jax.Array) -> jax.Array:
    """Return (image - mean) / std with the constants of the training, three numbers each.

    Args:
        params: With ``"normalization"``.
        image: RGB in [0, 255], ``[..., H, W, 3]``.
    """
    mean, std = (
        jnp.broadcast_to(jnp.asarray(params["normalization"][name], image.dtype), image.shape)
        for name in ("mean", "std")
    )
    return (image - mean) / std


def kernel_of(module: nn.Module, shape: Shape) -> jax.Array:
    """Return the kernel of a Linen module, as it is or in parts (see ``Precision.right``).

    Args:
        module: The module that has the parameter ``kernel``.
        shape: The shape of the kernel itself (HWIO).
    """
    if module.is_initializing():
        return module.param("kernel", nn.initializers.lecun_normal(), shape)
    # Linen's param() would accept only one of the two shapes
    kernel: jax.Array = module.get_variable("params", "kernel")
    return kernel


class Normalization(nn.Module):
    """The step (x - mean) / std with the constants of the training, kept beside the weights."""

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """Map RGB in [0, 255], ``[..., H, W, 3]``, to the input of the first layer."""
        mean, std = (self._constant(name, image) for name in ("mean", "std"))
        return (image - mean) / std

    def _constant(self, name: str, image: jax.Array) -> jax.Array:
        if self.is_initializing():
            value = self.param(name, nn.initializers.ones, (3,))
        else:  # [3], or a mean image [H, W, 3]: Linen's param() would accept only one of them
            value = self.get_variable("params", name)
        if value.ndim == 3 and value.shape != image.shape[-3:]:
            value = value.mean(axis=(0, 1))  # of a mean image of another size, the mean pixel
        return jnp.broadcast_to(value.astype(image.dtype), image.shape)
