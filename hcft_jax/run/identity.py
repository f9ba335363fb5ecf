"""What a result is the result of: two results of one identity have the same boxes.

It covers all that boxes depend on: the frames by content, which of them are tracked and in which
order, the first boxes, the settings with the weights by content, and the version of the method. The
version of the program and the device are not part of it, since they change last digits only; they
are kept beside it (``made``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hcft_jax.data.contents import Contents
from hcft_jax.run.environment import device, versions
from hcft_jax.util.errors import InputError
from hcft_jax.util.version import METHOD_VERSION

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Identity:
    """The identity of a result.

    Attributes:
        settings: The digest of the settings and weights (``Experiment.digest``).
        boxes: The boxes that it starts from.
        contents: The files of the frames; None where these follow from the settings.
        first: The number of the first file, from 0.
        last: That of the last one, inclusive.
        method: The version of the method; a baseline's is part of its settings.
        part: What says which of the frames are tracked, in which order, and where the boxes are,
            as plain data; empty: all, forwards, from the first.
    """

    settings: str
    boxes: tuple[tuple[float, ...], ...]
    contents: Contents | None
    first: int
    last: int
    method: int | None = METHOD_VERSION
    part: Mapping[str, Any] = field(default_factory=dict)

    def begin(self) -> None:
        """Note what the files are before the first frame is read, and begin to read them."""
        if self.contents is not None:
            self.contents.begin(self.first, self.last)

    def recorded(self) -> dict[str, Any]:
        """Return it as plain data, after the last frame has been read.

        Raises:
            InputError: A frame was written to meanwhile: the boxes are of neither content.
        """
        files = self.first, self.last
        if self.contents is not None and (path := self.contents.changed(*files)):
            raise InputError(
                f"{path}: it was changed while this was tracked, so the boxes are of neither "
                "content; give the same command again"
            )
        own = {"part": dict(self.part)} if self.part else {}
        return {
            **own,
            "method": self.method,
            "settings": self.settings,
            "boxes": [list(box) for box in self.boxes],
            "frames": {
                "count": self.last - self.first + 1,
                "digest": self.contents and self.contents.digest(*files),
                "stamp": self.contents and self.contents.stamp(*files),
            },
        }

    def differs(self, recorded: Any) -> str:
        """Return in what a result differs that has recorded its identity; empty: in nothing.

        Files are read only where their sizes or times are others than those that are recorded.

        Args:
            recorded: What ``recorded`` returned, as JSON gives it back.
        """
        if not isinstance(recorded, Mapping):
            return "another identity"
        if recorded.get("method") != self.method:
            method = recorded.get("method")
            return f"version {method} of the method, not {self.method}"
        if recorded.get("settings") != self.settings:
            return "other settings or weights"
        if recorded.get("boxes") != [list(box) for box in self.boxes]:
            return "another first box"
        if recorded.get("part", {}) != self.part:
            return "another part of the video"
        frames = recorded.get("frames")
        frames = frames if isinstance(frames, Mapping) else {}
        if frames.get("count") != self.last - self.first + 1:
            return "another number of frames"
        if self.contents is None:
            return "" if frames.get("digest") is None else "other frames"
        files = self.first, self.last
        if frames.get("stamp") == self.contents.stamp(*files):
            return ""
        digest = self.contents.digest(*files)
        return "" if digest and frames.get("digest") == digest else "other frames"

    def renewed(self, recorded: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return an equal identity with the files' new times; None where they are as recorded.

        Args:
            recorded: As in ``differs``, which has found no difference.
        """
        frames = recorded["frames"]
        stamp = self.contents and self.contents.stamp(self.first, self.last)
        if frames.get("stamp") == stamp:
            return None
        return {**recorded, "frames": {**frames, "stamp": stamp}}


def same(one: Any, other: Any) -> bool:
    """Return whether two identities that were recorded are equal, whenever their files were copied.

    Args:
        one: What ``Identity.recorded`` returned, or whatever stands in its place.
        other: As ``one``.
    """

    def lasting(of: Any) -> Any:
        if not isinstance(of, Mapping) or not isinstance(of.get("frames"), Mapping):
            return None
        frames = {name: value for name, value in of["frames"].items() if name != "stamp"}
        return {**of, "frames": frames}

    return lasting(one) is not None and lasting(one) == lasting(other)


def made() -> dict[str, Any]:
    """Return who makes results in this process: versions, and the device."""
    version, own = versions(), device()
    return {
        "hcft_jax": version["hcft_jax"],
        "jax": version["jax"],
        "platform": own["platform"],
        "device": own["kind"],
    }


def maker(recorded: Any) -> dict[str, Any]:
    """Return who made a result, as its record says it; UNKNOWN where it does not.

    Args:
        recorded: What ``made`` returned, as JSON gives it back; or whatever stands there.
    """
    known = recorded if isinstance(recorded, Mapping) else {}
    return {name: known.get(name, UNKNOWN) for name in ("hcft_jax", "jax", "platform", "device")}
