"""Files as MATLAB's ``save -v7.3`` writes them, for tests."""

import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np

HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM"
_NUMBER = itertools.count()
CLASSES = {"float64": "double", "float32": "single", "bool": "logical"}


def save(path: Path, content: dict[str, Any]) -> None:
    """Write variables: dicts are structs, arrays of objects cells, lists of dicts struct arrays."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            _write(file, file, name, value)
    with path.open("r+b") as raw:
        raw.write(HEADER)


def _write(file: h5py.File, group: h5py.Group, name: str, value: Any) -> Any:
    if isinstance(value, dict):
        made: Any = group.create_group(name)
        for field, inner in value.items():
            _write(file, made, field, inner)
        kind = "struct"
    elif isinstance(value, list):
        made, kind = group.create_group(name), "struct"
        for field in value[0]:
            made[field] = _references(file, [one[field] for one in value]).reshape(-1, 1)
    elif isinstance(value, str):
        codes = np.array([[ord(c)] for c in value], np.uint16)
        made, kind = group.create_dataset(name, data=codes), "char"
    else:
        array = np.atleast_2d(np.asarray(value))
        kind = CLASSES.get(str(array.dtype), str(array.dtype))
        if array.dtype == object:
            kind = "cell"
            array = _references(file, array.T.ravel()).reshape(array.shape[::-1]).T
        if not array.size:
            made = group.create_dataset(name, data=np.array(array.shape, np.uint64))
            made.attrs["MATLAB_empty"] = 1
        else:
            made = group.create_dataset(name, data=array.T)
    made.attrs["MATLAB_class"] = np.bytes_(kind)
    return made


def _references(file: h5py.File, values: Any) -> np.ndarray:
    aside = file.require_group("#refs#")
    made = [_write(file, aside, f"r{next(_NUMBER)}", value).ref for value in values]
    return np.array(made, h5py.ref_dtype)
