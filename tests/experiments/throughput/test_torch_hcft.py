"""The PyTorch competitor tracks as we do."""

import os
from dataclasses import replace

import jax
import numpy as np
import pytest

from experiments.throughput import torch_hcft
from hcft_jax.backbones import registry
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.run.streaming import track_sequence
from hcft_jax.weights import lookup
from tests.conftest import shared

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: pip install 'hcft_jax[torch]'"
)

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiling takes a minute; several threads wait for each other on a busy machine."""
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})


@pytest.mark.parametrize("tuned", [False, True], ids=["plain", "tuned"])
@pytest.mark.parametrize("target", [(20.0, 20.0), (56.0, 18.0), (9.0, 40.0)])
def test_boxes_are_ours(tuned: bool, target: tuple[float, float]) -> None:
    drawn = Synthetic(frames=12, height=96, width=112, target=target, motion=12.0)
    sequence, params = synthetic(drawn), lookup.random().params
    ours = np.concatenate(
        [t.boxes for t in track_sequence(jax.device_put(params), SMALL, sequence)]
    )
    theirs = torch_hcft.build(params, SMALL, tuned=tuned).track(sequence.frames, sequence.boxes[0])
    np.testing.assert_array_equal(theirs, ours)
    assert len(np.unique(ours, axis=0)) > 2  # it moves


@pytest.mark.parametrize("tuned", [False, True], ids=["plain", "tuned"])
def test_boxes_on_a_real_sequence_are_ours(tuned: bool) -> None:
    file = shared("weights", "vgg19_imagenet.npz")
    (target,) = datasets.find(shared("otb"), names=["Deer"])
    sequence, params = target.load().part(0, 4), lookup.load(file).params
    config = TrackerConfig()
    placed = registry.get(config.backbone).placed(params)
    ours = np.concatenate([t.boxes for t in track_sequence(placed, config, sequence)])
    theirs = torch_hcft.build(params, config, tuned=tuned).track(sequence.frames, sequence.boxes[0])
    np.testing.assert_array_equal(theirs, ours)


def switches() -> tuple[str, bool]:
    """Return PyTorch's precision of convolutions and whether cuDNN tries its algorithms."""
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cudnn.benchmark


@pytest.mark.parametrize("tuned", [False, True], ids=["plain", "tuned"])
@pytest.mark.parametrize(("precision", "switch"), [("float32", "ieee"), ("tf32", "tf32")])
def test_convolutions_are_as_the_row_claims(
    monkeypatch: pytest.MonkeyPatch, tuned: bool, precision: str, switch: str
) -> None:
    seen: set[tuple[str, bool]] = set()
    convolve = torch.nn.functional.conv2d

    def noted(*args: object, **options: object) -> object:
        seen.add(switches())
        return convolve(*args, **options)

    monkeypatch.setattr(torch.nn.functional, "conv2d", noted)
    before = switches()
    rival = torch_hcft.build(lookup.random().params, SMALL, tuned=tuned, precision=precision)
    # one that is built later has other switches
    torch_hcft.build(lookup.random().params, SMALL, tuned=not tuned)
    seen.clear()
    sequence = synthetic(
        Synthetic(frames=3, height=96, width=112, target=(20.0, 20.0), motion=12.0)
    )
    rival.track(sequence.frames, sequence.boxes[0])
    rival.pass_of(np.zeros((1, 32, 32, 3), np.float32))()
    assert seen == {(switch, tuned)}
    assert switches() == before
    assert rival.name.endswith("_tf32") == (precision == "tf32")


def test_without_a_gpu_there_is_nothing_but_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_hcft.precisions() == ("float32",)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_hcft.precisions() == ("float32", "tf32")


@pytest.mark.parametrize("change", [{"update": "cf2"}, {"search": "sum"}, {"hypercolumn": True}])
def test_other_settings_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="paper"):
        torch_hcft.build(lookup.random().params, replace(SMALL, **change), tuned=False)  # type: ignore[arg-type]
