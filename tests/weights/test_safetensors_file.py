"""Weights in .safetensors, and tensors under the names that trainers give them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.backbones import vgg
from hcft_jax.util.errors import InputError
from hcft_jax.weights import importers, safetensors_file, torch_file
from tests.weights.test_importers import DATA

TENSORS = torch_file.read(DATA / "torch_vgg_zip.pth")


def write(path: Path, tensors: dict[str, np.ndarray], **header: Any) -> Path:
    table: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, tensor in tensors.items():
        kind = {"f": "F", "u": "BF", "i": "I"}[tensor.dtype.kind] + str(8 * tensor.dtype.itemsize)
        end = len(content) + tensor.nbytes
        place = [len(content), end]
        table[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": place}
        content += tensor.tobytes()
    text = json.dumps(table | header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


@pytest.mark.parametrize("before", ["", "module.", "model.module.", "_orig_mod.backbone."])
def test_a_network_is_that_of_a_pth_whatever_is_put_before_its_names(
    tmp_path: Path, before: str
) -> None:
    path = write(tmp_path / "a.st", {before + name: value for name, value in TENSORS.items()})
    found = importers.read(path, "torchvision")
    expected = importers.read(DATA / "torch_vgg_zip.pth", "torchvision")
    for name in vgg.LAYERS:
        for part, value in expected.params[name].items():
            np.testing.assert_array_equal(found.params[name][part], value, strict=True)
    with pytest.raises(InputError, match="does not say which training it is"):
        importers.read(path)


@pytest.mark.parametrize("name", ["state_dict", "model_state_dict", "model", "net"])
def test_a_checkpoint_has_its_state_under_any_usual_name(name: str) -> None:
    tensor = torch_file.TorchTensor(None, 0, (), ())  # type: ignore[arg-type]
    root = {"epoch": 3, name: {"features.0.weight": tensor}}
    assert torch_file._tensors(root, Path("a"), lambda _: True) == {"features.0.weight": tensor}


def test_two_networks_in_one_file_are_an_error(tmp_path: Path) -> None:
    double = {f"{p}.{name}": v for p in ("model", "encoder") for name, v in TENSORS.items()}
    with pytest.raises(InputError, match="several networks"):
        importers.read(write(tmp_path / "a.st", double), "caffe")


def test_batch_normalisation_is_named_as_what_it_is(tmp_path: Path) -> None:
    kernels = {f"features.{3 * i}.weight": np.zeros((1, 1, 3, 3), np.float32) for i in range(16)}
    norm = {"features.1.running_mean": np.zeros(1, np.float32)}
    with pytest.raises(InputError, match=r"VGG-19 with batch normalisation \(vgg19_bn\)"):
        importers.read(write(tmp_path / "a.st", kernels | norm), "torchvision")


def test_types_of_floating_point(tmp_path: Path) -> None:
    values = np.array([1.5, -2.0, 0.25], np.float32)
    given: dict[str, np.ndarray] = {
        **{str(t): values.astype(t) for t in ("f2", "f4", "f8")},
        "bf16": (values.view(np.uint32) >> 16).astype(np.uint16),
        "whole": np.arange(3),
    }
    found = safetensors_file.read(write(tmp_path / "a", given), lambda name: name != "f8")
    assert found.keys() == {"f2", "f4", "bf16"}
    for array in found.values():
        np.testing.assert_array_equal(array, values)


ENTRY = {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}


@pytest.mark.parametrize(
    "entry",
    [
        *(None, {}, {**ENTRY, "shape": [4]}, {**ENTRY, "shape": [-3]}, {**ENTRY, "shape": "3"}),
        *({**ENTRY, "data_offsets": [0, 10**12]}, {**ENTRY, "data_offsets": [12, 0]}),
        *({**ENTRY, "shape": [10**30, 10**30]}, {**ENTRY, "shape": [1] * 40 + [3]}),
        *({**ENTRY, "dtype": 5}, {**ENTRY, "data_offsets": [0]}, {**ENTRY, "shape": [True, 3]}),
    ],
)
def test_a_damaged_header_is_one_line(tmp_path: Path, entry: Any) -> None:
    path = write(tmp_path / "a", {"x": np.zeros(3, np.float32)}, x=entry)
    with pytest.raises(InputError, match=r"not a complete \.safetensors file"):
        safetensors_file.read(path)


@pytest.mark.parametrize("size", [3, 8, 20, -1])
def test_a_file_that_ends_early_is_one_line(tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "a", {"x": np.zeros(3, np.float32)})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"not a complete \.safetensors file"):
        safetensors_file.read(path)
