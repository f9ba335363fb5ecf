"""The native file of a backbone's parameters: an .npz, never pickled, written whole or not at all.

Parameters are the nested dict of ``backbone``: float32 HWIO kernels and biases of the layers and
the normalization of their training. The keys are ``conv1_1/kernel``, ...,
``normalization/mean``, ``normalization/std``, and of projected layers ``conv1_1_projection/kernel``
and ``.../bias`` (float32, or float16 where that is exact) and
``metadata``: JSON with the network's name, its architecture where there are several, the origin of
the weights, and their digest.
"""

import dataclasses
import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import PROJECTION, Backbone, Params
from hcft_jax.util import files, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.text import shown
from hcft_jax.weights import importers

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Weights:
    """A network's parameters, their origin, and a digest that identifies their content."""

    params: Params
    metadata: dict[str, Any]
    digest: str

    @property
    def backbone(self) -> Backbone:
        """The network that has these parameters."""
        return registry.BACKBONES[self.metadata["backbone"]]


def is_native(path: Path) -> bool:
    """Tell whether an .npz is a native file."""
    try:
        with opening.zipped(path, opening.WEIGHTS) as archive:
            return "metadata.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False  # the reader of foreign files says what is wrong


def load(path: Path) -> Weights:
    """Read a native file.

    Raises:
        InputError: It cannot be read, has another version of the format, an unknown network or
            another digest, or fails ``validate``.
    """
    arrays = importers.open_npz(path)
    metadata = _metadata(path, arrays.pop("metadata", np.zeros(0)))
    digest, name, values = metadata.pop("digest"), metadata["backbone"], metadata["architecture"]
    if values is None:
        del metadata["architecture"]
    if name not in registry.BACKBONES:
        raise InputError(
            f"{path}: weights of {shown(name)!r}; there are {', '.join(registry.BACKBONES)}"
        )
    network = registry.BACKBONES[name]
    params: Params = {}
    for key, array in arrays.items():
        layer, _, part = key.partition("/")
        if layer == "architecture":  # it is in the metadata
            raise InputError(f"{path}: unknown array {shown(key)}; fetch or convert it again")
        whole = array.astype(np.float32) if array.dtype == np.float16 else array
        params.setdefault(layer, {})[part] = whole
    try:
        architecture = network.architecture_of(values)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise _unreadable(path, f" ({shown(str(error))})") from error
    if architecture is not None:
        params["architecture"] = architecture
    validate(params, network, path)
    if _digest(params) != digest:
        raise InputError(f"{path}: its values do not match its digest; fetch or convert it again")
    return Weights(params, metadata, digest)


def _metadata(path: Path, array: np.ndarray) -> dict[str, Any]:
    """Return the metadata of a file, each value of its kind; the architecture may be None.

    Raises:
        InputError: They cannot be read, or are of another version.
    """
    kinds = {"backbone": str, "digest": str, "origin": dict, "source_channel_order": str}
    try:
        if array.dtype.kind != "U" or array.shape:
            raise ValueError("no text")
        metadata = json.loads(str(array))
        version = metadata["format_version"]
        bad = [key for key, kind in kinds.items() if not isinstance(metadata[key], kind)]
        origin = metadata["origin"]
        if version == FORMAT_VERSION and not (bad or isinstance(origin.get("preset"), str)):
            bad = ["origin"]
    # what json raises about deep or very long values, and a look-up in what is no object
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(path, "") from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: native format {shown(str(version))}, but this program reads "
            f"{FORMAT_VERSION}; convert it again"
        )
    if bad:
        raise _unreadable(path, f" ({bad[0]})")
    return {"architecture": None, **metadata}


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(f"{path}: unreadable metadata{why}; fetch or convert it again")


def save(path: str | Path, weights: Weights) -> None:
    """Write a native file, whole or not at all.

    Where float16 has every value exactly, as after ``halved``, the file has half the size.

    Raises:
        InputError: It cannot be written there.
    """
    metadata = json.dumps({**weights.metadata, "digest": weights.digest})
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = _flat(weights.params)
        with np.errstate(over="ignore"):  # what float16 does not have is another value
            halves = {name: array.astype(np.float16) for name, array in arrays.items()}
        if all(np.array_equal(halves[name], array) for name, array in arrays.items()):
            arrays = halves
        np.savez(file, metadata=np.array(metadata), **arrays)


def halved(params: Params) -> Params:
    """Return a network's arrays, float32, rounded to values that float16 has."""
    return {
        layer: {part: np.asarray(a).astype(np.float16).astype(np.float32) for part, a in of.items()}
        for layer, of in params.items()
    }


def described(
    params: Params, network: Backbone, origin: dict[str, Any], channel_order: str
) -> Weights:
    """Return parameters with their origin and digest; the source had that order of channels."""
    metadata = {
        "format_version": FORMAT_VERSION,
        "backbone": network.name,
        "origin": origin,
        "source_channel_order": channel_order,
        "channel_order": "RGB",
        "input_range": [0, 255],
    }
    if "architecture" in params:
        metadata["architecture"] = _plain(params["architecture"])
    return Weights(params, metadata, _digest(params))


def validate(params: Params, network: Backbone, path: Path) -> None:
    """Raise InputError unless ``params`` has exactly the network's arrays, finite and float32."""
    expected: dict[str, tuple[int, ...]] = {"normalization/std": (3,)}
    shapes = network.shapes(params.get("architecture"))
    arrays = _flat(params)
    for name in network.layers:
        projection = f"{name}{PROJECTION}"
        if projection in params:
            kernel = arrays.get(f"{projection}/kernel", np.zeros(1))
            outputs = kernel.shape[-1] if kernel.ndim else 0
            shapes = shapes | {projection: (1, 1, shapes[name][3], outputs)}
    for name, kernel_shape in shapes.items():
        expected |= {f"{name}/kernel": kernel_shape, f"{name}/bias": kernel_shape[3:]}
    for key, shape in [*expected.items(), ("normalization/mean", (3,))]:
        if key not in arrays:
            raise InputError(f"{path}: no {key}; not a complete {network.title} weights file")
        array = arrays[key]
        image = key == "normalization/mean" and array.ndim == 3 and array.shape[2] == 3
        image = image and array.size > 0
        if array.shape != shape and not image:
            raise InputError(f"{path}: {key} has shape {array.shape}; {network.title} has {shape}")
        if array.dtype != np.float32:
            raise InputError(f"{path}: {key} is {array.dtype}; expected float32")
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {key} holds NaN or infinity; download or convert it again")
    if unknown := sorted(set(arrays) - set(expected) - {"normalization/mean"}):
        raise InputError(
            f"{path}: unknown array {shown(unknown[0])}; not a {network.title} weights file"
        )
    mean, std = params["normalization"]["mean"], params["normalization"]["std"]
    if mean.min() < 0 or mean.max() > 255 or std.min() <= 0:
        raise InputError(f"{path}: mean and std must be in [0, 255] and positive, for RGB images")


def _flat(params: Params) -> dict[str, np.ndarray]:
    """Return the arrays by ``<layer>/<part>``."""
    layers = ((layer, parts) for layer, parts in params.items() if layer != "architecture")
    return {f"{layer}/{part}": array for layer, parts in layers for part, array in parts.items()}


def _plain(architecture: Any) -> dict[str, Any]:
    """Return an architecture as JSON gives it back."""
    fields = dataclasses.asdict(architecture)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}


def _digest(params: Params) -> str:
    """Return the SHA-256 of name, dtype, shape and values of every array, in order of the names.

    An architecture comes first, as JSON.
    """
    state = hashlib.sha256()
    if "architecture" in params:
        values = json.dumps(_plain(params["architecture"]), sort_keys=True)
        state.update(f"architecture {values};".encode())
    for key, array in sorted(_flat(params).items()):
        state.update(f"{key} {array.dtype.str} {array.shape};".encode())
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()
