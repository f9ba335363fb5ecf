"""Readers of other programs' VGG-19 files, each brought to this package's convention.

The convention (see ``vgg``): kernels HWIO for cross-correlation, images RGB in [0, 255], and the
mean and standard deviation that belong to the training. What each source has:

=============  ======  ========  =====================================  ====================
file           layout  channels  mean (RGB)                             standard deviation
=============  ======  ========  =====================================  ====================
MatConvNet     HWIO    RGB       in the file: an image or three values  1
Keras          HWIO    BGR       123.68, 116.779, 103.939               1
.npz           HWIO    RGB       ``mean_rgb`` in the file               1, or ``std`` in it
torchvision    OIHW    RGB       255 * (0.485, 0.456, 0.406)            255 * (0.229, 0.224, 0.225)
Caffe's .pth   OIHW    BGR       123.68, 116.779, 103.939               1
=============  ======  ========  =====================================  ====================

Sources: the "normalization" of the VGG-19 models of vlfeat.org/matconvnet/pretrained,
``keras.applications.imagenet_utils.preprocess_input`` (mode "caffe"), and
``torchvision.models.VGG19_Weights.IMAGENET1K_V1``. Nothing is folded into the kernels; a BGR source
only has the input axis of its first kernel reversed.

The readers take whatever widths they find; ``weights.load`` requires VGG-19's.
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

from hcft_jax.backbones import torch_file
from hcft_jax.backbones.vgg import LAYERS
from hcft_jax.errors import InputError

OXFORD_MEAN = (123.68, 116.779, 103.939)  # RGB, [0, 255]
TORCHVISION_MEAN = (0.485, 0.456, 0.406)  # RGB, [0, 1]
TORCHVISION_STD = (0.229, 0.224, 0.225)
TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)

PRESETS = ("matconvnet", "keras", "npz", "torchvision", "caffe")
_PTH_PRESETS = ("torchvision", "caffe")


@dataclass(frozen=True)
class Imported:
    """Parameters in this package's convention, and where they came from."""

    params: dict[str, dict[str, np.ndarray]]
    preset: str
    channel_order: str  # of the source


def sniff(path: Path) -> str:
    """The format by content: 'npz' (native files too), 'keras', 'mat' or 'pth'.

    Raises:
        InputError: missing, a folder, empty, or none of these formats.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give a VGG-19 weights file") from error
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
    if head.startswith(b"MATLAB 7.3"):
        raise InputError(f"{path}: a MATLAB 7.3 (HDF5) file; save it again in MATLAB with '-v7'")
    if head.startswith(b"MATLAB 5.0"):
        return "mat"
    if head.startswith(b"\x80"):  # PROTO, the first opcode of a pickle
        return "pth"
    if b"ustar" in head:
        raise InputError(
            f"{path}: a tar archive (PyTorch before 0.2?); load and save it again with PyTorch"
        )
    web = b"<html" in head.lower() or b"<!doctype" in head.lower()
    what = "a web page (a failed download?)" if web else "not a weights file of a known format"
    raise InputError(
        f"{path}: {what}; expected .npz, MatConvNet .mat, Keras .h5 or PyTorch .pth of VGG-19"
    )


def read(path: str | Path, preset: str | None = None) -> Imported:
    """Reads a foreign file.

    Args:
        path: the file; its format is found by content, not by name.
        preset: one of ``PRESETS``; needed for .pth, where torchvision's training and the one
            converted from Caffe differ in channel order and scale but not in form.

    Raises:
        InputError: an unreadable or foreign file, a missing or malformed layer, or a preset that is
            missing or does not fit the file.
    """
    path = Path(path)
    kind = sniff(path)
    possible = {"npz": ("npz",), "keras": ("keras",), "mat": ("matconvnet",), "pth": _PTH_PRESETS}
    if preset is None and kind == "pth":
        raise InputError(
            f"{path}: a .pth does not say which training it is; run 'python -m "
            f"hcft_jax.backbones.weights convert {path} vgg19.npz --preset=torchvision' "
            "(or --preset=caffe) and use the result"
        )
    if preset is not None and preset not in possible[kind]:
        fitting = " or ".join(possible[kind])
        raise InputError(f"{path}: --preset={preset} does not fit this file; it takes {fitting}")
    if kind == "npz":
        return _read_npz(path)
    if kind == "keras":
        return _read_keras(path)
    if kind == "mat":
        return _read_matconvnet(path)
    assert preset is not None
    return _read_torch(path, preset)


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an .npz, never unpickling.

    Raises:
        InputError: truncated, or with Python objects in it.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    # A damaged archive or array header raises any of these; which one depends on the spot.
    except (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: BaseException) -> InputError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputError(f"{path}: truncated or damaged ({reason}); download or convert it again")


def _layer(kernel: Any, bias: Any, name: str, path: Path) -> dict[str, np.ndarray]:
    """float32 HWIO kernel and flat bias; restores the trailing ones of a shape MATLAB drops."""
    arrays = []
    for part, value in (("kernel", kernel), ("bias", bias)):
        array = np.asarray(value)
        if array.dtype.kind != "f":
            raise InputError(f"{path}: the {part} of {name} is {array.dtype}, not floating point")
        with np.errstate(over="ignore"):  # becomes inf, which the validation reports
            arrays.append(array.astype(np.float32))
    kernel, bias = arrays[0], arrays[1].ravel()
    if kernel.ndim < 4:
        kernel = kernel.reshape(kernel.shape + (1,) * (4 - kernel.ndim))
    if kernel.ndim != 4 or kernel.shape[:2] != (3, 3) or kernel.shape[3] != bias.size:
        raise InputError(
            f"{path}: {name} has a kernel of shape {kernel.shape} and {bias.size} biases; expected "
            "3 x 3 x inputs x outputs (not VGG-19, or not this format's layout)"
        )
    return {"kernel": kernel, "bias": bias}


def _normalization(mean: Any, std: Any, path: Path) -> dict[str, np.ndarray]:
    """Mean as three numbers where it is constant per channel, else as an image; std as three."""
    mean, std = np.asarray(mean), np.asarray(std, np.float32)
    if mean.dtype.kind not in "fiu" or not (mean.size == 3 or mean.shape[2:] == (3,)):
        raise InputError(
            f"{path}: its mean has shape {mean.shape} and dtype {mean.dtype}; expected three "
            "numbers or an image of three channels"
        )
    mean = mean.astype(np.float32)
    if mean.size == 3:
        mean = mean.ravel()
    elif np.all(mean == mean[0, 0]):
        mean = mean[0, 0]
    return {"mean": mean, "std": std}


def _rgb_first(params: dict[str, dict[str, np.ndarray]]) -> None:
    """Makes a BGR network take RGB."""
    kernel = params["conv1_1"]["kernel"]
    params["conv1_1"]["kernel"] = np.ascontiguousarray(kernel[:, :, ::-1])


def _missing(path: Path, names: list[str], found: list[str]) -> InputError:
    some = ", ".join(found[:4]) or "nothing"
    return InputError(f"{path}: no layer {names[0]}; not a VGG-19 file (it has {some}, ...)")


def _read_npz(path: Path) -> Imported:
    arrays = open_npz(path)
    names = [f"{layer}/{part}" for layer in LAYERS for part in ("kernel", "bias")]
    if missing := [name for name in [*names, "mean_rgb"] if name not in arrays]:
        raise _missing(path, missing, list(arrays))
    params = {n: _layer(arrays[f"{n}/kernel"], arrays[f"{n}/bias"], n, path) for n in LAYERS}
    params["normalization"] = _normalization(
        arrays["mean_rgb"], arrays.get("std", np.ones(3)), path
    )
    return Imported(params, "npz", "RGB")


def _read_keras(path: Path) -> Imported:
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)  # a whole saved model
            groups = {name: f"block{name[4]}_conv{name[6]}" for name in LAYERS}
            if missing := [group for group in groups.values() if group not in root]:
                raise _missing(path, missing, list(root))
            params = {
                name: _layer(*_keras_arrays(root[group], path), name, path)
                for name, group in groups.items()
            }
    # h5py reports a damaged file by any of these, depending on the spot.
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    _rgb_first(params)
    params["normalization"] = _normalization(OXFORD_MEAN, (1, 1, 1), path)
    return Imported(params, "keras", "BGR")


def _keras_arrays(group: h5py.Group, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a layer: 'block1_conv1_W_1:0' in 2016, '.../kernel:0' later."""
    found: list[str] = []
    if "weight_names" in group.attrs:
        names = group.attrs["weight_names"]
        found = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    else:
        group.visititems(
            lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None
        )
    if len(found) != 2:
        raise InputError(f"{path}: {group.name} has {len(found)} arrays, not a kernel and a bias")
    leaves = [name.rpartition("/")[2] for name in found]
    is_bias = ["bias" in leaf or "_b_" in leaf or leaf.endswith("_b:0") for leaf in leaves]
    if is_bias == [True, False]:
        found.reverse()
    return group[found[0]][()], group[found[1]][()]


def _read_matconvnet(path: Path) -> Imported:
    try:
        content = scipy.io.loadmat(
            path,
            struct_as_record=False,
            squeeze_me=False,
            variable_names=["net", "layers", "normalization", "meta"],
        )
    except Exception as error:  # scipy's reader lets anything escape on a damaged file
        raise _damaged(path, error) from error
    root = _Matlab(content).get("net") or _Matlab(content)
    if root.get("layers") is None:
        raise InputError(f"{path}: no variable 'layers'; not a MatConvNet (SimpleNN) network")
    params: dict[str, dict[str, np.ndarray]] = {}
    names = []
    for cell in np.asarray(root["layers"].value, object).ravel():
        layer = _Matlab(cell)
        name = layer.get("name")
        names.append(str(name.text) if name else "?")
        if names[-1] not in LAYERS:
            continue
        weights = layer.get("weights")
        if weights is not None:
            parts = list(np.asarray(weights.value, object).ravel())
        else:
            parts = [layer["filters"].value, layer["biases"].value] if "filters" in layer else []
        if len(parts) != 2:
            raise InputError(f"{path}: layer {names[-1]} has no filters and biases")
        params[names[-1]] = _layer(parts[0], parts[1], names[-1], path)
    if missing := [name for name in LAYERS if name not in params]:
        raise _missing(path, missing, names)
    meta = root.get("normalization") or (
        root["meta"].get("normalization") if "meta" in root else None
    )
    if meta is None or "averageImage" not in meta:
        raise InputError(f"{path}: no normalization.averageImage; take the original file")
    params["normalization"] = _normalization(meta["averageImage"].value, (1, 1, 1), path)
    return Imported(params, "matconvnet", "RGB")


class _Matlab:
    """A MATLAB struct (or the file's variables) by field name, through the 1 x 1 arrays around it.

    Arrays are left as MATLAB has them: scipy's ``squeeze_me`` would also drop real axes of one.
    """

    def __init__(self, value: Any):
        while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
            value = value.item()
        self.value = value

    def get(self, name: str) -> "_Matlab | None":
        fields = self.value if isinstance(self.value, dict) else getattr(self.value, "__dict__", {})
        return _Matlab(fields[name]) if name in fields else None

    def __getitem__(self, name: str) -> "_Matlab":
        field = self.get(name)
        assert field is not None
        return field

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    @property
    def text(self) -> str:
        return "".join(np.asarray(self.value).ravel().astype(str))


def _read_torch(path: Path, preset: str) -> Imported:
    tensors = torch_file.read(path, lambda name: name.startswith("features."))
    keys = {name: f"features.{i}" for name, i in zip(LAYERS, TORCHVISION_INDICES, strict=True)}
    wanted = [f"{key}.{part}" for key in keys.values() for part in ("weight", "bias")]
    if missing := [name for name in wanted if name not in tensors]:
        raise _missing(path, missing, list(tensors))
    params = {}
    for name, key in keys.items():
        kernel = tensors[f"{key}.weight"]
        if kernel.ndim != 4:
            raise InputError(f"{path}: {key}.weight has shape {kernel.shape}; expected four axes")
        kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
        params[name] = _layer(kernel, tensors[f"{key}.bias"], name, path)
    if preset == "caffe":
        _rgb_first(params)
        params["normalization"] = _normalization(OXFORD_MEAN, (1, 1, 1), path)
        return Imported(params, preset, "BGR")
    mean, std = (255 * np.asarray(v) for v in (TORCHVISION_MEAN, TORCHVISION_STD))
    params["normalization"] = _normalization(mean, std, path)
    return Imported(params, preset, "RGB")
