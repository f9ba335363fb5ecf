import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup, native
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
    path = rewrite(native_file(tmp_path / "vgg.npz"), changes)
    with pytest.raises(InputError, match=rf"vgg\.npz: .*{message}"):
        lookup.load(path)


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
