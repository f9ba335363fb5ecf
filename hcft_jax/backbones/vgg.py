"""VGG-19 up to conv5_4 (Simonyan and Zisserman, 2015) as a pure Linen module.

Contract: images are RGB in [0, 255], NHWC or HWC, any float dtype. The training's normalisation
(mean and standard deviation) is the network's first step, so that weights and preprocessing always
fit each other. Parameters are a plain nested dict::

    {"normalization": {"mean": [3] or [H, W, 3], "std": [3]},
     "conv1_1": {"kernel": [3, 3, 3, 64], "bias": [64]}, ..., "conv5_4": {...}}

Every map is taken after its ReLU and before pooling, as in the paper.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from hcft_jax.backbones import winograd
from hcft_jax.backbones.backbone import (
    Backbone,
    Normalization,
    Params,
    Release,
    kernel_of,
)
from hcft_jax.backbones.products import FLOAT32, Precision, convolution

WIDTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
_DEPTHS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}

LAYERS: tuple[str, ...] = tuple(
    f"conv{block}_{index}" for block, depth in _DEPTHS.items() for index in range(1, depth + 1)
)
"""The sixteen layer names, shallow to deep."""


def shapes() -> dict[str, tuple[int, int, int, int]]:
    """Return the kernel shape (HWIO) of each layer."""
    widths = [3, *(WIDTHS[_block(name)] for name in LAYERS)]
    return {name: (3, 3, widths[i], widths[i + 1]) for i, name in enumerate(LAYERS)}


def _block(name: str) -> int:
    return int(name[len("conv")])


class Convolution(nn.Module):
    """A 3 x 3 convolution, zero-padded; by Winograd's algorithm if its kernel is ``prepared``."""

    width: int
    precision: Precision

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[..., H, W, C]`` to ``[..., H, W, width]``."""
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        if self.has_variable("params", "winograd"):
            transformed: jax.Array = self.get_variable("params", "winograd")
            y = winograd.convolve(self.precision.rounded(x), transformed)
        else:
            kernel = kernel_of(self, (3, 3, x.shape[-1], self.width))
            y = convolution(x, kernel, self.precision)
        return y + jnp.broadcast_to(bias.astype(y.dtype), y.shape)


class VGG19(nn.Module):
    """The convolutional part of VGG-19, no deeper than the deepest of ``layers``.

    Attributes:
        layers: Names from ``LAYERS`` whose maps are wanted, in any order.
        precision: The precision of the products.
    """

    layers: tuple[str, ...]
    precision: Precision = FLOAT32

    @nn.compact
    def __call__(self, image: jax.Array) -> dict[str, jax.Array]:
        """Return the named post-ReLU maps of an RGB image in [0, 255].

        Args:
            image: Float ``[..., H, W, 3]``; H and W at least 16 for block 5.

        Returns:
            ``{name: [..., H / 2^(b-1), W / 2^(b-1), widths of block b]}`` (halves rounded down).
        """
        deepest = max(LAYERS.index(name) for name in self.layers)
        x = Normalization(name="normalization")(image)
        maps = {}
        for i, name in enumerate(LAYERS[: deepest + 1]):
            if i and name.endswith("_1"):
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = nn.relu(Convolution(WIDTHS[_block(name)], self.precision, name=name)(x))
            if name in self.layers:
                maps[name] = x
        return maps


def prepared(params: Params) -> Params:
    """Return the parameters for CPUs: blocks 3 to 5 transformed for Winograd's algorithm.

    It takes 0.5 to 0.6 times as long as XLA's convolution there. The larger maps of blocks 1 and 2
    would gain nothing: for them one core of Zen 5 took 1.05 to 1.3 times as long, and 2 to 3.5
    times where each memory page of the larger tiles had to be requested from the system. To learn
    parameters, take the kernels themselves.
    """
    return params | {
        name: {"winograd": winograd.transform(params[name]["kernel"]), "bias": params[name]["bias"]}
        for name in LAYERS
        if _block(name) >= 3
    }


def features(
    params: Params,
    image: jax.Array,
    layers: Sequence[str],
    precision: Precision = FLOAT32,
) -> dict[str, jax.Array]:
    """Apply ``VGG19(layers)`` as a pure function of its parameters and an image.

    With ``prepared`` parameters the images of a batch are computed one after the other: a CPU's
    caches hold the maps and tiles of one image, but not those of many.
    """
    network = VGG19(tuple(layers), precision)

    def maps(image: jax.Array) -> dict[str, jax.Array]:
        return network.apply({"params": params}, image)  # type: ignore[return-value]

    batch = image.shape[:-3]
    if math.prod(batch) == 1 or not any("winograd" in params[name] for name in LAYERS):
        return maps(image)
    each = jax.lax.map(maps, image.reshape(-1, *image.shape[-3:]))
    return {name: of.reshape(*batch, *of.shape[1:]) for name, of in each.items()}


BACKBONE = Backbone(
    name="vgg19",
    title="VGG-19",
    layers=LAYERS,
    features=features,
    shapes=lambda _: shapes(),
    side=lambda layer, size: size >> (_block(layer) - 1),
    input_size=lambda _: 224,
    environment="HCFT_WEIGHTS",
    release=Release(
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:253f8cb515780f3b799900260a226db6",
    ),
    torch={
        name: f"features.{index}"
        for name, index in zip(
            LAYERS, (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34), strict=True
        )
    },
    torch_presets=("torchvision", "caffe"),
    keras={name: f"block{name[4]}_conv{name[6]}" for name in LAYERS},
    prepared=prepared,
)
