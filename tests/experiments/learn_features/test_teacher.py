"""Principal components against NumPy's own."""

import numpy as np
import pytest

from experiments.learn_features import teacher
from experiments.learn_features.teacher import Teacher
from hcft_jax.weights import lookup

LAYERS = ("conv1_2", "conv2_2")


@pytest.fixture(scope="module")
def tutor() -> Teacher:
    return Teacher(lookup.random().params, "vgg19", LAYERS)


@pytest.fixture(scope="module")
def patch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    x = np.random.default_rng(0).standard_normal((500, 12)) @ np.diag(np.arange(1.0, 13))
    found = teacher.components({"a": x.T @ x / len(x)}, {"a": 3})["a"]
    _, values, rows = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.basis.T @ rows[:3].T), np.eye(3), atol=1e-5)
    assert found.kept == pytest.approx((values[:3] ** 2).sum() / (values**2).sum())
    own = x @ found.basis / found.scale
    assert np.sqrt(np.mean(own**2)) == pytest.approx(1.0)


def test_lessons_have_unit_root_mean_square_on_what_was_studied(
    tutor: Teacher, patch: np.ndarray
) -> None:
    moments = tutor.moments(patch)
    found = [
        teacher.components(moments, {"conv1_2": 5, "conv2_2": 7}),
        teacher.components(moments, {"conv1_2": 64, "conv2_2": 128}),
    ]
    few, all_ = tutor.lessons(patch, found)
    assert {name: of.shape for name, of in few.items()} == {
        "conv1_2": (224, 224, 5),
        "conv2_2": (112, 112, 7),
    }
    for of in (few, all_):
        for values in of.values():
            assert values.dtype == np.float16
            assert np.sqrt(np.mean(np.float64(values) ** 2)) == pytest.approx(1.0, rel=1e-2)
