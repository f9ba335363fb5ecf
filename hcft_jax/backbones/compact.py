"""A small three-level network that ships with the package, as a pure function.

It replaces VGG-19: its levels have the names of the layers whose places they take, so that every
configuration of those layers also fits this network. It reads the search window at 112 px and takes
less than a hundredth of the operations. ``hcft_jax.experiments.learn_features`` learned it.

A stem halves the patch, and the second block halves the maps again; the later convolutions of a
block are residual (He et al., 2016). The deepest level has the largest receptive field and is no
coarser than the second: it alone decides where the others look (Eq. 5). A level is a linear map of
its block, without a ReLU; each cell is then normalised over its channels, like blocks of HOG (Dalal
and Triggs, 2005), so that a filter does not learn strong edges alone.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from hcft_jax.backbones import winograd
from hcft_jax.backbones.backbone import Backbone, Params, Shape, standardised
from hcft_jax.backbones.products import FLOAT32, Precision, convolution

WIDTHS = {1: 32, 2: 64, 3: 96}  # channels of a block
DEPTHS = {1: 1, 2: 2, 3: 3}  # convolutions of a block; those after the first one are residual
STRIDES = {1: 1, 2: 2, 3: 1}  # of a block's first convolution; that of the stem is 2
LEVELS = {1: "conv3_4", 2: "conv4_4", 3: "conv5_4"}  # the map of a block
CHANNELS = {1: 12, 2: 40, 3: 64}  # of the maps
INPUT = 112  # side of the patch it was trained on, pixels
STEM = 5  # side of the stem's kernel
WEAK = 0.1  # energy below which a cell stays weaker than the others


def shapes() -> dict[str, Shape]:
    """Return the kernel shape (HWIO) of each convolution, in the order of computation."""
    found: dict[str, Shape] = {"stem": (STEM, STEM, 3, WIDTHS[1])}
    width = WIDTHS[1]
    for block, depth in DEPTHS.items():
        for index in range(1, depth + 1):
            found[f"block{block}_{index}"] = (3, 3, width, WIDTHS[block])
            width = WIDTHS[block]
        found[LEVELS[block]] = (1, 1, width, CHANNELS[block])
    return found


def features(
    params: Params,
    image: jax.Array,
    layers: Sequence[str],
    precision: Precision = FLOAT32,
) -> dict[str, jax.Array]:
    """Return the wanted levels of an RGB image ``[..., H, W, 3]`` in [0, 255].

    Args:
        params: ``{"stem": {"kernel", "bias"}, "block1_1": ..., "normalization": {"mean", "std"}}``.
        image: Any float dtype; H and W at least 8 for the deepest level to have two cells.
        layers: Values of ``LEVELS``.
        precision: The precision of the products.

    Returns:
        ``{name: [..., H / s, W / s, channels]}`` (rounded up), s the product of strides so far.
    """

    def convolved(name: str, x: jax.Array, stride: int = 1) -> jax.Array:
        if "winograd" in params[name]:
            y = winograd.convolve(precision.rounded(x), params[name]["winograd"])
        else:
            y = convolution(x, params[name]["kernel"], precision, stride)
        return y + jnp.broadcast_to(params[name]["bias"].astype(y.dtype), y.shape)

    x = jax.nn.relu(convolved("stem", standardised(params, image), 2))
    maps = {}
    for block, depth in DEPTHS.items():
        for index in range(1, depth + 1):
            name = f"block{block}_{index}"
            if index == 1:
                x = jax.nn.relu(convolved(name, x, STRIDES[block]))
            else:
                x = jax.nn.relu(x + convolved(name, x))
        if LEVELS[block] in layers:
            maps[LEVELS[block]] = normalised(convolved(LEVELS[block], x))
        if not set(layers) - set(maps):
            break
    return maps


def normalised(x: jax.Array) -> jax.Array:
    """Scale features ``[..., C]`` to a mean square of 1 per cell, or less where they are weak."""
    energy = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(energy + jnp.asarray(WEAK, x.dtype))


def prepared(params: Params) -> Params:
    """Return the parameters for CPUs: kernels of stride 1 transformed for Winograd's algorithm.

    On CPUs it takes 0.6 to 0.8 times as long. To learn parameters, take the kernels themselves.
    """
    names = (
        f"block{block}_{index}"
        for block, depth in DEPTHS.items()
        for index in range(1, depth + 1)
        if index > 1 or STRIDES[block] == 1
    )
    return params | {
        name: {"winograd": winograd.transform(params[name]["kernel"]), "bias": params[name]["bias"]}
        for name in names
    }


def _side(layer: str, size: int) -> int:
    block = next(block for block, name in LEVELS.items() if name == layer)
    stride = 2 * math.prod(STRIDES[b] for b in range(1, block + 1))
    return -(-size // stride)


BACKBONE = Backbone(
    name="compact",
    title="Compact",
    layers=tuple(LEVELS.values()),
    features=features,
    shapes=lambda _: shapes(),
    side=_side,
    input_size=lambda _: INPUT,
    environment="HCFT_WEIGHTS_COMPACT",
    shipped=Path(__file__).with_name("compact.npz"),
    chain=False,
    prepared=prepared,
)
