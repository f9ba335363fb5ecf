"""Whole networks, made or read once."""

import pytest

from hcft_jax.backbones import weights
from tests.conftest import shared


@pytest.fixture(scope="package")
def untrained() -> weights.Weights:
    return weights.random()


@pytest.fixture(scope="package")
def oxford() -> weights.Weights:
    return weights.load(shared("weights", "vgg19_imagenet.npz"))
