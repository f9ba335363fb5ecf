from collections.abc import Callable

import numpy as np
import pytest

from hcft_jax.backbones import vgg
from hcft_jax.backbones.vgg import Params
from hcft_jax.weights import selftest
from hcft_jax.weights.native import Weights


def changed(params: Params, layer: str, **parts: np.ndarray) -> Params:
    return {**params, layer: {**params[layer], **parts}}


def failures(params: Params) -> list[str]:
    """What the failed lines are about."""
    lines = selftest.inspect(vgg.BACKBONE, params)
    return [text.partition(":")[0] for status, text in lines if status == "FAIL"]


CORRUPTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "transposed": lambda kernel: kernel.swapaxes(0, 1),
    "true convolution": lambda kernel: kernel[::-1, ::-1],
    "upside down": lambda kernel: kernel[::-1],
    "left and right": lambda kernel: kernel[:, ::-1],
    "inputs reversed": lambda kernel: kernel[:, :, ::-1],
    "outputs reversed": lambda kernel: kernel[:, :, :, ::-1],
    "inputs and outputs swapped": lambda kernel: kernel.swapaxes(2, 3),
    "reshaped only": lambda kernel: kernel.transpose(3, 2, 0, 1).reshape(kernel.shape),
    "partly zero": lambda kernel: kernel * (np.arange(kernel.shape[3]) < kernel.shape[3] * 0.7),
    "scaled": lambda kernel: kernel / 255,
}


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("layer", vgg.LAYERS)
def test_a_corrupted_kernel_is_detected(oxford: Weights, layer: str, name: str) -> None:
    kernel = CORRUPTIONS[name](oxford.params[layer]["kernel"])
    if kernel.shape == oxford.params[layer]["kernel"].shape:
        assert failures(changed(oxford.params, layer, kernel=kernel)) == [layer]


@pytest.mark.parametrize("layer", vgg.LAYERS)
def test_a_corrupted_bias_is_detected(oxford: Weights, layer: str) -> None:
    bias = oxford.params[layer]["bias"][::-1]
    assert failures(changed(oxford.params, layer, bias=bias)) == [layer]


@pytest.mark.parametrize(
    "parts",
    [
        {"mean": np.array([103.939, 116.779, 123.68], np.float32)},
        {"mean": np.array([0.485, 0.456, 0.406], np.float32)},
        {"std": np.array([58.4, 57.1, 57.4], np.float32)},
    ],
)
def test_a_foreign_normalization_is_detected(oxford: Weights, parts: dict[str, np.ndarray]) -> None:
    assert failures(changed(oxford.params, "normalization", **parts)) == ["normalization"]


@pytest.mark.parametrize("layer", vgg.LAYERS)
@pytest.mark.parametrize("precision", ["8 bit", "float16"])
def test_rounded_kernels_pass(oxford: Weights, layer: str, precision: str) -> None:
    kernel, bias = oxford.params[layer]["kernel"], oxford.params[layer]["bias"]
    step = np.abs(kernel).max() / 127
    rounded = np.rint(kernel / step) * step if precision == "8 bit" else kernel.astype(np.float16)
    bias = bias.astype(np.float16).astype(np.float32)
    assert (
        failures(changed(oxford.params, layer, kernel=rounded.astype(np.float32), bias=bias)) == []
    )


@pytest.fixture(scope="module")
def unknown(oxford: Weights) -> Params:
    """The Oxford training with other biases: no longer recognised."""
    params = {
        name: {"kernel": parts["kernel"], "bias": parts["bias"] * np.float32(1.05)}
        for name, parts in oxford.params.items()
        if name in vgg.LAYERS
    }
    return {**params, "normalization": oxford.params["normalization"]}


def test_an_unknown_training_passes_functional_tests_only(unknown: Params) -> None:
    assert selftest.inspect(vgg.BACKBONE, unknown)[0][0] == "note"
    assert (
        "not a known training: functional tests only"
        in selftest.inspect(vgg.BACKBONE, unknown)[0][1]
    )
    assert failures(unknown) == []


@pytest.mark.parametrize("layer", ["conv1_2", "conv2_2", "conv3_3", "conv4_2", "conv5_4"])
@pytest.mark.parametrize("name", ["inputs and outputs swapped", "reshaped only"])
def test_an_unknown_training_with_mixed_axes_is_detected(
    unknown: Params, layer: str, name: str
) -> None:
    kernel = CORRUPTIONS[name](unknown[layer]["kernel"])
    assert any(layer in about for about in failures(changed(unknown, layer, kernel=kernel)))


def test_an_unknown_training_with_bgr_kernels_is_noted(unknown: Params) -> None:
    kernel = unknown["conv1_1"]["kernel"][:, :, ::-1]
    lines = selftest.inspect(vgg.BACKBONE, changed(unknown, "conv1_1", kernel=kernel))
    assert any(status == "note" and "BGR" in text for status, text in lines)


def test_untrained_weights_fail_the_self_test(untrained: Weights) -> None:
    assert "conv5_3, conv5_4" in failures(untrained.params)
