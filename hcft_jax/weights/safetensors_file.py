"""Reads the tensors of a .safetensors file.

The format: the length of a header (8 bytes, little-endian), the header (JSON: by name a type, a
shape, and where the values begin and end), the values (github.com/huggingface/safetensors).
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.util import opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.text import shown

_HEADER = 16 << 20  # bytes; that of VGG-19 has two thousand
_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def is_one(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of this format.

    Args:
        head: At least 16 of them, where the file has as many.
    """
    return (
        len(head) > 8 and 2 <= int.from_bytes(head[:8], "little") <= _HEADER and head[8:9] == b"{"
    )


def read(path: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, np.ndarray]:
    """Return the tensors of floating point with some names.

    Args:
        path: The file.
        wanted: Tells which names to read; the values of the others are skipped.

    Returns:
        ``{name: array}``, of the stored type; bfloat16 becomes float32.

    Raises:
        InputError: The file cannot be read, or is truncated or damaged.
    """
    try:
        with opening.regular(path, opening.WEIGHTS) as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _HEADER:
                raise ValueError(f"a header of {size} bytes")
            header = json.loads(file.read(size))
            if not isinstance(header, dict):
                raise ValueError("its header is no table")
            end = path.stat().st_size - 8 - size
            found = {}
            for name, entry in header.items():
                if name != "__metadata__" and wanted(name):
                    kind, shape, first, last = _entry(name, entry, end)
                    if kind in _TYPES:
                        file.seek(8 + size + first)
                        found[name] = _values(file.read(last - first), kind, shape)
            return found
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError, OverflowError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: not a complete .safetensors file ({reason}); download it again"
        ) from error


def _entry(name: str, entry: Any, end: int) -> tuple[str, list[int], int, int]:
    """Return a tensor's type, shape, and the first and last place of its values."""
    entry = entry if isinstance(entry, dict) else {}
    kind, shape, place = (entry.get(field) for field in ("dtype", "shape", "data_offsets"))
    if not (isinstance(kind, str) and _whole(shape) and _whole(place) and len(place) == 2):
        raise ValueError(f"the entry of {shown(name)}")
    size = 8 * (place[1] - place[0])
    bits = 8 * np.dtype(_TYPES[kind]).itemsize * math.prod(shape) if kind in _TYPES else size
    if not 0 <= place[0] <= place[1] <= end or bits != size or len(shape) > 32:
        raise ValueError(f"the place of {shown(name)}")
    return kind, shape, place[0], place[1]


def _whole(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def _values(content: bytes, kind: str, shape: list[int]) -> np.ndarray:
    values = np.frombuffer(content, _TYPES[kind])
    if kind == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(values.dtype.newbyteorder("=")).reshape(shape)
