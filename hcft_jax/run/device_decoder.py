"""The decoding of JPEG files on a GPU, by NVIDIA's nvImageCodec, which is an optional package.

Its pixels are not exactly those of the host's decoder, so it is never used unless it is asked for.
"""

import importlib
import threading
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Protocol

import jax
import numpy as np
import simplejpeg

from hcft_jax.util.errors import SettingError

_NEAR = 2.0  # grey levels that a device's pixels may be from the host's, on average
_INSTALL = "pip install 'hcft_jax[gpu-decode]' (for CUDA 12: 'nvidia-nvimgcodec-cu12[nvjpeg]')"


class DeviceDecoder(Protocol):
    """What decodes JPEG files on one device; threads may share it."""

    def decode(self, contents: list[bytes]) -> list[jax.Array | None]:
        """Return the images, uint8 ``[H, W, 3]`` on the device; None for what is refused.

        Args:
            contents: whole JPEG files.
        """
        ...


class NvImageCodec:
    """A DeviceDecoder by nvImageCodec.

    On a CPU, which serves to test this class, it is the package's own decoder for the host.
    """

    def __init__(self, device: jax.Device) -> None:
        """Start the decoder, and decode some small images with it.

        Args:
            device: where the images will lie.

        Raises:
            SettingError: the package is not there, or does not decode JPEG files on this device.
        """
        codec = _package()
        kinds = codec.BackendKind
        self._device, self._on_cpu = device, device.platform == "cpu"
        # Not the package's decoders for the host: our own one takes what the device refuses. Each
        # kind is allowed all of a batch (the hint's default), and the first that knows a file
        # decodes it, so that the pixels depend on the file and not on what is beside it.
        wanted = [kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU]
        number = device.local_hardware_id
        if self._on_cpu:
            wanted, number = [kinds.CPU_ONLY], codec.NVIMGCODEC_DEVICE_CPU_ONLY
        # annotations are made on the pixels as they are stored
        self._how = codec.DecodeParams(apply_exif_orientation=False)
        self._lock = threading.Lock()
        try:
            backends = [codec.Backend(kind) for kind in wanted]
            self._decoder = codec.Decoder(device_id=number, backends=backends)
            self._check()
        except RuntimeError as error:
            raise _useless(device, str(error)) from error

    def _check(self) -> None:
        """Decode some images, and compare them with what the host makes of them.

        Raises:
            SettingError: there are none, or their pixels are not nearly the host's.
        """
        rows, columns = np.mgrid[:67, :93] / 92
        image = np.stack([rows, columns, 1 - rows * columns], axis=2)
        image = np.rint(255 * image).astype(np.uint8)
        files = [
            *(simplejpeg.encode_jpeg(image, colorsubsampling=kind) for kind in ("444", "420")),
            simplejpeg.encode_jpeg(image[:, :, :1].copy(), colorspace="GRAY"),
        ]
        for content, decoded in zip(files, self.decode(files), strict=True):
            if decoded is None:
                raise _useless(self._device, "is nvJPEG there?")
            host = simplejpeg.decode_jpeg(content)
            if decoded.shape != host.shape:
                raise _useless(self._device, f"{host.shape} became {decoded.shape}")
            apart = float(np.abs(np.asarray(decoded).astype(np.int16) - host).mean())
            if apart > _NEAR:
                text = f"its pixels are {apart:.1f} of 255 from the host's"
                raise _useless(self._device, text)

    def decode(self, contents: list[bytes]) -> list[jax.Array | None]:
        """Return the images, as ``DeviceDecoder.decode``.

        Args:
            contents: whole JPEG files.
        """
        with self._lock:
            images = self._decoder.decode(contents, params=self._how)
        return [None if image is None else self._array(image) for image in images]

    def _array(self, image: Any) -> jax.Array:
        if self._on_cpu:
            return jax.device_put(np.asarray(image), self._device)
        return jax.dlpack.from_dlpack(image)  # the same memory, and JAX waits for its stream


def decoders_on(devices: Iterable[jax.Device]) -> list[DeviceDecoder]:
    """Return a decoder for each device.

    Args:
        devices: NVIDIA GPUs.

    Raises:
        SettingError: one of them is no GPU, the package is not there, or it decodes nothing.
    """
    devices = list(devices)
    for device in devices:
        if device.platform != "gpu":
            text = f"device needs an NVIDIA GPU, and this is {device.device_kind}; leave it out"
            raise SettingError("decode", text)
    return [NvImageCodec(device) for device in devices]


def _package() -> ModuleType:
    try:
        return importlib.import_module("nvidia.nvimgcodec")
    except ImportError as error:
        raise SettingError("decode", f"device needs nvImageCodec: {_INSTALL}") from error


def _useless(device: jax.Device, why: str) -> SettingError:
    lines = why.splitlines() or ["no reason given"]
    text = f"nvImageCodec is of no use on {device.device_kind} ({lines[0]}): {_INSTALL}"
    return SettingError("decode", text)
