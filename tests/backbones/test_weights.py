import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax import download
from hcft_jax.backbones import vgg, weights
from hcft_jax.backbones.backbone import Release
from hcft_jax.backbones.registry import BACKBONES
from hcft_jax.errors import InputError
from tests.backbones.test_importers import (
    DATA,
    Params,
    assert_same,
    bgr,
    tiny,
    write_keras,
    write_mat,
    write_npz,
)
from tests.conftest import shared
from tests.server import Behaviour, serving


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


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG-19 is as wide as ``tiny``."""
    shapes = {name: parts["kernel"].shape for name, parts in tiny().items() if name in vgg.LAYERS}
    set_shapes(monkeypatch, shapes)


def set_shapes(monkeypatch: pytest.MonkeyPatch, shapes: dict[str, Any]) -> None:
    network = replace(BACKBONES["vgg19"], shapes=lambda _: shapes)
    monkeypatch.setitem(BACKBONES, "vgg19", network)


def native(path: Path) -> Path:
    weights.save(path, weights.load(write_npz(path.with_name("source.npz"), tiny())))
    return path


def rewrite(path: Path, changes: dict[str, Any]) -> Path:
    """Replaces arrays of an .npz, or removes them (None); ``metadata`` is updated, not replaced."""
    with np.load(path) as file:
        arrays: dict[str, Any] = dict(file)
    if isinstance(update := changes.get("metadata"), dict):
        changed = json.dumps({**json.loads(str(arrays["metadata"])), **update})
        changes = {**changes, "metadata": np.array(changed)}
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


# The native file


@pytest.mark.usefixtures("small")
def test_a_saved_file_is_read_back(tmp_path: Path) -> None:
    first = weights.load(write_npz(tmp_path / "source.npz", tiny()))
    weights.save(tmp_path / "new" / "vgg.bin", first)
    again = weights.load(tmp_path / "new" / "vgg.bin")
    assert_same(again.params, tiny())
    assert (again.metadata, again.digest) == (first.metadata, first.digest)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("writer", "preset", "order"),
    [(write_npz, "npz", "RGB"), (write_mat, "matconvnet", "RGB"), (write_keras, "keras", "BGR")],
)
def test_metadata_say_where_the_weights_came_from(
    tmp_path: Path, writer: Callable[[Path, Params], Path], preset: str, order: str
) -> None:
    path = writer(tmp_path / "source.npz", tiny())
    assert weights.load(path).metadata == {
        "format_version": 1,
        "backbone": "vgg19",
        "origin": {
            "preset": preset,
            "file": "source.npz",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
        "source_channel_order": order,
        "channel_order": "RGB",
        "input_range": [0, 255],
    }


@pytest.mark.usefixtures("small")
def test_the_digest_depends_on_the_content_only(tmp_path: Path) -> None:
    keras = weights.load(write_keras(tmp_path / "vgg.h5", tiny()))
    matlab = weights.load(write_mat(tmp_path / "vgg.mat", tiny()))
    other = weights.load(write_npz(tmp_path / "vgg.npz", tiny(seed=1)))
    assert keras.digest == matlab.digest != other.digest


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv5_4/bias": None}, "no conv5_4/bias"),
        ({"normalization/std": None}, "no normalization/std"),
        ({"conv1_1/kernel": np.ones((3, 3, 3, 7), np.float32)}, r"conv1_1/kernel has shape \(3"),
        ({"conv1_1/bias": np.ones(1, np.int32)}, "conv1_1/bias is int32"),
        ({"conv1_1/bias": np.array([np.nan], np.float32)}, "conv1_1/bias holds NaN"),
        ({"conv1_1/bias": np.array([-np.inf], np.float32)}, "conv1_1/bias holds NaN or inf"),
        ({"conv1_1/bias": np.array([1], np.float32)}, "do not match its digest"),
        ({"normalization/mean": np.full(3, 300, np.float32)}, "mean and std must be in"),
        ({"normalization/std": np.zeros(3, np.float32)}, "mean and std must be in"),
        ({"normalization/mean": np.ones((4, 4), np.float32)}, "normalization/mean has shape"),
        ({"fc6/kernel": np.ones(3, np.float32)}, "unknown array fc6/kernel"),
        ({"metadata": {"format_version": 2}}, "native format 2"),
        ({"metadata": {"digest": "0"}}, "do not match its digest"),
        ({"metadata": {"backbone": "resnet"}}, "weights of 'resnet'; there are vgg19, alexnet"),
        ({"metadata": {"architecture": {}}}, "unreadable metadata .an architecture of VGG-19"),
        ({"metadata": np.array("{")}, "unreadable metadata"),
        ({"metadata": np.array("[]")}, "unreadable metadata"),
        ({"metadata": np.array({"digest": 0}, object)}, "truncated or damaged"),
    ],
)
def test_a_changed_native_file_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = rewrite(native(tmp_path / "vgg.npz"), changes)
    with pytest.raises(InputError, match=rf"vgg\.npz: .*{message}"):
        weights.load(path)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fraction", [0.001, 0.2, 0.6, 0.999])
def test_a_truncated_native_file_is_an_error(tmp_path: Path, fraction: float) -> None:
    path = native(tmp_path / "vgg.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(InputError, match=r"vgg\.npz: truncated or damaged"):
        weights.load(path)


@pytest.mark.parametrize("writer", [write_npz, write_mat, write_keras])
def test_a_network_of_other_widths_is_an_error(
    tmp_path: Path, writer: Callable[[Path, Params], Path]
) -> None:
    with pytest.raises(InputError, match=r"vgg\.npz: .* has shape .*; VGG-19 has"):
        weights.load(writer(tmp_path / "vgg.npz", tiny()))


@pytest.mark.usefixtures("small")
def test_values_too_large_for_float32_are_an_error(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "vgg.npz", tiny(), **{"conv1_1/bias": np.array([1e300])})
    with pytest.raises(InputError, match="conv1_1/bias holds NaN or infinity"):
        weights.load(path)


@pytest.mark.usefixtures("small")
def test_a_destination_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not written"):
        weights.save(tmp_path, weights.random())


# Look-up


def test_random_weights_are_the_same_everywhere(untrained: weights.Weights) -> None:
    assert untrained.digest[:16] == "61eae814d50035b9"


def test_random_weights_have_the_full_widths_and_say_so(untrained: weights.Weights) -> None:
    found = {name: untrained.params[name]["kernel"].shape for name in vgg.LAYERS}
    assert found == vgg.shapes()
    assert untrained.metadata["origin"]["preset"] == "random, untrained"
    kernel = untrained.params["conv5_4"]["kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.01)


@pytest.mark.usefixtures("small")
def test_random_weights_are_always_the_same() -> None:
    assert weights.random().digest == weights.random().digest


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
    native(tmp_path / "cache" / "vgg19.npz")
    if environment:
        monkeypatch.setenv("HCFT_WEIGHTS", str(paths["environment"]))
    found = weights.find(str(paths["flag"]) if explicit else None).metadata["origin"]["file"]
    expected = "flag.npz" if explicit else "environment.npz" if environment else "source.npz"
    assert found == expected


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("source", ["flag", "environment"])
def test_random_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    if source == "environment":
        monkeypatch.setenv("HCFT_WEIGHTS", "random")
    found = weights.find("random" if source == "flag" else None)
    assert found.digest == weights.random().digest


@pytest.mark.parametrize("source", ["flag", "environment"])
def test_named_weights_that_are_missing_are_not_replaced_by_others(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("HCFT_WEIGHTS", "/nowhere/environment.npz")
    expected = "flag.npz: no such file" if source == "flag" else "no such file.*HCFT_WEIGHTS"
    with pytest.raises(InputError, match=expected):
        weights.find("/nowhere/flag.npz" if source == "flag" else None)


def test_without_weights_and_network_the_ways_are_listed() -> None:
    with pytest.raises(InputError, match=r"--weights=FILE.*HCFT_WEIGHTS=FILE.*fetch.*cannot conn"):
        weights.find(None)


@pytest.mark.usefixtures("small")
def test_a_damaged_cache_says_that_it_is_the_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "vgg19.npz").write_bytes(b"PK truncated")
    with pytest.raises(InputError, match=r"vgg19\.npz: .*the cached copy: delete it"):
        weights.find(None)


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
    assert weights.cache_dir() == Path(expected)


# Download


@pytest.fixture
def server(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behaviour]:
    """A server of a tiny Keras file."""
    content = write_keras(tmp_path / "source.h5", tiny()).read_bytes()
    with serving(content, "vgg19.h5") as behaviour:
        set_release(monkeypatch, behaviour.url, behaviour.checksum)
        yield behaviour


def assert_fetched(path: Path) -> None:
    assert_same(weights.load(path).params, tiny())
    assert sorted(file.name for file in path.parent.iterdir()) == ["vgg19.lock", "vgg19.npz"]


def test_a_fetched_file_is_kept_as_native_file(server: Behaviour) -> None:
    path = weights.fetch()
    assert_fetched(path)
    assert weights.load(path).metadata["origin"] == {
        "preset": "keras",
        "file": "vgg19.h5",
        "sha256": hashlib.sha256(server.content).hexdigest(),
    }


def test_weights_are_found_by_fetching(server: Behaviour) -> None:
    digests = {weights.find(None).digest for _ in range(2)}
    assert (len(digests), len(server.requests)) == (1, 1)


def test_a_cache_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(InputError, match="cache: cannot write there"):
        weights.fetch()


# Command line


def test_check_reports_and_passes_good_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert weights.main(["check", str(shared("weights", "vgg19_imagenet.npz"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(vgg.LAYERS) + 1
    assert all(line.startswith("ok    ") for line in lines)


def test_check_fails_a_truncated_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vgg.npz"
    path.write_bytes(shared("weights", "vgg19_imagenet.npz").read_bytes()[:-100_000])
    assert weights.main(["check", str(path)]) == 1
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
    assert weights.main(["convert", str(source), str(dest), f"--preset={preset}"]) == 0
    out = capsys.readouterr().out
    order = "BGR" if preset == "caffe" else "RGB"
    assert f"{preset}, channels {order} -> RGB, mean [123.6" in out
    assert weights.load(dest).digest in out


def test_convert_refuses_the_oxford_training_with_a_wrong_preset(
    tmp_path: Path, oxford: weights.Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = replace(oxford, params=bgr(oxford.params))
    monkeypatch.setattr(weights, "_load", lambda path, preset: wrong)
    with pytest.raises(InputError, match=r"vgg\.pth: fails the self-test \(conv1_1.*preset"):
        weights.convert("vgg.pth", tmp_path / "vgg.npz", "torchvision")
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
    assert weights.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("small")
def test_fetch_takes_a_mirror_and_prints_where_the_file_is(
    server: Behaviour, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_release(monkeypatch, "http://127.0.0.1:1/vgg19.h5", server.checksum)
    assert weights.main(["fetch", "--url", server.url]) == 0
    assert str(weights.cache_dir() / "vgg19.npz") in capsys.readouterr().out
