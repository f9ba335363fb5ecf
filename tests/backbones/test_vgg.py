import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones import vgg
from tests import reference


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(6).uniform(0, 255, (48, 32, 3)).astype(np.float32)


def test_there_are_sixteen_layers_shallow_to_deep() -> None:
    assert len(vgg.LAYERS) == 16
    assert (vgg.LAYERS[0], vgg.LAYERS[-1]) == ("conv1_1", "conv5_4")
    assert vgg.shapes()["conv3_1"] == (3, 3, 128, 256)


@pytest.mark.parametrize(
    "layers", [("conv1_1",), ("conv5_4", "conv4_4", "conv3_4"), ("conv2_2", "conv1_2")]
)
def test_maps_are_those_of_a_float64_numpy_network(
    params: vgg.Params, image: np.ndarray, layers: tuple[str, ...]
) -> None:
    maps = jax.jit(vgg.features, static_argnums=2)(params, image, layers)
    expected = reference.vgg(params, image, layers)
    assert set(maps) == set(layers)
    for name in layers:
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(maps[name], expected[name], atol=2e-5 * scale)


def test_maps_of_a_224_input_have_the_papers_sizes(params: vgg.Params) -> None:
    layers = ("conv3_4", "conv4_4", "conv5_4")
    maps = jax.eval_shape(lambda x: vgg.features(params, x, layers), jnp.zeros((224, 224, 3)))
    assert [maps[name].shape for name in layers] == [(56, 56, 256), (28, 28, 512), (14, 14, 512)]


@pytest.mark.parametrize(("layer", "count"), [("conv1_1", 1), ("conv3_2", 6), ("conv5_4", 16)])
def test_nothing_deeper_than_asked_for_is_computed(
    params: vgg.Params, image: np.ndarray, layer: str, count: int
) -> None:
    program = str(jax.make_jaxpr(lambda x: vgg.features(params, x, [layer]))(image))
    assert program.count("conv_general_dilated[") == count


def test_a_batch_gives_what_its_images_give(params: vgg.Params, image: np.ndarray) -> None:
    batch = np.stack([image, 255 - image])
    maps = vgg.features(params, jnp.asarray(batch), ["conv2_1"])["conv2_1"]
    alone = vgg.features(params, jnp.asarray(batch[1]), ["conv2_1"])["conv2_1"]
    np.testing.assert_allclose(maps[1], alone, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("size", [(48, 32), (8, 9)], ids=["the input's size", "another size"])
def test_the_mean_may_be_an_image(
    params: vgg.Params, image: np.ndarray, size: tuple[int, int]
) -> None:
    mean = np.broadcast_to(params["normalization"]["mean"], (*size, 3))
    changed = params | {"normalization": params["normalization"] | {"mean": jnp.asarray(mean)}}
    whole = vgg.features(changed, jnp.asarray(image), ["conv1_1"])["conv1_1"]
    pixel = vgg.features(params, jnp.asarray(image), ["conv1_1"])["conv1_1"]
    np.testing.assert_allclose(whole, pixel, atol=1e-3)


def test_a_fresh_network_has_the_named_parameters() -> None:
    module = vgg.VGG19(("conv5_4",))
    tree = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((32, 32, 3)))["params"]
    assert set(tree) == {*vgg.LAYERS, "normalization"}
    shapes = {name: tree[name]["kernel"].shape for name in vgg.LAYERS}
    assert shapes == vgg.shapes()
