"""The adapter of nvImageCodec, by a fake package, and by its decoder for the host where it is."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
import simplejpeg

from hcft_jax.data.frames import read_image
from hcft_jax.run.device_decoder import NvImageCodec, decoders_on
from hcft_jax.util.errors import InputError
from tests.decoding import jpeg

COLOURS = np.random.default_rng(0).integers(0, 256, (24, 31, 3), np.uint8)


def package(decode: Any) -> SimpleNamespace:
    """A package whose decoder does what is given."""
    return SimpleNamespace(
        BackendKind=SimpleNamespace(CPU_ONLY=1, GPU_ONLY=2, HW_GPU_ONLY=3, HYBRID_CPU_GPU=4),
        NVIMGCODEC_DEVICE_CPU_ONLY=-1,
        Backend=lambda kind: kind,
        DecodeParams=lambda apply_exif_orientation: {"turned": apply_exif_orientation},
        Decoder=lambda device_id, backends: SimpleNamespace(decode=decode),
    )


def test_a_processor_is_refused() -> None:
    with pytest.raises(InputError, match=r"^decode: device needs an NVIDIA GPU, and this is cpu;"):
        decoders_on(jax.devices()[:1])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    with pytest.raises(
        InputError, match=r"^decode: device needs nvImageCodec: pip install .*\[gpu"
    ):
        NvImageCodec(jax.devices()[0])


def test_a_package_that_decodes_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "nvidia.nvimgcodec", package(lambda contents, params: [None for _ in contents])
    )
    with pytest.raises(InputError, match=r"is of no use on cpu .*nvJPEG"):
        NvImageCodec(jax.devices()[0])


def test_a_package_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(contents: list[bytes], params: Any) -> Any:
        raise RuntimeError("CUDA Runtime failure: '#35'\nin a file")

    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", package(fails))
    with pytest.raises(InputError, match=r"is of no use on cpu \(CUDA Runtime failure: '#35'\)"):
        NvImageCodec(jax.devices()[0])


def test_pixels_that_are_not_nearly_the_hosts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(contents: list[bytes], params: Any) -> Any:
        return [simplejpeg.decode_jpeg(content)[:, :, ::-1] for content in contents]

    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", package(decode))
    with pytest.raises(
        InputError, match=r"on cpu \(its pixels are \d+\.\d of 255 from the host's\)"
    ):
        NvImageCodec(jax.devices()[0])


def test_images_lie_on_the_device_as_they_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def decode(contents: list[bytes], params: Any) -> Any:
        asked.append((contents, params))
        known = {b"good": COLOURS, b"bad": None}
        return [known[c] if c in known else simplejpeg.decode_jpeg(c) for c in contents]

    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", package(decode))
    device = jax.devices()[1]
    one, other = NvImageCodec(device).decode([b"good", b"bad"])
    assert other is None
    assert one is not None
    assert one.devices() == {device}
    np.testing.assert_array_equal(one, COLOURS)
    assert asked[-1] == ([b"good", b"bad"], {"turned": False})


def test_the_packages_decoder_for_the_host_has_the_hosts_pixels(tmp_path: Path) -> None:
    pytest.importorskip("nvidia.nvimgcodec")
    decoder = NvImageCodec(jax.devices()[0])
    contents = [jpeg(COLOURS), b"no image", jpeg(COLOURS[:10])]
    images = decoder.decode(contents)
    assert images[1] is None
    for content, image in zip(contents, images, strict=True):
        if image is not None:
            path = tmp_path / "a.jpg"
            path.write_bytes(content)
            np.testing.assert_array_equal(image, read_image(path))
