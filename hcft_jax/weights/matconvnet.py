"""Reads a MatConvNet (SimpleNN) network from a .mat file: its operations, arrays and normalisation.

Three generations exist: with filters and biases as separate fields; with a cell ``weights``; and
with the normalisation in ``meta``. Absent fields have the values of ``vl_simplenn_tidy``.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hcft_jax.backbones.backbone import Operation
from hcft_jax.util import matlab, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.matlab import MatlabCell, MatlabStruct

_KINDS = {"lrn": "normalize"}  # its later name
_MOST_NUMBERS = 64  # of a setting


@dataclass(frozen=True)
class MatlabNetwork:
    """The content of a file, with arrays as in MATLAB (trailing axes of one are dropped)."""

    operations: list[Operation]
    weights: dict[str, list[matlab.Value]]  # filters and biases by the operation's name
    mean: matlab.Value  # normalization.averageImage; None: absent
    input_size: int | None


def read(path: Path) -> MatlabNetwork:
    """Read a file.

    Raises:
        InputError: It is damaged or not a SimpleNN network, or a field of an operation is invalid.
    """
    try:
        content = matlab.read(path, opening.WEIGHTS, ["net", "layers", "normalization", "meta"])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    root = _fields(content.get("net")) or content
    layers = root.get("layers")
    if layers is None:
        raise InputError(f"{path}: no variable 'layers'; not a MatConvNet (SimpleNN) network")
    operations: list[Operation] = []
    weights: dict[str, list[matlab.Value]] = {}
    for cell in _values(layers):
        layer = _fields(cell)
        try:
            operation = _operation(layer)
        except ValueError as error:
            raise InputError(f"{path}: layer {len(operations) + 1}: {error}") from error
        operations.append(operation)
        if "weights" in layer:
            weights[operation.name] = _values(layer["weights"])
        elif "filters" in layer and "biases" in layer:
            weights[operation.name] = [layer["filters"], layer["biases"]]
    meta = _fields(root.get("normalization")) or _fields(
        _fields(root.get("meta")).get("normalization")
    )
    try:
        sizes = _numbers(meta, "imageSize")
        if sizes.size and not (1 <= sizes[0] < 1e6 and sizes[0] % 1 == 0):
            raise ValueError(f"its imageSize is {sizes}, no size in pixels")
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    size = int(sizes[0]) if sizes.size else None
    return MatlabNetwork(operations, weights, meta.get("averageImage"), size)


def _operation(layer: dict[str, matlab.Value]) -> Operation:
    kind, name = (_text(layer, field) for field in ("type", "name"))
    return Operation(
        _KINDS.get(kind, kind),
        name,
        stride=_integers(layer, "stride", 2, 1),
        pad=_integers(layer, "pad", 4, 0),
        window=_integers(layer, "pool", 2, 1) if "pool" in layer else (),
        parameters=tuple(map(float, _numbers(layer, "param"))),
    )


def _integers(
    layer: dict[str, matlab.Value], field: str, count: int, default: int
) -> tuple[int, ...]:
    """Return a field, one whole number per direction; a single number stands for all of them."""
    values = _numbers(layer, field)
    if not values.size:
        values = np.array([default])
    if values.size == 1:
        values = np.repeat(values, count)
    if values.size != count or not np.all(np.abs(values) < 1e6) or np.any(values % 1):
        raise ValueError(f"its {field} is {values}, not one or {count} whole numbers")
    return tuple(int(value) for value in values)


def _text(layer: dict[str, matlab.Value], field: str) -> str:
    """Return a field of characters; "?" where it is absent."""
    value = layer.get(field, "?")
    if not isinstance(value, str):
        raise ValueError(f"its {field} is not a text")
    return value


def _numbers(fields: dict[str, matlab.Value], field: str) -> npt.NDArray[np.float64]:
    """Return a field of numbers; none where it is absent."""
    value = _within(fields.get(field, np.zeros(0)))
    if not isinstance(value, np.ndarray) or value.size > _MOST_NUMBERS:
        raise ValueError(f"its {field} is not a few numbers")
    return value.ravel(order="F").astype(np.float64)


def _values(value: matlab.Value) -> list[matlab.Value]:
    """Return the values of a cell; anything else is the only one."""
    return value.values if isinstance(value, MatlabCell) else [value]


def _within(value: matlab.Value) -> matlab.Value:
    """Return what is in cells of one value."""
    while isinstance(value, MatlabCell) and len(value.values) == 1:
        (value,) = value.values
    return value


def _fields(value: matlab.Value) -> dict[str, matlab.Value]:
    """Return the fields of a struct, which may be in a cell; none of anything else."""
    value = _within(value)
    if isinstance(value, MatlabStruct) and len(value.elements) == 1:
        return value.elements[0]
    return {}
