"""The cost of many videos, worked out on paper from what was measured.

With v videos of s seconds at r frames per second there are F = v s r frames. A frame on which the
target moved takes two passes of the tracker, one on which it stayed takes one: p = 1 + moved. Then

* device: F / (frames per second of the fastest program), or, from the stages, F p sum(stages);
* decoding: F d, with d the seconds that one core takes to decode a frame;
* read: F times the bytes of a frame as JPEG; moved to the device: F times its 3 H W bytes;
* written: F times the bytes of a box as text.

In a machine with one device and several cores, the resource that takes longest per frame is
saturated first.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

BOX_BYTES = 28  # "123.00,123.00,45.00,67.00\n" and a little


@dataclass(frozen=True)
class Assumptions:
    """The numbers that are not measured."""

    videos: int = 1_000_000
    seconds: float = 60.0  # of each video
    rate: float = 30.0  # frames per second of the videos
    height: int = 480  # pixels
    width: int = 640
    moved: float = 0.52  # share of frames in which the target moved: that of 17 OTB-100 targets
    disk: float = 1e9  # bytes per second that a machine reads from the store of the videos

    @property
    def frames(self) -> float:
        """The number of frames of all videos."""
        return self.videos * self.seconds * self.rate

    @property
    def passes(self) -> float:
        """The tracker's passes per frame."""
        return 1.0 + self.moved


@dataclass(frozen=True)
class MeasuredCosts:
    """The numbers that a run of the benchmark gives."""

    fps: float  # frames per second of the fastest program, decoding included
    stages: float  # seconds of a pass: crop, network, spectrum, filters, update
    decode: float  # seconds of one core for a frame of the assumed size
    jpeg: float  # bytes of the file of such a frame
    transfer: float  # bytes per second from host to device
    cores: int  # of the machine


def work_out(assumed: Assumptions, measured: MeasuredCosts) -> dict[str, Any]:
    """Return hours, bytes, cores, and the seconds per frame by resource, as plain data."""
    frames = assumed.frames
    image = 3 * assumed.height * assumed.width
    a_frame = {
        "device": assumed.passes * measured.stages,
        "decoding": measured.decode / measured.cores,
        "transfer": image / measured.transfer,
        "reading": measured.jpeg / assumed.disk,
    }
    return {
        "assumed": dataclasses.asdict(assumed),
        "measured": dataclasses.asdict(measured),
        "frames": frames,
        "device_hours": frames / measured.fps / 3600,
        "device_hours_of_stages": frames * a_frame["device"] / 3600,
        "decoding_core_hours": frames * measured.decode / 3600,
        "cores_a_device": measured.decode / a_frame["device"],
        "bytes_read": frames * measured.jpeg,
        "bytes_moved": frames * image,
        "bytes_written": frames * BOX_BYTES,
        "seconds_a_frame": a_frame,
        "saturated_first": max(a_frame, key=lambda name: a_frame[name]),
    }
