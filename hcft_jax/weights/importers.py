"""Readers of other programs' weights files, which convert to this package's convention.

The convention (see ``backbone``): kernels HWIO for cross-correlation, images RGB in [0, 255], and
the mean and standard deviation of the training. The sources have:

=============  ======  ========  =====================================  ====================
file           layout  channels  mean (RGB)                             standard deviation
=============  ======  ========  =====================================  ====================
MatConvNet     HWIO    RGB       in the file: an image or three values  1
Keras          HWIO    BGR       123.68, 116.779, 103.939               1
.npz           HWIO    RGB       ``mean_rgb`` in the file               1, or ``std`` in it
torchvision    OIHW    RGB       255 * (0.485, 0.456, 0.406)            255 * (0.229, 0.224, 0.225)
Caffe's .pth   OIHW    BGR       123.68, 116.779, 103.939               1
EfficientNet   OIHW    RGB       127                                    128
=============  ======  ========  =====================================  ====================

Sources: the "normalization" of the models of vlfeat.org/matconvnet/pretrained,
``keras.applications.imagenet_utils.preprocess_input`` (mode "caffe"), and
``torchvision.models.VGG19_Weights.IMAGENET1K_V1`` (and ``AlexNet_Weights``), and the PyTorch port
``efficientnet_lite_pytorch`` of TensorFlow's EfficientNet-Lite. Kernels stay as they are, except
that the first kernel of a BGR source has its input axis reversed, and that batch normalisations
become part of the kernel and bias before them.

The names of its layers tell which network a file holds. The readers accept any widths;
``native.validate`` requires those of the network.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.backbones.backbone import Backbone, Description, Operation, Params
from hcft_jax.backbones.registry import BACKBONES
from hcft_jax.util import npz, opening
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.text import shown
from hcft_jax.weights import keras_file, matconvnet, safetensors_file, torch_file

OXFORD_MEAN = (123.68, 116.779, 103.939)  # RGB, [0, 255]
TORCHVISION_MEAN = (0.485, 0.456, 0.406)  # RGB, [0, 1]
TORCHVISION_STD = (0.229, 0.224, 0.225)

EFFICIENTNET_MEAN, EFFICIENTNET_STD = (127.0,) * 3, (128.0,) * 3  # RGB, [0, 255]
_NORM_EPSILON = 1e-3  # of EfficientNet's batch normalisations

_RATIO = (
    16  # how many times larger than their file parameters are: half of a halved network's zeros
)
PRESETS = ("matconvnet", "keras", "npz", "torchvision", "caffe", "efficientnet_lite")


@dataclass(frozen=True)
class Imported:
    """Parameters in this package's convention, and their origin."""

    params: Params
    backbone: Backbone
    preset: str
    channel_order: str  # of the source


def sniff(path: Path) -> str:
    """Return the format of a file by its content.

    It is 'npz' (also native), 'keras', 'mat', 'pth' or 'safetensors'.

    Raises:
        InputError: The file is missing, a folder, empty, or of no known format.
    """
    try:
        with opening.regular(path, opening.WEIGHTS) as file:
            head = file.read(512)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give a weights file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: a folder; give the weights file inside it") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if not head:
        raise InputError(f"{path}: empty; download or convert it again")
    if head.startswith(b"PK"):
        return "pth" if torch_file.is_zip(path) else "npz"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if head.startswith((b"MATLAB 5.0", b"MATLAB 7.3")):
        return "mat"
    if head.startswith(b"\x80"):  # PROTO, the first opcode of a pickle
        return "pth"
    if safetensors_file.is_one(head):
        return "safetensors"
    if b"ustar" in head:
        raise InputError(
            f"{path}: a tar archive (PyTorch before 0.2?); load and save it again with PyTorch"
        )
    web = b"<html" in head.lower() or b"<!doctype" in head.lower()
    what = "a web page (a failed download?)" if web else "not a weights file of a known format"
    raise InputError(
        f"{path}: {what}; expected .npz, MatConvNet .mat, Keras .h5, PyTorch .pth or .safetensors "
        f"of {_titles()}"
    )


def read(path: str | Path, preset: str | None = None) -> Imported:
    """Read a foreign file.

    Args:
        path: The file; its format and network are found by content, not by name.
        preset: One of ``PRESETS``; needed for VGG-19's .pth or .safetensors, where torchvision's
            training and the one converted from Caffe differ in channel order and scale but not in
            form.

    Raises:
        InputError: The file is unreadable or foreign, a layer is missing or malformed, or the
            preset is missing or does not fit the file.
    """
    path = Path(path)
    kind = sniff(path)
    if kind in ("pth", "safetensors"):
        return _read_torch(path, preset, torch_file if kind == "pth" else safetensors_file)
    own, reader = {
        "npz": ("npz", _read_npz),
        "keras": ("keras", _read_keras),
        "mat": ("matconvnet", _read_matconvnet),
    }[kind]
    _fitting(path, preset, (own,))
    return reader(path)


def _fitting(path: Path, preset: str | None, possible: tuple[str, ...]) -> None:
    if preset is not None and preset not in possible:
        fitting = " or ".join(possible)
        raise SettingError("preset", f"{preset} does not fit {path}, which takes {fitting}")


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an .npz without ever unpickling.

    Raises:
        InputError: The file cannot be read, is truncated or too large, or has Python objects in it.
    """
    try:
        return npz.read(path, opening.WEIGHTS, ratio=_RATIO)
    except OSError as error:
        raise npz.damaged(path, error) from error


def _titles() -> str:
    return " or ".join(backbone.title for backbone in BACKBONES.values())


def _network(
    path: Path, found: Collection[str], wanted: Callable[[Backbone], Iterable[str]]
) -> Backbone:
    """Return the backbone whose names, as ``wanted`` spells them for the format, are all found.

    Raises:
        InputError: There is none; the message names what the likeliest backbone lacks, which is the
            one that most of the names in the file are of, and of two the one that lacks least.
    """
    likeliest: tuple[int, int, list[str], str] | None = None
    for backbone in BACKBONES.values():
        if names := list(wanted(backbone)):
            missing = [name for name in names if name not in found]
            if not missing:
                return backbone
            fitting = len(names) - len(missing)
            fit = (-fitting, len(missing) if fitting else 0, missing, backbone.title)
            likeliest = fit if likeliest is None else min(likeliest, fit, key=lambda f: f[:2])
    assert likeliest is not None
    unlike, _, missing, title = likeliest
    title = title if unlike else _titles()
    some = ", ".join(map(shown, list(found)[:4])) or "nothing"
    raise InputError(f"{path}: no layer {missing[0]}; not a file of {title} (it has {some}, ...)")


def _layers(backbone: Backbone) -> list[str]:
    """Return all layers of a network that have parameters; none where it has no parameters."""
    return list(backbone.shapes(backbone.architecture))


def _imported(
    path: Path,
    backbone: Backbone,
    layers: dict[str, tuple[Any, Any]],
    normalization: dict[str, np.ndarray],
    preset: str,
    channel_order: str,
    operations: Sequence[Operation] | None = None,
    input_size: int | None = None,
) -> Imported:
    """Return the parameters from the layers' kernels (HWIO) and biases as found."""
    params: Params = {}
    for name, shape in backbone.shapes(backbone.architecture).items():
        params[name] = _layer(*layers[name], name, shape[:2], path, backbone.title)
    if channel_order == "BGR":
        first = params[backbone.layers[0]]
        first["kernel"] = np.ascontiguousarray(first["kernel"][:, :, ::-1])
    params["normalization"] = normalization
    if backbone.describe is not None:
        kernels = {name: params[name]["kernel"].shape for name in backbone.layers}
        try:
            params["architecture"] = backbone.describe(Description(kernels, operations, input_size))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{path}: not {backbone.title}: {error}") from error
    return Imported(params, backbone, preset, channel_order)


def _layer(
    kernel: Any, bias: Any, name: str, size: tuple[int, ...], path: Path, title: str
) -> dict[str, np.ndarray]:
    """Return a float32 HWIO kernel, with the trailing axes that MATLAB drops, and a flat bias."""
    arrays = []
    for part, value in (("kernel", kernel), ("bias", bias)):
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            what = value.dtype if isinstance(value, np.ndarray) else "no array"
            raise InputError(f"{path}: the {part} of {name} is {what}, not floating point")
        with np.errstate(over="ignore"):  # becomes inf, which the validation reports
            arrays.append(value.astype(np.float32))
    kernel, bias = arrays[0], arrays[1].ravel()
    if kernel.ndim < 4:
        kernel = kernel.reshape(kernel.shape + (1,) * (4 - kernel.ndim))
    if kernel.ndim != 4 or kernel.shape[:2] != size or kernel.shape[3] != bias.size:
        raise InputError(
            f"{path}: {name} has a kernel of shape {kernel.shape} and {bias.size} biases; expected "
            f"{size[0]} x {size[1]} x inputs x outputs (not {title}, or not this format's layout)"
        )
    return {"kernel": kernel, "bias": bias}


def _normalization(mean: Any, std: Any, path: Path) -> dict[str, np.ndarray]:
    """Return the mean as three numbers if it is constant per channel, else as an image; and std."""
    constants = []
    for part, value in (("mean", mean), ("standard deviation", std)):
        array = np.asarray([] if value is None or isinstance(value, str) else value)
        image = part == "mean" and array.ndim == 3 and array.shape[2:] == (3,)
        if array.dtype.kind not in "fiu" or not (array.size == 3 or (image and array.size)):
            raise InputError(
                f"{path}: its {part} has shape {array.shape} and dtype {array.dtype}; expected "
                f"three numbers{' or an image of three channels' if part == 'mean' else ''}"
            )
        with np.errstate(over="ignore"):
            constants.append(array.astype(np.float32))
    mean, std = constants
    if mean.size == 3:
        mean = mean.ravel()
    elif np.all(mean == mean[0, 0]):
        mean = mean[0, 0]
    return {"mean": mean, "std": std.ravel()}


def _read_npz(path: Path) -> Imported:
    arrays = open_npz(path)
    backbone = _network(
        path,
        arrays,
        lambda b: [
            *(f"{name}/{part}" for name in _layers(b) for part in ("kernel", "bias")),
            *(["mean_rgb"] if _layers(b) else []),
        ],
    )
    names = _layers(backbone)
    layers = {name: (arrays[f"{name}/kernel"], arrays[f"{name}/bias"]) for name in names}
    normalization = _normalization(arrays["mean_rgb"], arrays.get("std", np.ones(3)), path)
    return _imported(path, backbone, layers, normalization, "npz", "RGB")


def _read_keras(path: Path) -> Imported:
    wanted = [group for backbone in BACKBONES.values() for group in backbone.keras.values()]
    names, arrays = keras_file.read(path, wanted)
    backbone = _network(path, names, lambda b: b.keras.values())
    layers = {
        name: (arrays[f"{group}/kernel"], arrays[f"{group}/bias"])
        for name, group in backbone.keras.items()
    }
    normalization = _normalization(OXFORD_MEAN, (1, 1, 1), path)
    return _imported(path, backbone, layers, normalization, "keras", "BGR")


def _read_matconvnet(path: Path) -> Imported:
    network = matconvnet.read(path)
    names = [operation.name for operation in network.operations]
    backbone = _network(path, names, _layers)
    layers = {}
    for name in _layers(backbone):
        parts = network.weights.get(name, [])
        if len(parts) != 2:
            raise InputError(f"{path}: layer {name} has no filters and biases")
        layers[name] = (parts[0], parts[1])
    if network.mean is None:
        raise InputError(f"{path}: no normalization.averageImage; take the original file")
    normalization = _normalization(network.mean, (1, 1, 1), path)
    return _imported(
        path,
        backbone,
        layers,
        normalization,
        "matconvnet",
        "RGB",
        network.operations,
        network.input_size,
    )


def _read_torch(path: Path, preset: str | None, reader: Any) -> Imported:
    # not the classifiers, which are many times as large
    parts = {name.partition(".")[0] for b in BACKBONES.values() for name in _torch_tensors(b)}
    found = reader.read(path, lambda name: _unwrapped(name).partition(".")[0] in parts)
    tensors = {_unwrapped(name): tensor for name, tensor in found.items()}
    if len(tensors) < len(found):
        raise InputError(f"{path}: several networks, one within the other; save the one alone")
    if "features.1.running_mean" in tensors and "features.0.weight" in tensors:
        count = sum(tensor.ndim == 4 for tensor in tensors.values())
        raise InputError(
            f"{path}: VGG-{count + 3} with batch normalisation (vgg{count + 3}_bn), which is "
            "another network; take VGG-19 without it (torchvision's vgg19)"
        )
    backbone = _network(path, tensors, _torch_tensors)
    _fitting(path, preset, backbone.torch_presets)
    if preset is None and len(backbone.torch_presets) > 1:
        first, *others = backbone.torch_presets
        raise InputError(
            f"{path}: a .pth of {backbone.title} does not say which training it is; run 'python -m "
            f"hcft_jax.weights convert {path} {backbone.name}.npz --preset={first}' "
            f"(or --preset={' or '.join(others)}) and use the result"
        )
    preset = preset or backbone.torch_presets[0]
    layers = {}
    for name, key in backbone.torch.items():
        kernel = tensors[f"{key}.weight"]
        if kernel.ndim != 4:
            raise InputError(f"{path}: {key}.weight has shape {kernel.shape}; expected four axes")
        kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        if norm := backbone.torch_norms.get(name):
            layers[name] = _normed(path, kernel, tensors, norm)
        else:
            layers[name] = (kernel, tensors[f"{key}.bias"])
    if preset == "efficientnet_lite":
        mean, std, order = np.array(EFFICIENTNET_MEAN), np.array(EFFICIENTNET_STD), "RGB"
    elif preset == "caffe":
        mean, std, order = np.array(OXFORD_MEAN), np.ones(3), "BGR"
    else:
        mean, std, order = 255 * np.array(TORCHVISION_MEAN), 255 * np.array(TORCHVISION_STD), "RGB"
    normalization = _normalization(mean, std, path)
    return _imported(path, backbone, layers, normalization, preset, order)


_WRAPPERS = ("module", "_orig_mod", "model", "net", "network", "backbone", "encoder")


def _unwrapped(name: str) -> str:
    """Return a tensor's name without what DataParallel, torch.compile and trainers put before."""
    while (parts := name.partition("."))[0] in _WRAPPERS and parts[2]:
        name = parts[2]
    return name


_NORM = ("weight", "bias", "running_mean", "running_var")


def _torch_tensors(backbone: Backbone) -> list[str]:
    """Return the names of a network's tensors in a ``state_dict``."""
    norms = backbone.torch_norms
    return [
        *(f"{key}.weight" for key in backbone.torch.values()),
        *(f"{key}.bias" for layer, key in backbone.torch.items() if layer not in norms),
        *(f"{key}.{part}" for key in norms.values() for part in _NORM),
    ]


def _normed(
    path: Path, kernel: np.ndarray, tensors: dict[str, np.ndarray], norm: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel (HWIO) and bias that also do the batch normalisation after them."""
    scale, shift, mean, variance = (
        np.asarray(tensors[f"{norm}.{part}"], np.float64) for part in _NORM
    )
    if not all(part.shape == kernel.shape[3:] for part in (scale, shift, mean, variance)):
        raise InputError(f"{path}: {norm} has not the {kernel.shape[3]} channels of its layer")
    if not np.all(variance >= 0):  # also NaN
        raise InputError(f"{path}: {norm}.running_var has values that are no variances")
    factor = scale / np.sqrt(variance + _NORM_EPSILON)
    return kernel * factor, shift - mean * factor
