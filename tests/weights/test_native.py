import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.backbones import alexnet
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup, native
from tests import damage
from tests.weights.conftest import native_file
from tests.weights.test_importers import (
    Params,
    assert_same,
    tiny,
    write_keras,
    write_mat,
    write_npz,
)


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


@pytest.mark.usefixtures("small")
def test_a_saved_file_is_read_back(tmp_path: Path) -> None:
    first = lookup.load(write_npz(tmp_path / "source.npz", tiny()))
    native.save(tmp_path / "new" / "vgg.bin", first)
    again = lookup.load(tmp_path / "new" / "vgg.bin")
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
    assert lookup.load(path).metadata == {
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
    keras = lookup.load(write_keras(tmp_path / "vgg.h5", tiny()))
    matlab = lookup.load(write_mat(tmp_path / "vgg.mat", tiny()))
    other = lookup.load(write_npz(tmp_path / "vgg.npz", tiny(seed=1)))
    assert keras.digest == matlab.digest != other.digest


def alexnet_values(**changes: Any) -> dict[str, Any]:
    return dataclasses.asdict(alexnet.TWO_TOWERS) | changes


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
        ({"metadata": np.array("[" * 100_000)}, "unreadable metadata"),
        ({"metadata": np.array("1" * 10_000)}, "unreadable metadata"),
        ({"metadata": np.array(["{}", "{}"])}, "unreadable metadata"),
        ({"metadata": np.ones(3)}, "unreadable metadata"),
        ({"metadata": {"format_version": ["\n"] * 999}}, "native format"),
        ({"metadata": {"backbone": ["vgg19"]}}, "unreadable metadata .backbone"),
        ({"metadata": {"backbone": "x\n" * 999}}, "weights of 'x.x."),
        ({"metadata": {"digest": 7}}, "unreadable metadata .digest"),
        ({"metadata": {"origin": "web"}}, "unreadable metadata .origin"),
        ({"metadata": {"origin": {}}}, "unreadable metadata .origin"),
        ({"metadata": {"source_channel_order": 3}}, "unreadable metadata .source_channel_order"),
        ({"metadata": {"backbone": "alexnet"}}, "unreadable metadata .an architecture of AlexNet"),
        *(
            ({"metadata": {"backbone": "alexnet", "architecture": values}}, "unreadable metadata")
            for values in (
                *([], "text", 3, {"widths": 1}, ["widths"]),
                alexnet_values(widths="abcde"),
                alexnet_values(widths=[96.0, 256.0, 384.0, 384.0, 256.0]),
                alexnet_values(widths=[2**40] * 5),
                alexnet_values(groups=[[1], 2, 1, 2, 2]),
                alexnet_values(normalization=[1e300, 1, 1, 1]),
                alexnet_values(normalization=["5", 1, 1, 1]),
                alexnet_values(normalization={"n": 1}),
                alexnet_values(normalized_first="yes"),
                alexnet_values(input_size=10**9),
            )
        ),
        ({"architecture/x": np.ones(3, np.float32)}, "unknown array architecture/x"),
        ({"conv1_1": np.ones(3, np.float32)}, "unknown array conv1_1"),
        ({"conv1_1/kernel/x": np.ones(3, np.float32)}, "unknown array conv1_1/kernel/x"),
        ({"x\ny/kernel": np.ones(3, np.float32)}, "unknown array x.y/kernel"),
        ({"conv1_1/kernel": np.array("text")}, "conv1_1/kernel has shape"),
        ({"conv5_4_projection/kernel": np.float32(1)}, "conv5_4_projection"),
        ({"normalization/mean": np.ones((0, 0, 3), np.float32)}, "mean has shape"),
    ],
)
def test_a_changed_native_file_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = rewrite(native_file(tmp_path / "vgg.npz"), changes)
    with pytest.raises(InputError, match=rf"vgg\.npz: .*{message}") as error:
        lookup.load(path)
    assert str(error.value).isprintable()


@pytest.mark.usefixtures("small")
@damage.SETTINGS
@given(data=st.data())
def test_a_damaged_native_file_is_an_error_or_the_same(tmp_path: Path, data: st.DataObject) -> None:
    source = tmp_path / "source" / "vgg.npz"
    if not source.exists():
        source.parent.mkdir()
        native_file(source)
    content = data.draw(damage.of(source.read_bytes()))
    found = damage.read(tmp_path / "vgg.npz", content, lookup.load)
    if found is not None:
        assert_same(found.params, tiny())


def projected(**changes: Any) -> Params:
    """The tiny network with a projection of its deepest level to two channels."""
    width = tiny()["conv5_4"]["kernel"].shape[3]
    arrays = {"kernel": np.ones((1, 1, width, 2), np.float32), "bias": np.zeros(2, np.float32)}
    return tiny() | {"conv5_4_projection": arrays | changes}


@pytest.mark.usefixtures("small")
def test_projections_are_written_and_read_back(tmp_path: Path) -> None:
    native.save(tmp_path / "vgg.npz", lookup.made(projected(), "vgg19", {}))
    assert_same(lookup.load(tmp_path / "vgg.npz").params, projected())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": np.ones((1, 1, 99, 2), np.float32)}, "conv5_4_projection/kernel has shape"),
        ({"bias": np.ones(3, np.float32)}, "conv5_4_projection/bias has shape"),
        ({"bias": np.full(2, np.nan, np.float32)}, "conv5_4_projection/bias holds NaN"),
    ],
)
def test_a_projection_that_does_not_fit_its_layer_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    native.save(tmp_path / "vgg.npz", lookup.made(projected(**changes), "vgg19", {}))
    with pytest.raises(InputError, match=message):
        lookup.load(tmp_path / "vgg.npz")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fraction", [0.001, 0.2, 0.6, 0.999])
def test_a_truncated_native_file_is_an_error(tmp_path: Path, fraction: float) -> None:
    path = native_file(tmp_path / "vgg.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(InputError, match=r"vgg\.npz: truncated or damaged"):
        lookup.load(path)


@pytest.mark.parametrize("writer", [write_npz, write_mat, write_keras])
def test_a_network_of_other_widths_is_an_error(
    tmp_path: Path, writer: Callable[[Path, Params], Path]
) -> None:
    with pytest.raises(InputError, match=r"vgg\.npz: .* has shape .*; VGG-19 has"):
        lookup.load(writer(tmp_path / "vgg.npz", tiny()))


@pytest.mark.usefixtures("small")
def test_values_too_large_for_float32_are_an_error(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "vgg.npz", tiny(), **{"conv1_1/bias": np.array([1e300])})
    with pytest.raises(InputError, match="conv1_1/bias holds NaN or infinity"):
        lookup.load(path)


@pytest.mark.usefixtures("small")
def test_a_destination_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not written"):
        native.save(tmp_path, lookup.random())
