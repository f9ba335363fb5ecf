"""AlexNet's files: told from VGG-19's, read with their architecture, kept, found and fetched."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from hcft_jax.backbones import alexnet
from hcft_jax.backbones.alexnet import LAYERS, ONE_TOWER, TWO_TOWERS, Architecture
from hcft_jax.backbones.backbone import Release
from hcft_jax.backbones.registry import BACKBONES
from hcft_jax.util import download
from hcft_jax.util.errors import InputError
from hcft_jax.weights import __main__ as command
from hcft_jax.weights import importers, lookup, torch_file
from tests.backbones.test_alexnet import narrow
from tests.commands import call
from tests.server import Behaviour, serving
from tests.weights.test_importers import CAFFE_MEAN, DATA, Params, assert_same, cell, write_npz
from tests.weights.test_importers import tiny as tiny_vgg
from tests.weights.test_native import rewrite

TWO, ONE = narrow(TWO_TOWERS), narrow(ONE_TOWER)


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's weights or the network."""
    for network in BACKBONES.values():
        monkeypatch.delenv(network.environment, raising=False)
        unreachable = replace(network, release=Release("http://127.0.0.1:1/x", "md5:0"))
        monkeypatch.setitem(BACKBONES, network.name, unreachable)
    monkeypatch.setenv("HCFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "_RETRY_WAIT", 0.0)
    monkeypatch.setenv("no_proxy", "*")


def arrays(architecture: Architecture, seed: int = 0) -> Params:
    generator = np.random.default_rng(seed)
    params: Params = {
        name: {
            "kernel": generator.standard_normal(shape, np.float32),
            "bias": generator.standard_normal(shape[3], np.float32),
        }
        for name, shape in alexnet.shapes(architecture).items()
    }
    return params | {"normalization": {"mean": CAFFE_MEAN, "std": np.ones(3, np.float32)}}


def operations(params: Params, generation: str = "new", architecture: Architecture = TWO) -> Any:
    """The layers of a MatConvNet file, in its fields: scalars, or one number for each direction."""
    old = generation == "oldest"
    layers: list[dict[str, Any]] = []
    for i, name in enumerate(LAYERS):
        pair = np.empty((1, 2), object)
        pair[0, 0], pair[0, 1] = params[name]["kernel"], params[name]["bias"][None, :]
        pad = float(i and alexnet._KERNELS[i] // 2)
        layers.append(
            {
                "type": "conv",
                "name": name,
                **({"filters": pair[0, 0], "biases": pair[0, 1]} if old else {"weights": pair}),
                "stride": 1.0 if i else [4.0, 4.0],
                "pad": pad if old else [pad] * 4,
            }
        )
        layers.append({"type": "relu", "name": f"relu{i + 1}"})
        if i < 2:
            end = float(architecture.pool_padding)
            reduction: list[dict[str, Any]] = [
                {
                    "type": "normalize" if old else "lrn",
                    "name": f"norm{i + 1}",
                    "param": list(architecture.normalization or ()),
                },
                {
                    "type": "pool",
                    "name": f"pool{i + 1}",
                    "method": "max",
                    "pool": [3.0, 3.0],
                    "stride": 2.0,
                    "pad": [0.0, end, 0.0, end],
                },
            ]
            layers += reduction if architecture.normalized_first else reduction[::-1]
    layers.append({"type": "pool", "name": "pool5", "pool": 3.0, "stride": 2.0})
    layers.append({"type": "conv", "name": "fc6", "weights": cell([np.ones((6, 6)), np.ones(1)])})
    return layers


def write_mat(
    path: Path,
    layers: Any,
    generation: str = "new",
    mean: Any = CAFFE_MEAN,
    size: Any = (227.0, 227.0, 3.0),
) -> Path:
    normalization = {"averageImage": np.asarray(mean), "imageSize": np.asarray(size)}
    content: dict[str, Any] = {"layers": cell(layers)}
    if generation == "new":
        content["meta"] = {"normalization": normalization}
    else:
        content["normalization"] = normalization
    scipy.io.savemat(path, {"net": content} if generation == "net" else content)
    return path


def write_alexnet_npz(path: Path, architecture: Architecture, **changes: Any) -> Path:
    params = arrays(architecture)
    content = {f"{n}/{part}": a for n in LAYERS for part, a in params[n].items()} | changes
    np.savez(path, mean_rgb=CAFFE_MEAN, **content)
    return path


def without_architecture(params: Any) -> Params:
    return {name: parts for name, parts in params.items() if name != "architecture"}


# Foreign files


@pytest.mark.parametrize("generation", ["oldest", "old", "new", "net"])
def test_a_matconvnet_file_is_read_with_its_architecture(tmp_path: Path, generation: str) -> None:
    path = write_mat(tmp_path / "alex.mat", operations(arrays(TWO), generation), generation)
    found = importers.read(path)
    assert_same(without_architecture(found.params), arrays(TWO))
    assert found.params["architecture"] == TWO
    assert (found.backbone.name, found.preset) == ("alexnet", "matconvnet")


@pytest.mark.parametrize(
    "changes",
    [
        {"normalized_first": False},
        {"pool_padding": 1},
        {"normalization": (3, 2.0, 1e-4, 0.5)},
        {"groups": (1, 1, 2, 1, 2)},
    ],
)
def test_the_architecture_is_that_of_the_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    architecture = replace(TWO, **changes)
    layers = operations(arrays(architecture), architecture=architecture)
    found = importers.read(write_mat(tmp_path / "alex.mat", layers))
    assert found.params["architecture"] == architecture


def test_a_network_without_normalization_has_none(tmp_path: Path) -> None:
    layers = [layer for layer in operations(arrays(TWO)) if layer["type"] != "lrn"]
    found = importers.read(write_mat(tmp_path / "alex.mat", layers))
    assert found.params["architecture"] == replace(TWO, normalization=None)


def test_input_size_and_mean_image_are_the_files(tmp_path: Path) -> None:
    mean = np.random.default_rng(0).uniform(0, 255, (7, 7, 3)).astype(np.float32)
    path = write_mat(tmp_path / "alex.mat", operations(arrays(TWO)), mean=mean, size=[231.0, 231.0])
    found = importers.read(path).params
    assert found["architecture"].input_size == 231
    np.testing.assert_array_equal(found["normalization"]["mean"], mean, strict=True)


def broken(index: int, **changes: Any) -> Any:
    layers = operations(arrays(TWO))
    layers[index] |= changes
    return layers


def dropped(*positions: int) -> Any:
    return [x for i, x in enumerate(operations(arrays(TWO))) if i not in positions]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (broken(0, stride=2.0), r"not AlexNet: conv1 has stride \(2, 2\)"),
        (broken(0, pad=[0.0, 1.0, 0.0, 1.0]), r"conv1 has stride .* and padding \(0, 1, 0, 1\)"),
        (broken(4, pad=1.0), r"conv2 has stride .* and padding \(1, 1, 1, 1\)"),
        (broken(1, type="sigmoid"), "conv1 is not followed by a ReLU"),
        (dropped(9), "conv3 is not followed by a ReLU"),
        (dropped(2, 3), "conv1 and its ReLU are followed by nothing"),
        (dropped(2), "conv1 and conv2 are normalised or pooled in different ways"),
        (broken(3, stride=3.0), r"pool1 has window \(3, 3\), stride \(3, 3\)"),
        (broken(3, pool=[2.0, 3.0]), r"pool1 has window \(2, 3\)"),
        (broken(3, pad=[1.0, 0.0, 1.0, 0.0]), r"pool1 has .* padding \(1, 0, 1, 0\)"),
        (broken(3, pad=[1.5]), "layer 4: its pad is"),
        (broken(2, param=[5.0, 1.0]), r"norm1 has parameters \(5.0, 1.0\)"),
        (broken(0, weights=cell([np.ones((7, 7, 3, 8)), np.ones(8)])), "expected 11 x 11"),
        (broken(8, weights=cell([np.ones((3, 3, 5, 10)), np.ones(10)])), "conv3 has kernels of 5"),
        (dropped(8), "no layer conv3; not a file of AlexNet"),
    ],
)
def test_another_network_of_these_names_is_an_error(
    tmp_path: Path, layers: Any, message: str
) -> None:
    with pytest.raises(InputError, match=rf"other\.mat: .*{message}"):
        importers.read(write_mat(tmp_path / "other.mat", layers))


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("preset", [None, "torchvision"])
def test_a_pth_is_torchvisions_without_saying_so(container: str, preset: str | None) -> None:
    path = DATA / f"torch_alexnet_{container}.pth"
    found = importers.read(path, preset)
    tensors = torch_file.read(path)
    for name, index in zip(LAYERS, (0, 3, 6, 8, 10), strict=True):
        kernel = np.moveaxis(tensors[f"features.{index}.weight"], (0, 1), (3, 2))
        np.testing.assert_array_equal(found.params[name]["kernel"], kernel, strict=True)
        bias = tensors[f"features.{index}.bias"]
        np.testing.assert_array_equal(found.params[name]["bias"], bias, strict=True)
    assert found.params["architecture"] == replace(ONE_TOWER, widths=(2, 1, 2, 1, 2))
    assert (found.backbone.name, found.preset) == ("alexnet", "torchvision")
    std = found.params["normalization"]["std"]
    np.testing.assert_allclose(std, [58.395, 57.12, 57.375], rtol=1e-6)


def test_a_pth_takes_no_other_preset() -> None:
    with pytest.raises(InputError, match=r"^preset: caffe does not fit .* takes torchvision"):
        importers.read(DATA / "torch_alexnet_zip.pth", "caffe")


@pytest.mark.parametrize("architecture", [TWO, ONE], ids=["two towers", "one tower"])
def test_a_plain_npz_is_the_network_that_its_groups_say(
    tmp_path: Path, architecture: Architecture
) -> None:
    found = importers.read(write_alexnet_npz(tmp_path / "alex.npz", architecture))
    assert found.params["architecture"] == architecture
    assert_same(without_architecture(found.params), arrays(architecture))


# The native file


@pytest.mark.parametrize("architecture", [TWO, ONE], ids=["two towers", "one tower"])
def test_a_native_file_keeps_everything(tmp_path: Path, architecture: Architecture) -> None:
    source = write_alexnet_npz(tmp_path / "source.npz", architecture)
    first = lookup.convert(source, tmp_path / "alex.npz")
    again = lookup.load(tmp_path / "alex.npz")
    assert_same(without_architecture(again.params), arrays(architecture))
    assert again.params["architecture"] == architecture
    assert (again.metadata, again.digest) == (first.metadata, first.digest)
    assert again.metadata["architecture"]["widths"] == [8, 12, 10, 8, 6]
    assert again.metadata["backbone"] == "alexnet"


def test_the_digest_depends_on_the_architecture(tmp_path: Path) -> None:
    digests = set()
    for end in (0, 1):
        layers = operations(arrays(TWO), architecture=replace(TWO, pool_padding=end))
        digests.add(lookup.load(write_mat(tmp_path / "alex.mat", layers)).digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (asdict(TWO) | {"padding": 2}, "its values do not match its digest"),
        (asdict(TWO) | {"padding": -2}, r"unreadable metadata \(a padding of -2"),
        (asdict(TWO) | {"stride": 4}, r"unreadable metadata \(an architecture of AlexNet has"),
        (asdict(TWO) | {"widths": 3}, "unreadable metadata"),
        (asdict(TWO) | {"widths": [96, 256, 384, 384, 256]}, "conv1/kernel has shape"),
        ([1], "unreadable metadata"),
        (None, r"unreadable metadata \(an architecture of AlexNet is missing"),
    ],
)
def test_a_changed_architecture_is_an_error(
    tmp_path: Path, architecture: Any, message: str
) -> None:
    path = tmp_path / "alex.npz"
    lookup.convert(write_alexnet_npz(tmp_path / "source.npz", TWO), path)
    rewrite(path, {"metadata": {"architecture": architecture}})
    with pytest.raises(InputError, match=rf"alex\.npz: {message}"):
        lookup.load(path)


def test_random_weights_are_the_same_everywhere() -> None:
    drawn = lookup.random("alexnet")
    assert drawn.digest[:16] == "32459e119dcd7b6b"
    assert drawn.params["architecture"] == TWO_TOWERS
    kernel = drawn.params["conv4"]["kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 192)), rel=0.01)


# Look-up


@pytest.fixture
def vgg_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VGG-19's layers, with few channels."""
    params = tiny_vgg()
    vgg = BACKBONES["vgg19"]
    shapes = {name: params[name]["kernel"].shape for name in vgg.layers}
    monkeypatch.setitem(BACKBONES, "vgg19", replace(vgg, shapes=lambda _: shapes))
    return write_npz(tmp_path / "vgg.npz", params)


def test_each_backbone_has_its_variable_and_file_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vgg_file: Path
) -> None:
    named = write_alexnet_npz(tmp_path / "named.npz", TWO)
    monkeypatch.setenv("HCFT_WEIGHTS", str(vgg_file))
    (tmp_path / "cache").mkdir()
    cached = lookup.convert(
        write_alexnet_npz(tmp_path / "one.npz", ONE), tmp_path / "cache" / "alexnet.npz"
    )
    assert lookup.find(None, "alexnet").digest == cached.digest
    monkeypatch.setenv("HCFT_WEIGHTS_ALEXNET", str(named))
    assert lookup.find(None, "alexnet").metadata["origin"]["file"] == "named.npz"
    assert lookup.find(None, "vgg19").metadata["origin"]["file"] == "vgg.npz"
    assert lookup.find("random", "alexnet").digest == lookup.random("alexnet").digest


@pytest.mark.parametrize("named_by", ["flag", "environment", "cache"])
def test_weights_of_another_network_are_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vgg_file: Path, named_by: str
) -> None:
    files = {"vgg19": vgg_file, "alexnet": write_alexnet_npz(tmp_path / "alex.npz", TWO)}
    (tmp_path / "cache").mkdir()
    for wanted, given in (("vgg19", "alexnet"), ("alexnet", "vgg19")):
        network, other = BACKBONES[wanted], BACKBONES[given]
        if named_by == "environment":
            monkeypatch.setenv(network.environment, str(files[given]))
        if named_by == "cache":
            lookup.convert(files[given], tmp_path / "cache" / f"{wanted}.npz")
        message = (
            rf"npz: weights of {other.title}, but the backbone is {network.title}; "
            rf"give a file of {network.title}, or the backbone '{given}'"
        )
        with pytest.raises(InputError, match=message) as raised:
            lookup.find(str(files[given]) if named_by == "flag" else None, wanted)
        assert ("named by HCFT" in str(raised.value)) == (named_by == "environment")
        assert ("the cached copy" in str(raised.value)) == (named_by == "cache")


def test_without_weights_and_network_the_ways_are_listed() -> None:
    ways = r"^weights: no file of AlexNet .*HCFT_WEIGHTS_ALEXNET=FILE.* fetch --backbone=alexnet"
    with pytest.raises(InputError, match=ways):
        lookup.find(None, "alexnet")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    """A server of a tiny AlexNet, its checksum as short as the published one."""
    content = (DATA / "torch_alexnet_zip.pth").read_bytes()
    with serving(content, "alexnet-owt.pth") as behaviour:
        digits = hashlib.sha256(content).hexdigest()[:8]
        release = Release(behaviour.url, f"sha256:{digits}")
        network = replace(BACKBONES["alexnet"], release=release)
        monkeypatch.setitem(BACKBONES, "alexnet", network)
        yield behaviour


def test_the_public_file_is_fetched_once_and_found(server: Behaviour, tmp_path: Path) -> None:
    found = [lookup.find(None, "alexnet") for _ in range(2)]
    assert found[0].digest == found[1].digest
    assert len(server.requests) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["alexnet.npz"]
    origin = found[0].metadata["origin"]
    assert (origin["preset"], origin["file"]) == ("torchvision", "alexnet-owt.pth")


def test_another_content_is_not_used(server: Behaviour) -> None:
    server.content = b"<html>Log in</html>"
    with pytest.raises(InputError, match="another checksum than sha256:"):
        lookup.fetch("alexnet")


# Command line


def test_convert_and_check_say_what_the_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_mat(tmp_path / "alex.mat", operations(arrays(TWO)))
    dest = tmp_path / "alex.npz"
    assert call(command, "convert", str(source), str(dest)) == 0
    out = capsys.readouterr().out
    assert "AlexNet, matconvnet, channels RGB -> RGB, mean [123.6" in out
    assert "normalization=(5, 1.0, 2e-05, 0.75), normalized_first=True" in out
    assert lookup.load(dest).digest in out
    call(command, "check", str(dest))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok    file: AlexNet, complete and finite")
    assert lines[1].startswith("note  not a known training")
    assert any("conv4, conv5: norms of the channels" in line for line in lines)


def test_check_fails_a_dead_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = -np.ones(alexnet.shapes(TWO)["conv3"], np.float32)
    path = write_alexnet_npz(
        tmp_path / "x.npz", TWO, **{"conv3/kernel": kernel, "conv3/bias": -np.ones(10, np.float32)}
    )
    assert call(command, "check", str(path)) == 1
    assert "FAIL  conv3: 0.000 of a test image's responses" in capsys.readouterr().out


@pytest.mark.usefixtures("server")
def test_fetch_takes_the_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "fetch", "--backbone=alexnet") == 0
    where = lookup.cache_dir() / "alexnet.npz"
    assert capsys.readouterr().out == f"AlexNet is in {where}\n"
