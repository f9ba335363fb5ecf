"""Video files for tests, written by FFmpeg."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from hcft_jax.data.sequence import Frame


def write(
    path: Path,
    frames: Sequence[npt.NDArray[Any]],
    codec: str = "ffv1",
    pixels: str = "bgr0",
    *,
    source: str = "rgb24",
    times: Sequence[float] | None = None,
    rotation: float = 0.0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    tick: Fraction = Fraction(1, 1000),
) -> Path:
    """Encodes frames; the default keeps every pixel."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = tick
        if rotation:
            stream.set_display_rotation(rotation)
        for index, frame in enumerate(frames):
            encoded = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=source)
            time = index / 25 if times is None else times[index]
            encoded.pts, encoded.time_base = round(time / tick), tick
            container.mux(stream.encode(encoded))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> tuple[npt.NDArray[np.uint8], list[float], Any]:
    """All frames ``[T, H, W, 3]``, their times, and (codec, pixel format) of a file."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        decoded = list(container.decode(stream))
        images: list[Frame] = [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in decoded]
        kind = stream.codec_context.name, stream.codec_context.pix_fmt
        return np.stack(images), [float(f.time or 0) for f in decoded], kind
