"""Video files and network streams, decoded by FFmpeg: what it may open, and what was damaged.

A local file is one container of one of the formats of videos, and nothing beside it is opened:
playlists, lists of pictures and text are refused. It is read here, not by FFmpeg, which would take
all of an endless file for one frame. Addresses may only lead to other addresses.

Damage is noticed by what the decoder reports, by flags of packets and frames, and by what the
container announces. A file is decoded by one thread: several drop frames that follow damage, and
what they report cannot be told from the reports of another video.
"""

import contextlib
import errno
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import av.logging

from hcft_jax.data import endings, structure
from hcft_jax.util import opening
from hcft_jax.util.errors import InputError

TIMEOUT = 10.0  # seconds that a network stream may take to open, or to send more

FORMATS = (
    "mov,matroska,webm,avi,asf,flv,ogg,mpegts,mpeg,mpegvideo,m4v,h261,h263,h264,hevc,vvc,av1,obu,"
    "ivf,vc1,cavsvideo,avs2,avs3,dirac,dnxhd,dv,mxf,gxf,nut,rm,wtv,gif,apng,mjpeg,mjpeg_2000,"
    "smjpeg,yuv4mpegpipe,dhav,evc,apv"
)
"""FFmpeg's names of the formats that a local file may have."""

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "rtp", "udp", "tcp", "srt")
"""The kinds of addresses that are opened."""

_PROTOCOLS = (*SCHEMES, "tls", "srtp", "crypto", "httpproxy", "rtmpe", "rtmpte", "rtmpts", "hls")
_OF_SOUND = ("wav", "mp3", "flac", "aac", "ac3", "aiff")
_ANNOUNCE_FRAMES = ("mov,mp4,m4a,3gp,3g2,mj2",)
_ANNOUNCE_SECONDS = ("matroska,webm", "avi", "asf", "flv")
# most bytes that are read for a frame: 8192 x 8192 px of 16 bits and four channels
_FRAME = 512 << 20
_GAPS = 2.5  # longest gaps between frames by which a video may end before the announced time
_MOST_FAILURES = 3  # reads that fail one after the other, before the rest is given up
# whose pictures begin with something else than zeros
_NEVER_ZEROS = ("av1", "ffv1", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "vp8")
# said also of a sound stream that begins with a recovery point, of which no frame is missing
_HARMLESS = ("mmco: unref short failure", "co located POCs unavailable")


class Source:
    """A file as FFmpeg reads it: there is an end of what it may read for one frame."""

    def __init__(self, path: Path):
        """Open a file.

        Raises:
            InputError: It is no regular file.
            OSError: It cannot be opened.
        """
        self.name = str(path)  # by which FFmpeg guesses what the content does not tell
        self.fault = ""
        self._file = opening.regular(path, opening.VIDEO)
        self._read = 0

    def next_frame(self) -> None:
        """Begin to count anew."""
        self._read = 0

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end; nothing where a frame would be too large."""
        if self._read > _FRAME:  # an exception would be printed: FFmpeg is told that it ends here
            self.fault = f"no frame in {_FRAME >> 20} MiB"
            return b""
        content = self._file.read(size)
        self._read += len(content)
        return content

    def seek(self, offset: int, whence: int) -> int:
        """Go to a place; return it, or a negative number that means an error to FFmpeg."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):  # of a damaged file; FFmpeg knows what to do then
            return -errno.EINVAL

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


class Container(NamedTuple):
    """An open container, its stream of pictures, and the file where it is one."""

    file: Any
    stream: Any
    source: Source | None = None

    def close(self) -> None:
        """Close what is open."""
        self.file.close()
        if self.source is not None:
            self.source.close()


def open_file(path: Path) -> Container:
    """Open a video file.

    Raises:
        InputError: It is no video, or cannot be read.
    """
    options = {"format_whitelist": f"{FORMATS},{','.join(_OF_SOUND)}", "protocol_whitelist": "none"}
    try:
        source = Source(path)
    except OSError as error:
        raise InputError(f"{path}: not a video that can be read ({reason(error)})") from error
    try:
        container = _open(str(path), source, options)
        if source.fault:
            container.file.close()
            raise InputError(f"{path}: not a video that can be read ({source.fault})")
        return container._replace(source=source)
    except BaseException:
        source.close()
        raise


def open_address(url: str) -> Container:
    """Open a video or stream at an address.

    Raises:
        InputError: Its scheme is none of ``SCHEMES``, nobody answers, or it is no video.
    """
    scheme = url.split("://")[0].lower()
    if scheme not in SCHEMES:
        raise InputError(f"{url}: {scheme}:// is no address of a video ({', '.join(SCHEMES)})")
    options = {"rtsp_transport": "tcp", "protocol_whitelist": ",".join(_PROTOCOLS)}
    return _open(url, url, options)


def _open(name: str, location: str | Source, options: dict[str, str]) -> Container:
    try:
        file: Any = av.open(location, timeout=TIMEOUT, options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        no_format = isinstance(error, av.error.ArgumentError)
        why = "its format is none of a video" if no_format else reason(error)
        raise InputError(f"{name}: not a video that can be read ({why})") from error
    # the cover of a sound file is a stream of one picture
    cover = av.stream.Disposition.attached_pic
    stream = next((s for s in file.streams.video if not s.disposition & cover), None)
    if stream is None:
        file.close()
        raise InputError(f"{name}: it has no video")
    if stream.codec_context is None:
        file.close()
        raise InputError(f"{name}: not a video that can be read (its codec is not known)")
    stream.thread_type = "AUTO"
    return Container(file, stream)


def reason(error: Exception) -> str:
    """Return why FFmpeg or the system failed, on one line."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(said).split())


class Step(NamedTuple):
    """What one packet gave."""

    frames: list[Any]
    problem: str  # empty where there is none


class Decoding:
    """The frames of a container that has an end, and what is damaged in it.

    Attributes:
        decoded: The number of frames so far.
        damaged: The number of packets so far that were damaged, or gave damaged frames.
    """

    def __init__(self, container: Container, path: Path | None):
        """Decode nothing yet.

        Args:
            container: What to decode; it is closed at the end.
            path: The file, where it is one.
        """
        self._container, self._path = container, path
        self.decoded = 0
        self.damaged = 0
        file, stream = container.file, container.stream
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        self._kind: str = file.format.name
        self._frames = 0
        if self._kind in _ANNOUNCE_FRAMES and stream.frames:
            # the index is without the frames that an edit list leaves out
            self._frames = min(stream.frames, len(stream.index_entries) or stream.frames)
        self._seconds = _seconds(file, stream) if self._kind in _ANNOUNCE_SECONDS else None
        self._first = ""
        self._packets = 0
        self._until: float | None = None  # seconds at which the last frame ends
        self._at: float | None = None
        self._gap = 0.0

    def frames(self) -> Generator[Any, None, None]:
        """Yield all frames; the damage is known after the last one."""
        with contextlib.closing(self._container):
            steps = self._steps()
            while True:
                with _heard() as errors:
                    step = next(steps, None)
                if step is None:
                    return
                problem = step.problem or next(iter(errors), "")
                if problem:
                    self.damaged += 1
                    self._first = self._first or f"frame {self.decoded + 1}: {problem}"
                for frame in step.frames:
                    self.decoded += 1
                    yield frame

    def _steps(self) -> Iterator[Step]:
        """Yield what each packet gives, also of those that cannot be decoded."""
        file, stream, source = self._container
        packets, failures, flushed = file.demux(stream), 0, False
        while not flushed:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                yield Step([], reason(error))
                failures += 1
                if failures == _MOST_FAILURES or self._path is None:
                    break
                packets = file.demux(stream)
                continue
            if packet is None:
                break
            if source is not None:
                source.next_frame()
            flushed = not packet.size and packet.pts is None and packet.dts is None
            if not flushed:
                failures = 0
                self._note(packet)
            yield _decode(packet.decode, self._flaw(packet))
        if not flushed:
            yield _decode(lambda: stream.decode(None), "")

    def _flaw(self, packet: Any) -> str:
        """Return what is wrong with a packet as such, in words; empty where nothing is."""
        if packet.is_corrupt:
            return "it is marked as damaged"
        if packet.size and self._container.stream.codec.canonical_name in _NEVER_ZEROS:
            content = memoryview(packet)
            if not any(content[:64]) and not any(content):  # of which decoders make a grey picture
                return "it is all zeros"
        return ""

    def _note(self, packet: Any) -> None:
        """Note how many packets there were, and until when they are shown."""
        self._packets += bool(packet.size)
        if packet.dts is not None:
            now = float(packet.dts * packet.time_base)
            if self._at is not None:
                self._gap = max(self._gap, now - self._at)
            self._at = now
        if packet.pts is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._until = end if self._until is None else max(self._until, end)

    def damage(self) -> str:
        """Return what is damaged or missing, in words; empty where nothing is.

        To be called after the last frame.
        """
        announced, missing = self._announced()
        if not (missing or self.damaged):
            return ""
        counts = [f"{self.decoded} decoded", f"{self.damaged} damaged"]
        if announced:
            counts.insert(0, f"{announced} frames announced")
        else:
            counts[0] = f"{self.decoded} frames decoded"
        reasons = [each for each in (self._first, missing) if each]
        return f"{', '.join(counts)} ({'; '.join(reasons)})"

    def _announced(self) -> tuple[str, str]:
        """Return how many frames there should be, and what is missing of them, in words."""
        announced, missing = "", ""
        if self._path is not None:
            with contextlib.suppress(OSError):
                missing = source.fault if (source := self._container.source) else ""
                missing = missing or endings.missing(self._path, self._kind)
                missing = missing or structure.fault(self._path, self._kind)
        if self._frames:
            announced = str(self._frames)
            if self._packets < self._frames:
                missing = missing or f"it has {self._packets} of them"
        elif self._seconds and self._until and self._until > 0:
            expected = self._packets * self._seconds / self._until
            announced = f"about {max(self._packets, round(expected))}"
            usual = max(self._gap, self._until / self._packets)
            if self._seconds - self._until > _GAPS * usual:
                missing = missing or f"it ends after {self._until:.2f} of {self._seconds:.2f} s"
        return announced, missing


def _decode(decode: Callable[[], list[Any]], problem: str) -> Step:
    frames: list[Any] = []
    try:
        frames = decode()
    except (av.error.FFmpegError, OSError, ValueError) as error:
        problem = reason(error)
    if not problem and any(frame.is_corrupt for frame in frames):
        problem = "decoded with errors"
    return Step(frames, problem)


def _seconds(file: Any, stream: Any) -> float | None:
    """Return how long the container says that its pictures last; None where that is not said."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if file.duration is None or len(file.streams) > 1:  # then the sound may be longer
        return None
    return float(file.duration / av.time_base)


_lock = threading.Lock()
_listeners = 0
_before: tuple[int | None, bool] = (None, True)


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what FFmpeg reports in this thread, in words, but for what is harmless.

    PyAV hands on reports of the whole process or none, and those of FFmpeg's own threads may wait
    for Python's lock while whoever has it waits for them: so they are on in short turns only.
    """
    global _listeners, _before
    with _lock:
        if not _listeners:
            _before = av.logging.get_level(), av.logging.get_skip_repeated()
            if _before[0] is None or _before[0] < av.logging.ERROR:
                av.logging.set_level(av.logging.ERROR)
            av.logging.set_skip_repeated(False)
        _listeners += 1
    said: list[str] = []
    try:
        with av.logging.Capture() as logs:
            yield said
    finally:
        with _lock:
            _listeners -= 1
            if not _listeners:
                av.logging.set_level(_before[0])
                av.logging.set_skip_repeated(_before[1])
        for level, _, text in logs:
            line = " ".join(text.split())
            if level <= av.logging.ERROR and line and not line.startswith(_HARMLESS):
                said.append(line)
