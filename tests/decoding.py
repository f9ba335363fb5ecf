"""A decoder for devices that is the host's, and sequences as the files that it is given."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from hcft_jax.data.frames import ImageFiles
from hcft_jax.data.sequence import Frame, Sequence
from hcft_jax.run import device_decoder


class FakeDecoder:
    """Decodes on the host, puts the images on its device, and counts them."""

    def __init__(self, device: jax.Device) -> None:
        self.device = device
        self.batches: list[int] = []

    def decode(self, contents: list[bytes]) -> list[jax.Array | None]:
        self.batches.append(len(contents))
        return [self.one(content) for content in contents]

    def one(self, content: bytes) -> jax.Array | None:
        try:
            image = simplejpeg.decode_jpeg(content, "RGB", strict=False)
        except ValueError:
            return None
        return jax.device_put(image, self.device)


class Lighter(FakeDecoder):
    """Gives pixels that tell whose they are: 100 more, modulo 256."""

    def one(self, content: bytes) -> jax.Array | None:
        image = simplejpeg.decode_jpeg(content, "RGB") + np.uint8(100)
        return jax.device_put(image, self.device)


@contextmanager
def faked(patch: pytest.MonkeyPatch, kind: type[FakeDecoder] = FakeDecoder) -> Iterator[list[int]]:
    """Take fakes for the devices' decoders; give the sizes of the batches that they get."""
    made: list[FakeDecoder] = []
    sizes: list[int] = []

    def decoders_on(devices: list[jax.Device]) -> list[FakeDecoder]:
        made.extend(map(kind, devices))
        return made[-len(devices) :]

    with patch.context() as inside:
        inside.setattr(device_decoder, "decoders_on", decoders_on)
        yield sizes
    sizes.extend(size for decoder in made for size in decoder.batches)


def jpeg(image: Frame) -> bytes:
    """An image as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def as_files(sequence: Sequence, folder: Path, suffix: str) -> Sequence:
    """A sequence whose frames are files: ``jpg``, ``png``, or ``both`` in turn."""
    folder.mkdir()
    paths = []
    for index in range(len(sequence)):
        own = ("jpg", "png")[index % 2] if suffix == "both" else suffix
        paths.append(folder / f"{index:04}.{own}")
        Image.fromarray(sequence.frames.read(index)).save(paths[-1], quality=95)
    return replace(sequence, frames=ImageFiles(tuple(paths)))
