"""Reads a MatConvNet (SimpleNN) network from a .mat file: its operations, arrays and normalisation.

Three generations exist: with filters and biases as separate fields; with a cell ``weights``; and
with the normalisation in ``meta``. Absent fields have the values of ``vl_simplenn_tidy``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from hcft_jax.backbones.backbone import Operation
from hcft_jax.util.errors import InputError

_KINDS = {"lrn": "normalize"}  # its later name


@dataclass(frozen=True)
class MatlabNetwork:
    """The content of a file, with arrays as in MATLAB (trailing axes of one are dropped)."""

    operations: list[Operation]
    weights: dict[str, list[np.ndarray]]  # filters and biases by the operation's name
    mean: Any  # normalization.averageImage; None: absent
    input_size: int | None


def read(path: Path) -> MatlabNetwork:
    """Read a file.

    Raises:
        InputError: It is damaged or not a SimpleNN network, or a field of an operation is invalid.
    """
    try:
        content = scipy.io.loadmat(
            path,
            struct_as_record=False,
            squeeze_me=False,
            variable_names=["net", "layers", "normalization", "meta"],
        )
    except Exception as error:  # scipy's reader lets anything escape on a damaged file
        raise damaged(path, error) from error
    root = _Matlab(content).get("net") or _Matlab(content)
    if root.get("layers") is None:
        raise InputError(f"{path}: no variable 'layers'; not a MatConvNet (SimpleNN) network")
    operations: list[Operation] = []
    weights: dict[str, list[np.ndarray]] = {}
    for cell in np.asarray(root["layers"].value, object).ravel():
        layer = _Matlab(cell)
        try:
            operation = _operation(layer)
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: layer {len(operations) + 1}: {error}") from error
        operations.append(operation)
        if "weights" in layer:
            weights[operation.name] = list(np.asarray(layer["weights"].value, object).ravel())
        elif "filters" in layer and "biases" in layer:
            weights[operation.name] = [layer["filters"].value, layer["biases"].value]
    meta = root.get("normalization") or (
        root["meta"].get("normalization") if "meta" in root else None
    )
    mean = size = None
    if meta is not None and "averageImage" in meta:
        mean = meta["averageImage"].value
    if meta is not None and "imageSize" in meta:
        sizes = meta["imageSize"].numbers
        size = int(sizes[0]) if sizes.size and sizes[0] >= 1 and np.isfinite(sizes[0]) else None
    return MatlabNetwork(operations, weights, mean, size)


def damaged(path: Path, error: BaseException) -> InputError:
    """Return the error about a file whose reader raised ``error``."""
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return InputError(f"{path}: truncated or damaged ({reason}); download or convert it again")


def _operation(layer: "_Matlab") -> Operation:
    kind, name = (layer[key].text if key in layer else "?" for key in ("type", "name"))
    return Operation(
        _KINDS.get(kind, kind),
        name,
        stride=_integers(layer, "stride", 2, 1),
        pad=_integers(layer, "pad", 4, 0),
        window=_integers(layer, "pool", 2, 1) if "pool" in layer else (),
        parameters=tuple(map(float, layer["param"].numbers)) if "param" in layer else (),
    )


def _integers(layer: "_Matlab", name: str, count: int, default: int) -> tuple[int, ...]:
    """Return a field, one whole number per direction; a single number stands for all of them."""
    values = layer[name].numbers if name in layer else np.zeros(0)
    if not values.size:
        values = np.array([default])
    if values.size == 1:
        values = np.repeat(values, count)
    if values.size != count or np.any(values != np.rint(values)):
        raise ValueError(f"its {name} is {values}, not one or {count} whole numbers")
    return tuple(int(value) for value in values)


class _Matlab:
    """A MATLAB struct (or the file's variables) by field name, without the 1 x 1 arrays around it.

    Other arrays stay as they are: scipy's ``squeeze_me`` would also drop real axes of one.
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

    @property
    def numbers(self) -> np.ndarray:
        return np.asarray(self.value, np.float64).ravel()
