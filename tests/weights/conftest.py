"""Whole networks, made or read once; and small ones in the place of VGG-19."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.backbones import vgg
from hcft_jax.backbones.registry import BACKBONES
from hcft_jax.weights import lookup, native
from tests.conftest import shared
from tests.weights.test_importers import tiny, write_npz


@pytest.fixture(scope="package")
def untrained() -> native.Weights:
    return lookup.random()


@pytest.fixture(scope="package")
def oxford() -> native.Weights:
    return lookup.load(shared("weights", "vgg19_imagenet.npz"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """VGG-19 is as wide as ``tiny``."""
    shapes = {name: parts["kernel"].shape for name, parts in tiny().items() if name in vgg.LAYERS}
    set_shapes(monkeypatch, shapes)


def set_shapes(monkeypatch: pytest.MonkeyPatch, shapes: dict[str, Any]) -> None:
    network = replace(BACKBONES["vgg19"], shapes=lambda _: shapes)
    monkeypatch.setitem(BACKBONES, "vgg19", network)


def native_file(path: Path) -> Path:
    native.save(path, lookup.load(write_npz(path.with_name("source.npz"), tiny())))
    return path
