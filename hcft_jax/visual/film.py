"""Videos for ordinary players and browsers: H.264 in .mp4, written frame by frame."""

import contextlib
import functools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import av.error
import numpy as np
import numpy.typing as npt

from hcft_jax.util.errors import InputError, of_storage
from hcft_jax.util.files import replacing

_CLOCK = 60_000  # ticks per second: exact for the usual frame rates, and MPEG-4 takes no more
# The first encoder that this FFmpeg has is used. PyAV's wheels have x264; every build has the last
# one, but browsers do not play it.
_ENCODERS = (
    ("libx264", {"crf": "20", "preset": "veryfast"}),
    ("libopenh264", {"b": "4M"}),
    ("mpeg4", {"b": "4M"}),
)


@functools.cache
def codec() -> str:
    """Return FFmpeg's name of the encoder that is used.

    Raises:
        InputError: FFmpeg has no encoder of H.264 or MPEG-4.
    """
    for name, _ in _ENCODERS:
        with contextlib.suppress(av.error.FFmpegError, ValueError):
            return av.codec.Codec(name, "w").name
    raise InputError("PyAV's FFmpeg can write neither H.264 nor MPEG-4: install PyAV from PyPI")


class Film:
    """A video (.mp4) that is written frame by frame.

    ::

        with Film("track.mp4") as film:
            film.write(picture, time)

    The file appears when the block ends; after an exception there is no file, or the part that was
    written is at ``partial``, unless the exception was that something could not be written.
    """

    def __init__(
        self, path: str | Path, fps: float = 30.0, partial: str | Path | None = None
    ) -> None:
        """Begin a video at ``path`` (.mp4), with ``fps`` frames/s if ``write`` gets no times.

        Raises:
            InputError: the path does not end in .mp4, or fps is not positive.
        """
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise InputError(f"{path}: the name of a video must end in .mp4")
        if not 0 < fps < _CLOCK:
            raise InputError(f"{path}: cannot write a video of {fps} frames/s")
        self.codec = codec()
        self._fps, self._partial = fps, partial
        self._count, self._last = 0, -1
        self._faulty = False  # something could not be written
        self._shape: tuple[int, ...] | None = None
        self._container: Any = None
        self._stream: Any = None
        self._file = self._open()

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        with replacing(self.path, self._partial) as self._temporary:
            try:
                yield
            finally:
                self._close()
            if not self._count:
                raise InputError(f"{self.path}: the video is empty (it has no frame)")

    def __enter__(self) -> Self:
        self._file.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._file.__exit__(*raised)

    def write(self, picture: npt.NDArray[np.uint8], time: float | None = None) -> None:
        """Append a frame.

        Args:
            picture: RGB uint8 ``[H, W, 3]``; all have one size. An odd side gets a black row or
                column, because the codecs take even sizes only.
            time: When it is shown, in seconds, later than the frame before; None for 1 / fps later.

        Raises:
            InputError: the frame has another size than the first, or cannot be written.
        """
        self._shape = self._shape or picture.shape
        if picture.shape != self._shape:
            raise InputError(
                f"{self.path}: frame {self._count + 1} is {_size(picture.shape)} pixels, the first "
                f"was {_size(self._shape)}: all frames of a video must have one size"
            )
        odd = [(0, size % 2) for size in picture.shape[:2]]
        padded = np.ascontiguousarray(np.pad(picture, [*odd, (0, 0)]))
        ticks = round((self._count / self._fps if time is None else time) * _CLOCK)
        self._last = max(ticks, self._last + 1)  # FFmpeg requires times that increase
        self._count += 1
        with self._errors():
            if self._container is None:
                self._start(padded.shape)
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            frame.pts, frame.time_base = self._last, Fraction(1, _CLOCK)
            self._container.mux(self._stream.encode(frame))

    def _close(self) -> None:
        """Write the last frames and the index; what has no index is no video, and is removed."""
        if self._container is None:
            return
        try:
            with self._errors(), contextlib.closing(self._container):
                if not self._faulty:  # FFmpeg crashes where it could not even write the header
                    self._container.mux(self._stream.encode(None))
        finally:
            if self._faulty:
                self._temporary.unlink(missing_ok=True)

    def _start(self, shape: tuple[int, ...]) -> None:
        # The index comes first, so that a browser can begin before it has the whole file.
        self._container = av.open(
            str(self._temporary), "w", format="mp4", options={"movflags": "faststart"}
        )
        rate = Fraction(self._fps).limit_denominator(1001)
        options = dict(dict(_ENCODERS)[self.codec])
        self._stream = self._container.add_stream(self.codec, rate=rate, options=options)
        self._stream.height, self._stream.width = shape[:2]
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _CLOCK)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._faulty = True
            raise of_storage(error, f"{self.path}: cannot write the video") from error


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"
