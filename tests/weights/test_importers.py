import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from hcft_jax.backbones import vgg
from hcft_jax.backbones.vgg import LAYERS
from hcft_jax.util.errors import InputError
from hcft_jax.weights import importers, torch_file
from tests import damage, mat73

DATA = Path(__file__).parents[1] / "data"
CAFFE_MEAN = np.array([123.68, 116.779, 103.939], np.float32)

Params = dict[str, dict[str, np.ndarray]]


def tiny(seed: int = 0) -> Params:
    """VGG-19's layers with one or two channels, so that MATLAB's dropped axes occur."""
    generator = np.random.default_rng(seed)
    params: Params = {}
    inputs = 3
    for index, name in enumerate(LAYERS):
        outputs = 1 + (index // 2) % 2
        kernel = generator.standard_normal((3, 3, inputs, outputs), np.float32)
        params[name] = {"kernel": kernel, "bias": generator.standard_normal(outputs, np.float32)}
        inputs = outputs
    params["normalization"] = {"mean": CAFFE_MEAN, "std": np.ones(3, np.float32)}
    return params


def assert_same(found: Params, expected: Params) -> None:
    assert {name: set(parts) for name, parts in found.items()} == {
        name: set(parts) for name, parts in expected.items()
    }
    for name, parts in expected.items():
        for part, array in parts.items():
            np.testing.assert_array_equal(found[name][part], array, f"{name} {part}", strict=True)


def bgr(params: Params) -> Params:
    """The same network as a BGR program stores it."""
    first = {**params["conv1_1"], "kernel": params["conv1_1"]["kernel"][:, :, [2, 1, 0]]}
    return {**params, "conv1_1": first}


def cell(values: list[Any]) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def matlab(kernel: np.ndarray) -> np.ndarray:
    """As MATLAB holds it: without trailing axes of one beyond the second."""
    while kernel.ndim > 2 and kernel.shape[-1] == 1:
        kernel = kernel[..., 0]
    return kernel


def write_mat(
    path: Path, params: Params, generation: str = "new", mean: Any = CAFFE_MEAN, **changes: Any
) -> Path:
    """A MatConvNet network: 'oldest' (filters, biases), 'old' (weights) or 'new' (meta)."""
    layers: list[Any] = []
    for name in LAYERS:
        kernel, bias = matlab(params[name]["kernel"]), params[name]["bias"]
        if generation == "oldest":
            layer: dict[str, Any] = {"filters": kernel, "biases": bias}
        else:
            pair = np.empty((1, 2), object)
            pair[0, 0], pair[0, 1] = kernel, bias[:, None]
            layer = {"weights": pair}
        layers += [{"type": "conv", "name": name, **layer}, {"type": "relu", "name": f"relu{name}"}]
    layers += [{"type": "conv", "name": "fc6", "weights": cell([np.ones((7, 7)), np.ones(1)])}]
    normalization = {"averageImage": np.asarray(mean), "imageSize": np.array([224, 224, 3])}
    content: dict[str, Any] = {"layers": cell(layers)}
    if generation == "new":
        content["meta"] = {"normalization": normalization, "classes": {"name": "cat"}}
    else:
        content["normalization"] = normalization
    content |= changes
    if generation == "net":
        content = {"net": content}
    scipy.io.savemat(path, content)
    return path


def write_keras(path: Path, params: Params, layout: str = "2016") -> Path:
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if layout == "model" else file
        for name, parts in bgr({n: p for n, p in params.items() if n != "normalization"}).items():
            layer = f"block{name[4]}_conv{name[6]}"
            if layout in ("2016", "bare"):
                names = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            else:
                names = [f"{layer}/kernel:0", f"{layer}/bias:0"]
            group = root.create_group(layer)
            group[names[0]], group[names[1]] = parts["kernel"], parts["bias"]
            if layout not in ("bare", "nested bare"):
                group.attrs["weight_names"] = [name.encode() for name in names]
    return path


def write_npz(path: Path, params: Params, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        f"{n}/{part}": params[n][part] for n in LAYERS for part in ("kernel", "bias")
    }
    arrays["mean_rgb"] = params["normalization"]["mean"]
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize("generation", ["oldest", "old", "new", "net"])
def test_matconvnet_kernels_are_taken_as_they_are(tmp_path: Path, generation: str) -> None:
    found = importers.read(write_mat(tmp_path / "vgg.mat", tiny(), generation))
    assert_same(found.params, tiny())
    assert (found.preset, found.channel_order) == ("matconvnet", "RGB")


@pytest.mark.parametrize("shape", [(3,), (3, 1), (1, 3), (1, 1, 3), (5, 4, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_mean_becomes_three_numbers(
    tmp_path: Path, shape: tuple[int, ...], dtype: type
) -> None:
    mean: np.ndarray = CAFFE_MEAN.astype(dtype)
    mean = mean.reshape(shape) if np.prod(shape) == 3 else np.broadcast_to(mean, shape)
    found = importers.read(write_mat(tmp_path / "vgg.mat", tiny(), mean=mean))
    np.testing.assert_array_equal(found.params["normalization"]["mean"], CAFFE_MEAN, strict=True)


def test_a_mean_image_is_kept(tmp_path: Path) -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (5, 4, 3)).astype(np.float32)
    found = importers.read(write_mat(tmp_path / "vgg.mat", tiny(), mean=mean))
    np.testing.assert_array_equal(found.params["normalization"]["mean"], mean, strict=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": cell([{"name": "fc1", "type": "conv"}])}, "no layer conv1_1.*it has fc1"),
        ({"layers": cell([{"name": n, "type": "conv"} for n in LAYERS])}, "conv1_1 has no filters"),
        (
            {"layers": cell([{"name": "conv1_1", "type": "conv", "pad": [1.0, 2.0]}])},
            r"layer 1: its pad is \[1. 2.\], not one or 4 whole numbers",
        ),
        ({"layers": np.ones((2, 2))}, "no layer conv1_1"),
        ({"meta": {"inputSize": 3}}, "no normalization.averageImage"),
        ({"meta": {"normalization": {"averageImage": np.ones((4, 4))}}}, "its mean has shape"),
        ({"meta": {"normalization": {"averageImage": np.ones((0, 0, 3))}}}, "its mean has shape"),
        ({"meta": {"normalization": {"averageImage": "grey"}}}, "its mean has shape"),
        ({"meta": {"normalization": {"averageImage": {"a": 1}}}}, "its mean has shape"),
        ({"meta": "text"}, "no normalization.averageImage"),
        (
            {"meta": {"normalization": {"averageImage": CAFFE_MEAN, "imageSize": "224"}}},
            "its imageSize is not a few numbers",
        ),
        (
            {"meta": {"normalization": {"averageImage": CAFFE_MEAN, "imageSize": [2.5, 1.0]}}},
            "its imageSize is .*, no size",
        ),
        ({"layers": cell([{"name": 7.0, "type": "conv"}])}, "layer 1: its name is not a text"),
        ({"layers": cell([{"name": "a", "type": cell([1.0])}])}, "layer 1: its type is not a text"),
        ({"layers": cell([{"name": "a", "pad": "left"}])}, "layer 1: its pad is not a few numbers"),
        ({"layers": cell([{"name": "a", "pad": np.inf}])}, "layer 1: its pad is .inf"),
        ({"layers": cell([{"name": "a", "stride": {"x": 1.0}}])}, "layer 1: its stride is not"),
        ({"layers": cell([{"name": "a", "param": np.ones(99)}])}, "layer 1: its param is not"),
        ({"layers": cell([1.0, "text", {"a": 1.0}])}, "no layer conv1_1"),
        ({"layers": "text"}, "no layer conv1_1"),
        (
            {"layers": cell([{"name": n, "type": "conv", "weights": "text"} for n in LAYERS])},
            "conv1_1 has no filters",
        ),
        (
            {
                "layers": cell(
                    [{"name": n, "type": "conv", "weights": cell(["a", "b"])} for n in LAYERS]
                )
            },
            "the kernel of conv1_1 is no array",
        ),
    ],
)
def test_another_matlab_network_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"other\.mat: .*{message}"):
        importers.read(write_mat(tmp_path / "other.mat", tiny(), **changes))


def test_a_matlab_file_of_something_else_is_an_error(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"boxes": np.ones((2, 4))})
    with pytest.raises(InputError, match=r"x\.mat: no variable 'layers'"):
        importers.read(tmp_path / "x.mat")


@pytest.mark.parametrize("generation", ["oldest", "new", "net"])
def test_matlab_7_3_has_the_same_network(
    tmp_path: Path, generation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scipy.io, "savemat", mat73.save)
    found = importers.read(write_mat(tmp_path / "vgg.mat", tiny(), generation))
    assert_same(found.params, tiny())


@pytest.mark.parametrize("layout", ["2016", "bare", "nested", "nested bare", "model"])
def test_keras_kernels_are_reversed_to_rgb(tmp_path: Path, layout: str) -> None:
    found = importers.read(write_keras(tmp_path / "vgg.h5", tiny(), layout))
    assert_same(found.params, tiny())
    assert (found.preset, found.channel_order) == ("keras", "BGR")


def test_a_keras_file_of_another_network_is_an_error(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "vgg16.h5", tiny())
    with h5py.File(path, "a") as file:
        del file["block3_conv4"]
    with pytest.raises(InputError, match=r"vgg16\.h5: no layer block3_conv4"):
        importers.read(path)


def test_kernels_in_theano_order_are_an_error(tmp_path: Path) -> None:
    params = tiny()
    params["conv1_1"]["kernel"] = params["conv1_1"]["kernel"].transpose(3, 2, 0, 1)[:, :, :, [2]]
    path = tmp_path / "theano.npz"
    with pytest.raises(InputError, match=r"theano\.npz: conv1_1 has a kernel of shape"):
        importers.read(write_npz(path, params))


def test_a_plain_npz_has_a_standard_deviation_of_one(tmp_path: Path) -> None:
    found = importers.read(write_npz(tmp_path / "vgg.npz", tiny()))
    assert_same(found.params, tiny())


def test_a_plain_npz_may_have_its_own_standard_deviation(tmp_path: Path) -> None:
    found = importers.read(write_npz(tmp_path / "vgg.npz", tiny(), std=np.array([58.0, 57, 56])))
    np.testing.assert_array_equal(found.params["normalization"]["std"], [58, 57, 56])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv3_4/kernel": None}, "no layer conv3_4/kernel"),
        ({"mean_rgb": None}, "no layer mean_rgb"),
        ({"mean_rgb": np.ones(4)}, "its mean has shape"),
        ({"mean_rgb": np.array(["a", "b", "c"])}, "its mean has shape"),
        ({"std": np.array(["a", "b", "c"])}, "its standard deviation has shape"),
        ({"std": np.ones((2, 2, 3))}, "its standard deviation has shape"),
        ({"conv2_1/kernel": np.float32(1)}, "conv2_1 has a kernel of shape"),
        ({"conv2_1/bias": np.ones(1, int)}, "the bias of conv2_1 is int64"),
        ({"conv2_1/kernel": np.ones((5, 5, 1, 2))}, "conv2_1 has a kernel of shape"),
        ({"conv2_1/kernel": np.array([None, 1], object)}, "truncated or damaged"),
    ],
)
def test_a_malformed_npz_is_an_error(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"vgg\.npz: {message}"):
        importers.read(write_npz(tmp_path / "vgg.npz", tiny(), **changes))


@pytest.mark.parametrize("writer", [write_npz, write_mat])
@pytest.mark.parametrize("absent", ["conv1_1", "conv2_2", "conv5_4"])
def test_an_incomplete_vgg_is_no_other_network(
    tmp_path: Path, writer: Callable[..., Path], absent: str
) -> None:
    path = writer(tmp_path / "vgg.x", tiny())
    if writer is write_npz:
        path = writer(path.with_suffix(".npz"), tiny(), **{f"{absent}/kernel": None})
    else:
        layers = scipy.io.loadmat(path)["layers"]
        keep = [cell["name"][0, 0][0] != absent for cell in layers[0]]
        scipy.io.savemat(path, {"layers": layers[:, keep]}, appendmat=False)
    with pytest.raises(InputError, match=rf"no layer {absent}.*; not a file of VGG-19 \("):
        importers.read(path)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floating_point_types_become_float32(tmp_path: Path, dtype: type) -> None:
    params: Params = {
        n: {k: v.astype(dtype) for k, v in parts.items()} for n, parts in tiny().items()
    }
    found = importers.read(write_npz(tmp_path / "vgg.npz", params)).params
    assert {array.dtype for parts in found.values() for array in parts.values()} == {
        np.dtype(np.float32)
    }


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("preset", ["torchvision", "caffe"])
def test_a_pth_is_read_as_its_preset_says(container: str, preset: str) -> None:
    path = DATA / f"torch_vgg_{container}.pth"
    tensors = torch_file.read(path)
    found = importers.read(path, preset)
    for name, key in vgg.BACKBONE.torch.items():
        kernel = np.moveaxis(tensors[f"{key}.weight"], (0, 1), (3, 2))
        if (name, preset) == ("conv1_1", "caffe"):
            kernel = kernel[:, :, ::-1]
        np.testing.assert_array_equal(found.params[name]["kernel"], kernel, strict=True)
        bias = tensors[f"{key}.bias"]
        np.testing.assert_array_equal(found.params[name]["bias"], bias, strict=True)
    mean, std = (found.params["normalization"][key] for key in ("mean", "std"))
    if preset == "caffe":
        np.testing.assert_array_equal(mean, CAFFE_MEAN, strict=True)
        np.testing.assert_array_equal(std, np.ones(3, np.float32), strict=True)
    else:
        np.testing.assert_allclose(mean, [123.675, 116.28, 103.53], rtol=1e-6)
        np.testing.assert_allclose(std, [58.395, 57.12, 57.375], rtol=1e-6)
    assert found.channel_order == ("BGR" if preset == "caffe" else "RGB")


def test_a_pth_without_preset_says_how_to_convert_it() -> None:
    with pytest.raises(InputError, match=r"convert .*torch_vgg_zip\.pth .*--preset=torchvision"):
        importers.read(DATA / "torch_vgg_zip.pth")


def test_a_pth_of_another_network_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no layer features\.0\.weight"):
        importers.read(DATA / "torch_layouts_zip.pth", "caffe")


def test_a_preset_that_does_not_fit_the_file_is_an_error(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "vgg.npz", tiny())
    with pytest.raises(InputError, match=r"^preset: caffe does not fit .*, which takes npz"):
        importers.read(path, "caffe")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"\n<HTML><body>", "a web page"),
        (b"1,2,3,4\n", "not a weights file of a known format"),
        (b"x" * 257 + b"ustar", "a tar archive"),
    ],
)
def test_a_foreign_file_is_named_as_what_it_is(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"weights\.npz: {message}"):
        importers.read(path)


@pytest.mark.parametrize(("name", "message"), [("absent.npz", "no such file"), (".", "a folder")])
def test_a_path_without_a_file_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        importers.read(tmp_path / name)


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("writer", [write_mat, write_keras, write_npz])
def test_a_truncated_file_is_one_line_of_error(
    tmp_path: Path, writer: Callable[[Path, Params], Path], fraction: float
) -> None:
    path = writer(tmp_path / "whole.npz", tiny())
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(InputError, match=r"whole\.npz: ") as caught:
        importers.read(path)
    assert "\n" not in str(caught.value)


def test_a_zip_of_something_else_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"x\.npz: no layer conv1_1/kernel"):
        importers.read(tmp_path / "x.npz")


@pytest.mark.parametrize("kind", damage.NO_FILES)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"w\.npz: a .*, not a regular file"):
        importers.read(damage.no_file(tmp_path / "w.npz", kind))
