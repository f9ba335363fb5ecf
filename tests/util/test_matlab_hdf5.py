"""MATLAB 7.3: the values are those of the same variables in the older format."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from hcft_jax.util import matlab, opening
from hcft_jax.util.errors import InputError
from hcft_jax.util.matlab import MatlabCell, MatlabStruct
from tests import mat73


def cell(*values: Any) -> np.ndarray:
    made = np.empty((1, len(values)), object)
    made[0] = values
    return made


CONTENT: dict[str, Any] = {
    "numbers": np.arange(24.0).reshape(2, 3, 4),
    "single": np.arange(6, dtype=np.float32).reshape(3, 2),
    "whole": np.array([[1, -2]], np.int16),
    "empty": np.zeros((0, 3)),
    "text": "Deer \u00e9",
    "cell": cell("a", np.ones((2, 2)), cell("inner", np.zeros((0, 0)))),
    "struct": {"name": "x", "box": np.array([[1.0, 2, 3, 4]]), "deep": {"n": np.array([[5.0]])}},
}


def same(one: Any, other: Any) -> None:
    assert str(type(one)) == str(type(other))
    if isinstance(one, MatlabCell):
        for a, b in zip(one.values, other.values, strict=True):
            same(a, b)
    elif isinstance(one, MatlabStruct):
        for own, theirs in zip(one.elements, other.elements, strict=True):
            assert own.keys() == theirs.keys()
            for name in own:
                same(own[name], theirs[name])
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, strict=True)
    else:
        assert one == other


def test_values_are_those_of_the_older_format(tmp_path: Path) -> None:
    mat73.save(tmp_path / "new.mat", CONTENT | {"other": "left out"})
    scipy.io.savemat(tmp_path / "old.mat", CONTENT)
    new, old = (
        matlab.read(tmp_path / f"{n}.mat", opening.RESULTS, CONTENT) for n in ("new", "old")
    )
    assert new.keys() == old.keys() == CONTENT.keys()
    for name in CONTENT:
        same(new[name], old[name])


def test_an_array_of_structs(tmp_path: Path) -> None:
    mat73.save(tmp_path / "a.mat", {"s": [{"a": np.array([[1.0]])}, {"a": "two"}]})
    found = matlab.read(tmp_path / "a.mat", opening.RESULTS, ["s"])["s"]
    assert isinstance(found, MatlabStruct)
    assert found.elements == [{"a": np.array([[1.0]])}, {"a": "two"}]


def test_what_is_damaged_or_leads_elsewhere_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(mat73.HEADER.ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(InputError, match=r"a\.mat"):
        matlab.read(path, opening.RESULTS, ["s"])
    mat73.save(path, {"s": {"x": "y"}})
    with h5py.File(path, "r+") as file:
        file["s/x2"] = h5py.ExternalLink("other.mat", "/x")
        file["loop"] = np.array([file["#refs#"].ref if "#refs#" in file else file["s"].ref])
        file["loop"].attrs["MATLAB_class"] = np.bytes_("cell")
        inside = file.create_dataset("own", (1, 1), h5py.ref_dtype)
        inside[0, 0] = inside.ref
        inside.attrs["MATLAB_class"] = np.bytes_("cell")
    with pytest.raises(InputError, match="refused, /s/x2 is a link"):
        matlab.read(path, opening.RESULTS, ["s"])
    with pytest.raises(InputError, match="too many values, one within the other"):
        matlab.read(path, opening.RESULTS, ["own"])
