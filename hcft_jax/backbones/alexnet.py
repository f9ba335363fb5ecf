"""AlexNet up to conv5 as a pure Linen module: the paper's Figure 7 compares VGG-19 with it.

Two published networks have this name and these five layers; a third differs in one step:

=================================  ===========  ===========  ===========
what                               two towers   one tower    CaffeNet
=================================  ===========  ===========  ===========
outputs of conv1, conv2            96, 256      64, 192      96, 256
outputs of conv3, conv4, conv5     384 384 256  384 256 256  384 384 256
groups of conv2, conv4, conv5      2            1            2
padding of conv1                   0            2            0
after the ReLU of conv1 and conv2  LRN, pool    pool         pool, LRN
input                              227          224          227
=================================  ===========  ===========  ===========

Two towers: Krizhevsky, Sutskever and Hinton, 2012, as trained in Caffe (``bvlc_alexnet``,
MatConvNet's ``imagenet-caffe-alex``). One tower: Krizhevsky, "One weird trick for parallelizing
convolutional neural networks", 2014 (torchvision's ``alexnet``). CaffeNet: Caffe's reference model
(``imagenet-caffe-ref``). All have kernels of 11, 5, 3, 3 and 3 cells, stride 4 in conv1, and max
pooling of 3 cells with stride 2. The parameters say which one it is by a
static entry ``architecture`` (see ``backbone``).

Contract as for ``vgg``: images are RGB in [0, 255], ``[..., H, W, 3]``; the normalisation of the
training is the first step; every map is taken after its ReLU, before LRN and pooling.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hcft_jax.backbones.backbone import (
    Backbone,
    Description,
    Normalization,
    Operation,
    Params,
    Release,
    Shape,
    kernel_of,
)
from hcft_jax.backbones.products import FLOAT32, Precision, convolution

LAYERS: tuple[str, ...] = ("conv1", "conv2", "conv3", "conv4", "conv5")
"""The five layer names, shallow to deep."""

_KERNELS = (11, 5, 3, 3, 3)
_STRIDE = 4  # of conv1
_POOLED = ("conv1", "conv2")  # the layers that are pooled before the next one
_POOL = 3
_POOL_STRIDE = 2
_WIDEST = 8192  # channels; far above what the networks have
_LARGEST_INPUT = 1024  # pixels


@jax.tree_util.register_static
@dataclass(frozen=True)
class Architecture:
    """The values that distinguish one AlexNet from another.

    Attributes:
        widths: Outputs of each layer.
        groups: Parts into which the channels of each layer are split, each convolved by itself.
        padding: Zeros around the input of conv1, in pixels; the other layers keep their size.
        normalization: n, k, alpha and beta of the normalisation over channels, as in MatConvNet:
            ``x / (k + alpha * sum of the n neighbours' squares) ^ beta`` (Caffe and PyTorch divide
            their alpha by n). None: There is no normalisation.
        normalized_first: Whether it comes before pooling.
        pool_padding: Rows and columns that are added at the end of a map before pooling: 0 rounds
            the size of the pooled map down (MatConvNet's older files, PyTorch), 1 up (Caffe). At
            the input size of the training both give the same size.
        input_size: Side of the input in the training, in pixels.
    """

    widths: tuple[int, ...]
    groups: tuple[int, ...]
    padding: int
    normalization: tuple[int, float, float, float] | None
    normalized_first: bool
    pool_padding: int
    input_size: int

    def __post_init__(self) -> None:
        sizes = (*self.widths, *self.groups, self.padding, self.pool_padding, self.input_size)
        if not all(type(size) is int and size <= _WIDEST for size in sizes):
            raise ValueError(f"widths, groups and paddings are whole numbers up to {_WIDEST}")
        inputs = (3, *self.widths[:-1])
        channels = zip(inputs, self.widths, self.groups, strict=True)
        if len(self.widths) != len(LAYERS) or any(
            g < 1 or c < 1 or c % g or n % g for c, n, g in channels
        ):
            raise ValueError(f"{self.groups} groups do not split widths of {self.widths}")
        if self.normalization is not None:
            n, k, alpha, beta = self.normalization
            whole = type(n) is int and 1 <= n <= _WIDEST
            if not (whole and 0 < k < math.inf and 0 <= alpha < math.inf and 0 <= beta < math.inf):
                raise ValueError(f"n, k, alpha, beta of {self.normalization} normalise nothing")
        if self.padding not in range(_KERNELS[0]) or self.pool_padding not in (0, 1):
            raise ValueError(f"a padding of {self.padding} and {self.pool_padding}")
        if type(self.normalized_first) is not bool:
            raise ValueError("normalized_first is not true or false")
        if not 1 <= self.input_size <= _LARGEST_INPUT:
            raise ValueError(f"an input of {self.input_size} pixels")


TWO_TOWERS = Architecture(
    widths=(96, 256, 384, 384, 256),
    groups=(1, 2, 1, 2, 2),
    padding=0,
    normalization=(5, 1.0, 2e-5, 0.75),
    normalized_first=True,
    pool_padding=0,
    input_size=227,
)
ONE_TOWER = Architecture(
    widths=(64, 192, 384, 256, 256),
    groups=(1, 1, 1, 1, 1),
    padding=2,
    normalization=None,
    normalized_first=True,
    pool_padding=0,
    input_size=224,
)


def shapes(architecture: Architecture) -> dict[str, Shape]:
    """Return the kernel shape (HWIO) of each layer."""
    inputs = (3, *architecture.widths)
    return {
        name: (_KERNELS[i], _KERNELS[i], inputs[i] // architecture.groups[i], inputs[i + 1])
        for i, name in enumerate(LAYERS)
    }


class GroupedConvolution(nn.Module):
    """A convolution in groups: each part of the channels by itself, the results side by side.

    Not ``nn.Conv`` with ``feature_group_count``: for that XLA's CPU backend took three times as
    long over the whole network (jax 0.10.2).
    """

    shape: Shape  # of the kernel
    groups: int
    stride: int
    padding: int
    precision: Precision

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[B, H, W, C]`` to ``[B, h, w, shape[3]]``."""
        kernel = kernel_of(self, self.shape)
        bias = self.param("bias", nn.initializers.zeros, (self.shape[3],))
        parts = [
            convolution(part, weights, self.precision, self.stride, [(self.padding,) * 2] * 2)
            for part, weights in zip(
                jnp.split(x, self.groups, axis=-1),
                jnp.split(kernel, self.groups, axis=-1),
                strict=True,
            )
        ]
        y = jnp.concatenate(parts, axis=-1)
        return y + bias.astype(y.dtype)[None, None, None]


def normalize_channels(x: jax.Array, n: int, k: float, alpha: float, beta: float) -> jax.Array:
    """Apply local response normalisation (Krizhevsky et al., 2012, section 3.3) to ``[..., C]``.

    An even number ``n`` of neighbours has one more above than below, as in MatConvNet.
    """
    squares = jnp.pad(x * x, [(0, 0)] * (x.ndim - 1) + [((n - 1) // 2, n // 2)])
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(n))
    return x * (k + alpha * total) ** -beta


class AlexNet(nn.Module):
    """The convolutional part of AlexNet, no deeper than the deepest of ``layers``.

    Attributes:
        layers: Names from ``LAYERS`` whose maps are wanted, in any order.
        architecture: Which AlexNet it is.
        precision: The precision of the products.
    """

    layers: tuple[str, ...]
    architecture: Architecture
    precision: Precision = FLOAT32

    @nn.compact
    def __call__(self, image: jax.Array) -> dict[str, jax.Array]:
        """Return the named post-ReLU maps of an RGB image in [0, 255].

        Args:
            image: Float ``[..., H, W, 3]``; H and W at least 35 for conv3 and deeper.

        Returns:
            ``{name: [..., h, w, width]}``; at the input size of the training, the maps have sides
            of 55, 27, 13, 13 and 13 cells.
        """
        deepest = max(LAYERS.index(name) for name in self.layers)
        x = Normalization(name="normalization")(image)
        leading = x.shape[:-3]
        x = x.reshape(-1, *x.shape[-3:])
        maps = {}
        for i, (name, shape) in enumerate(shapes(self.architecture).items()):
            if i > deepest:
                break
            if i and LAYERS[i - 1] in _POOLED:
                x = self._reduced(x)
            first = i == 0
            convolution = GroupedConvolution(
                shape,
                self.architecture.groups[i],
                stride=_STRIDE if first else 1,
                padding=self.architecture.padding if first else _KERNELS[i] // 2,
                precision=self.precision,
                name=name,
            )
            x = nn.relu(convolution(x))
            if name in self.layers:
                maps[name] = x.reshape(*leading, *x.shape[1:])
        return maps

    def _reduced(self, x: jax.Array) -> jax.Array:
        """Normalise over channels and pool, in the architecture's order."""
        constants = self.architecture.normalization
        if constants is not None and self.architecture.normalized_first:
            x = normalize_channels(x, *constants)
        end = (0, self.architecture.pool_padding)
        x = nn.max_pool(x, (_POOL, _POOL), (_POOL_STRIDE, _POOL_STRIDE), (end, end))
        if constants is not None and not self.architecture.normalized_first:
            x = normalize_channels(x, *constants)
        return x


def features(
    params: Params,
    image: jax.Array,
    layers: Sequence[str],
    precision: Precision = FLOAT32,
) -> dict[str, jax.Array]:
    """Apply ``AlexNet(layers, ...)`` as a pure function of its parameters and an image."""
    arrays = {name: value for name, value in params.items() if name != "architecture"}
    network = AlexNet(tuple(layers), params["architecture"], precision)
    return network.apply({"params": arrays}, image)  # type: ignore[return-value]


def describe(description: Description) -> Architecture:
    """Return the architecture of a foreign file.

    Widths and groups are those of its kernels. The rest is read from its list of operations; a file
    without one (PyTorch's, .npz) is the two-tower network if it has groups, else the one-tower one.

    Raises:
        ValueError: The network is not an AlexNet; the message says in what way.
    """
    kernels = [description.kernels[name] for name in LAYERS]
    widths = tuple(kernel[3] for kernel in kernels)
    inputs = (3, *widths)
    groups = tuple(inputs[i] // max(kernel[2], 1) for i, kernel in enumerate(kernels))
    for i, (name, kernel) in enumerate(zip(LAYERS, kernels, strict=True)):
        if kernel[2] * groups[i] != inputs[i]:
            raise ValueError(f"{name} has kernels of {kernel[2]} channels for {inputs[i]}")
    published = ONE_TOWER if max(groups) == 1 else TWO_TOWERS
    if description.operations is None:
        rest = {
            name: getattr(published, name)
            for name in ("padding", "normalization", "normalized_first", "pool_padding")
        }
    else:
        rest = _chain(description.operations)
    size = description.input_size or published.input_size
    return Architecture(widths=widths, groups=groups, input_size=size, **rest)


def _chain(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return what the operations say: padding, normalisation and pooling."""
    names = [operation.name for operation in operations]
    starts = [names.index(name) for name in LAYERS]
    reductions = []
    for i, start in enumerate(starts):
        convolution, following = operations[start], operations[start + 1 : (*starts, None)[i + 1]]
        stride, padding = (1, _KERNELS[i] // 2) if i else (_STRIDE, convolution.pad[0])
        if set(convolution.stride) != {stride} or set(convolution.pad) != {padding}:
            raise ValueError(
                f"{LAYERS[i]} has stride {convolution.stride} and padding {convolution.pad}"
            )
        kinds = [operation.kind for operation in following]
        if kinds[:1] != ["relu"]:
            raise ValueError(f"{LAYERS[i]} is not followed by a ReLU")
        if LAYERS[i] in _POOLED:
            reductions.append(_reduction(LAYERS[i], following[1:]))
        elif LAYERS[i] != LAYERS[-1] and kinds != ["relu"]:
            raise ValueError(f"{LAYERS[i]} is followed by {', '.join(kinds)}")
    if reductions[0] != reductions[1]:
        raise ValueError("conv1 and conv2 are normalised or pooled in different ways")
    return {"padding": operations[starts[0]].pad[0], **reductions[0]}


def _reduction(layer: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the normalisation and pooling after the ReLU of a layer."""
    kinds = [operation.kind for operation in operations]
    if kinds not in (["normalize", "pool"], ["pool", "normalize"], ["pool"]):
        raise ValueError(f"{layer} and its ReLU are followed by {', '.join(kinds) or 'nothing'}")
    pool = operations[kinds.index("pool")]
    top, bottom, left, right = pool.pad
    fits = set(pool.window) == {_POOL} and set(pool.stride) == {_POOL_STRIDE}
    if not fits or top or left or bottom != right:
        raise ValueError(
            f"{pool.name} has window {pool.window}, stride {pool.stride} and padding {pool.pad}"
        )
    constants = None
    if "normalize" in kinds:
        norm = operations[kinds.index("normalize")]
        if len(norm.parameters) != 4 or norm.parameters[0] % 1:
            raise ValueError(f"{norm.name} has parameters {norm.parameters}, not n, k, alpha, beta")
        constants = (int(norm.parameters[0]), *norm.parameters[1:])
    return {
        "normalization": constants,
        "normalized_first": kinds[0] == "normalize" or constants is None,
        "pool_padding": bottom,
    }


def _side(layer: str, size: int) -> int:
    """Return the side of a map in cells, without any padding that an architecture may have."""
    cells = (size - _KERNELS[0]) // _STRIDE + 1
    for _ in _POOLED[: LAYERS.index(layer)]:
        cells = (cells - _POOL) // _POOL_STRIDE + 1
    return max(cells, 0)


BACKBONE = Backbone(
    name="alexnet",
    title="AlexNet",
    layers=LAYERS,
    features=features,
    shapes=shapes,
    side=_side,
    input_size=lambda params: params["architecture"].input_size,
    environment="HCFT_WEIGHTS_ALEXNET",
    architecture=TWO_TOWERS,
    describe=describe,
    # torchvision's file; its name has the first eight digits of its SHA-256
    release=Release(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "sha256:7be5be79"
    ),
    torch={name: f"features.{i}" for name, i in zip(LAYERS, (0, 3, 6, 8, 10), strict=True)},
    torch_presets=("torchvision",),
)
