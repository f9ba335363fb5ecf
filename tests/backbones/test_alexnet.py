"""AlexNet's two architectures and CaffeNet's order, against NumPy in float64 and PyTorch."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones import alexnet
from hcft_jax.backbones.alexnet import LAYERS, ONE_TOWER, TWO_TOWERS, Architecture
from hcft_jax.backbones.backbone import Params
from hcft_jax.weights import lookup
from tests import reference

CAFFENET = replace(TWO_TOWERS, normalized_first=False, pool_padding=1)
FEATURES = jax.jit(alexnet.features, static_argnums=2)
ARCHITECTURES = {"two towers": TWO_TOWERS, "one tower": ONE_TOWER, "CaffeNet": CAFFENET}


def narrow(architecture: Architecture) -> Architecture:
    """The same with few channels."""
    return replace(architecture, widths=(8, 12, 10, 8, 6))


def drawn(architecture: Architecture) -> Params:
    """Parameters with which every step matters: biases, and responses that LRN divides by 2."""
    generator = np.random.default_rng(1)
    params: Params = {
        name: {
            "kernel": generator.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape).astype("f4"),
            "bias": generator.normal(0, 10, shape[3]).astype("f4"),
        }
        for name, shape in alexnet.shapes(architecture).items()
    }
    mean, std = np.array([120, 110, 100], np.float32), np.array([0.5, 0.6, 0.7], np.float32)
    return params | {"normalization": {"mean": mean, "std": std}, "architecture": architecture}


@pytest.fixture(scope="module")
def untrained_alexnet() -> Params:
    return lookup.random("alexnet").params


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(6).uniform(0, 255, (75, 68, 3)).astype(np.float32)


def assert_maps(found: dict[str, jax.Array], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, maps in expected.items():
        np.testing.assert_allclose(found[name], maps, atol=2e-5 * np.abs(maps).max())


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_maps_are_those_of_a_float64_numpy_network(image: np.ndarray, kind: str) -> None:
    params = drawn(narrow(ARCHITECTURES[kind]))
    assert_maps(FEATURES(params, image, LAYERS), reference.alexnet(params, image, LAYERS))


def test_maps_of_the_whole_network_are_too(untrained_alexnet: Params, image: np.ndarray) -> None:
    found = FEATURES(untrained_alexnet, image, LAYERS)
    assert_maps(found, reference.alexnet(untrained_alexnet, image, LAYERS))


@pytest.mark.parametrize("change", ["normalization", "normalized_first", "padding", "pool_padding"])
def test_every_part_of_an_architecture_matters(image: np.ndarray, change: str) -> None:
    kind = narrow(TWO_TOWERS)
    values: dict[str, Any] = {
        "normalization": None,
        "normalized_first": False,
        "padding": 2,
        "pool_padding": 1,
    }
    params = drawn(kind)
    other = params | {"architecture": replace(kind, **{change: values[change]})}
    # 74 px: neither rounding nor padding leaves the sizes alone
    one, two = (np.asarray(FEATURES(p, image[:74], ("conv3",))["conv3"]) for p in (params, other))
    assert one.shape != two.shape or np.abs(one - two).max() > 0.05 * np.abs(one).max()


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_maps_are_those_of_pytorchs_functions(image: np.ndarray, kind: str) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    architecture = narrow(ARCHITECTURES[kind])
    params = drawn(architecture)
    mean, std = (params["normalization"][part] for part in ("mean", "std"))
    x = torch.from_numpy(((image - mean) / std).transpose(2, 0, 1)[None].astype(np.float64))

    def normalized(x: Any) -> Any:
        n, k, alpha, beta = architecture.normalization or (1, 1.0, 0.0, 0.0)
        return functional.local_response_norm(x, n, alpha=alpha * n, beta=beta, k=k)

    expected = {}
    for i, name in enumerate(LAYERS):
        kernel = torch.from_numpy(params[name]["kernel"].transpose(3, 2, 0, 1).astype(np.float64))
        x = functional.conv2d(
            x,
            kernel,
            torch.from_numpy(params[name]["bias"].astype(np.float64)),
            stride=1 if i else 4,
            padding=(architecture.padding, 2, 1, 1, 1)[i],
            groups=architecture.groups[i],
        ).relu()
        expected[name] = x[0].permute(1, 2, 0).numpy()
        if i < 2:
            x = normalized(x) if architecture.normalized_first else x
            x = functional.max_pool2d(x, 3, 2, ceil_mode=architecture.pool_padding == 1)
            x = x if architecture.normalized_first else normalized(x)
    assert_maps(FEATURES(params, image, LAYERS), expected)


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_channels_are_normalized_by_their_neighbours(n: int, maybe_jit: Any) -> None:
    x = np.random.default_rng(0).normal(0, 50, (2, 3, 7)).astype(np.float32)
    found = maybe_jit(alexnet.normalize_channels, static_argnums=(1, 2, 3, 4))(
        x, n, 2.0, 1e-3, 0.75
    )
    np.testing.assert_allclose(
        found, reference.normalized_channels(x, n, 2.0, 1e-3, 0.75), rtol=1e-5
    )


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_maps_of_the_trainings_input_have_the_published_sizes(kind: str) -> None:
    architecture = ARCHITECTURES[kind]
    params = jax.eval_shape(lambda: drawn(architecture))
    image = jnp.zeros((architecture.input_size, architecture.input_size, 3))
    maps = jax.eval_shape(lambda p, x: alexnet.features(p, x, LAYERS), params, image)
    sides = [55, 27, 13, 13, 13]
    expected = [(n, n, width) for n, width in zip(sides, architecture.widths, strict=True)]
    assert [maps[name].shape for name in LAYERS] == expected


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("size", [35, 51, 67, 74, 91, 224, 227, 230])
def test_a_map_is_at_least_as_large_as_foretold(kind: str, size: int) -> None:
    architecture = narrow(ARCHITECTURES[kind])
    params = jax.eval_shape(lambda: drawn(architecture))
    maps = jax.eval_shape(
        lambda p, x: alexnet.features(p, x, LAYERS), params, jnp.zeros((size, size, 3))
    )
    for name in LAYERS:
        side = alexnet.BACKBONE.side(name, size)
        assert maps[name].shape[0] >= side
        if kind == "two towers":
            assert maps[name].shape[0] == side


@pytest.mark.parametrize(("layer", "count"), [("conv1", 1), ("conv2", 3), ("conv5", 8)])
def test_nothing_deeper_than_asked_for_is_computed(
    image: np.ndarray, layer: str, count: int
) -> None:
    params = drawn(narrow(TWO_TOWERS))
    program = str(jax.make_jaxpr(lambda x: alexnet.features(params, x, [layer]))(image))
    assert program.count("conv_general_dilated[") == count


def test_a_batch_gives_what_its_images_give(image: np.ndarray) -> None:
    params = drawn(narrow(TWO_TOWERS))
    batch = np.stack([[image, 255 - image]])
    maps = FEATURES(params, batch, LAYERS)["conv3"]
    alone = FEATURES(params, batch[0, 1], LAYERS)["conv3"]
    assert maps.shape[:2] == (1, 2)
    np.testing.assert_allclose(maps[0, 1], alone, atol=1e-5 * np.abs(alone).max())


def test_a_fresh_network_has_the_named_parameters() -> None:
    module = alexnet.AlexNet(("conv5",), TWO_TOWERS)
    tree = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((67, 67, 3)))["params"]
    assert set(tree) == {*LAYERS, "normalization"}
    found = {name: tree[name]["kernel"].shape for name in LAYERS}
    assert found == alexnet.shapes(TWO_TOWERS)
    assert found["conv2"] == (5, 5, 48, 256)


def test_gradients_reach_every_array_and_leave_the_architecture(image: np.ndarray) -> None:
    params = drawn(narrow(TWO_TOWERS))
    response = jax.jit(jax.grad(lambda p: FEATURES(p, image[:51, :51], LAYERS)["conv5"].sum()))
    gradient = response(params)
    assert gradient["architecture"] == params["architecture"]
    for name in (*LAYERS, "normalization"):
        for part in gradient[name].values():
            assert np.isfinite(part).all()
            assert np.abs(part).max() > 0


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": (1, 3, 1, 2, 2)},
        {"widths": (96, 256, 384, 384)},
        {"widths": (96, 255, 384, 384, 256)},
        {"groups": (1, 0, 1, 2, 2)},
        {"padding": -1},
        {"padding": "2"},
        {"pool_padding": 2},
        {"normalization": (0, 1.0, 1e-4, 0.75)},
        {"normalization": (5, 1.0, float("nan"), 0.75)},
        {"input_size": 0},
    ],
)
def test_an_impossible_architecture_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"groups|normalise|padding|pixels|argument 2"):
        replace(TWO_TOWERS, **changes)
