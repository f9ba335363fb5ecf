"""What a backbone is: a frozen network whose named maps can be tracked on, and its files.

A backbone's module makes one ``Backbone``; ``registry`` lists them. Parameters are a plain nested
dict that the network is applied to, so they are an argument of every compiled function::

    {"normalization": {"mean": [3] or [H, W, 3], "std": [3]},
     <layer>: {"kernel": [height, width, inputs / groups, outputs], "bias": [outputs]}, ...}

and, where files of one backbone differ in more than their arrays, ``"architecture"``: a frozen
dataclass of plain values, registered as static, so that it has no leaves and selects an executable.
"""

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hcft_jax.util.errors import InputError

Params = dict[str, Any]
PRECISIONS = {
    "float32": jax.lax.Precision.HIGHEST,
    "tf32": jax.lax.Precision.HIGH,
    "bfloat16": jax.lax.Precision.DEFAULT,
}
"""How a network's products are made, by the name of the mode."""


def operand(x: jax.Array, precision: jax.lax.Precision) -> jax.Array:
    """One side of a product: rounded to bfloat16 where that is the precision, else as it is."""
    if precision != jax.lax.Precision.DEFAULT:
        return x
    if jax.default_backend() == "cpu":  # multiplies the same numbers faster as float32
        # XLA (jax 0.10.2) computes nonsense where it fuses the rounding with a pooling before it
        x = jax.lax.optimization_barrier(x)
        return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
    return x.astype(jnp.bfloat16)


def convolution(
    x: jax.Array,
    kernel: jax.Array,
    precision: jax.lax.Precision,
    stride: int = 1,
    padding: str | list[tuple[int, int]] = "SAME",
) -> jax.Array:
    """Maps ``[..., H, W, C]`` convolved with a kernel ``[h, w, C, K]``: ``[..., H', W', K]``."""
    y = jax.lax.conv_general_dilated(
        operand(x, precision).reshape(-1, *x.shape[-3:]),
        operand(kernel, precision),
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=precision,
    )
    return y.reshape(*x.shape[:-3], *y.shape[1:])


Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Release:
    """A public file of trained parameters."""

    url: str
    checksum: str  # see ``download.download``


@dataclass(frozen=True)
class Operation:
    """One step of a network, as a file that describes its network has it."""

    kind: str  # conv, relu, normalize, pool, ...
    name: str
    stride: tuple[int, ...] = (1, 1)
    pad: tuple[int, ...] = (0, 0, 0, 0)  # top, bottom, left, right
    window: tuple[int, ...] = ()  # of a pooling
    parameters: tuple[float, ...] = ()  # of a normalisation over channels


@dataclass(frozen=True)
class Description:
    """What a foreign file says about its network besides the layers' arrays."""

    kernels: Mapping[str, Shape]  # HWIO
    operations: Sequence[Operation] | None = None  # from the image on; None: it does not say
    input_size: int | None = None


@dataclass(frozen=True)
class Backbone:
    """A network, the names its parameters have in files, and where they are found."""

    name: str  # of --backbone, in files' metadata, of the file in the cache
    title: str  # in messages
    layers: tuple[str, ...]  # shallow to deep
    features: Callable[[Params, jax.Array, Sequence[str], jax.lax.Precision], dict[str, jax.Array]]
    """Parameters, an RGB image ``[..., H, W, 3]`` in [0, 255], names of layers and a precision to
    ``{name: [..., h, w, C]}``, each map after its ReLU, if any; of each product,
    ``operand`` both sides."""
    shapes: Callable[[Any], dict[str, Shape]]
    """An architecture to the shape of each layer's kernel (HWIO)."""
    side: Callable[[str, int], int]
    """A layer and the input's side in pixels to the side of the layer's map, at least, in cells."""
    input_size: Callable[[Params], int]
    """Parameters to the side of the input that they were trained on, in pixels."""
    environment: str  # the variable that names a file
    architecture: Any = None  # of untrained parameters; None: there is only one
    describe: Callable[[Description], Any] | None = None
    """A file's description to its architecture; ValueError: not this network."""
    release: Release | None = None
    shipped: Path | None = None  # a native file that is part of the package
    chain: bool = True  # whether the layers are all its convolutions, each a ReLU before the next
    torch: Mapping[str, str] = field(default_factory=dict)  # layer to key in a state_dict
    torch_presets: tuple[str, ...] = ()  # which trainings have these keys
    keras: Mapping[str, str] = field(default_factory=dict)  # layer to group
    prepared: Callable[[Params], Params] = lambda params: params
    """Parameters to those that compute the same features faster on a CPU, in float32."""

    def placed(self, params: Params, precision: str = "float32") -> Params:
        """The parameters on the default device, in the form that it computes with fastest.

        Args:
            params: the network's own.
            precision: a key of ``PRECISIONS``, that ``maps`` will be asked for.
        """
        if precision == "bfloat16":
            rounded = {
                name: {k: operand(jnp.asarray(v), PRECISIONS[precision]) for k, v in of.items()}
                for name, of in params.items()
                if name in self.layers
            }
            params = params | rounded
        if jax.default_backend() == "cpu":
            params = self.prepared(params)
        return jax.device_put(params)

    def maps(
        self, params: Params, image: jax.Array, layers: Sequence[str], precision: str = "float32"
    ) -> dict[str, jax.Array]:
        """The named layers' maps of an image, in its dtype, computed in one of ``PRECISIONS``.

        Args:
            params: the network's parameters, as ``placed`` for that precision.
            image: RGB ``[..., H, W, 3]`` in [0, 255].
            layers: names.
            precision: a key of ``PRECISIONS``.
        """
        maps = self.features(params, image, layers, PRECISIONS[precision])
        return {name: values.astype(image.dtype) for name, values in maps.items()}

    def least_input(self, layer: str) -> int:
        """The smallest input, in pixels, whose map of ``layer`` has two cells a side."""
        return next(size for size in itertools.count(1) if self.side(layer, size) >= 2)

    def require(self, params: Params) -> None:
        """Raises InputError where ``params`` are not this network's."""
        shapes = self.shapes(params.get("architecture", self.architecture))
        if missing := [name for name in shapes if name not in params]:
            raise InputError(
                f"params: no {missing[0]}, so not {self.title}'s: load weights of the backbone "
                f"that the configuration names ({self.name})"
            )

    def architecture_of(self, values: Any) -> Any:
        """The architecture that ``dataclasses.asdict`` and JSON have made ``values`` of.

        Raises:
            TypeError, ValueError: they are not this backbone's.
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


class Normalization(nn.Module):
    """(x - mean) / std with the constants of the network's training, kept beside its weights."""

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        """RGB in [0, 255], ``[..., H, W, 3]``, to what the first layer was trained on."""
        mean, std = (self._constant(name, image) for name in ("mean", "std"))
        return (image - mean) / std

    def _constant(self, name: str, image: jax.Array) -> jax.Array:
        if self.is_initializing():
            value = self.param(name, nn.initializers.ones, (3,))
        else:  # [3], or a mean image [H, W, 3]: Linen's param() would insist on one of them
            value = self.get_variable("params", name)
        if value.ndim == 3 and value.shape != image.shape[-3:]:
            value = value.mean(axis=(0, 1))  # a mean image of another size: its mean pixel
        return jnp.broadcast_to(value.astype(image.dtype), image.shape)
