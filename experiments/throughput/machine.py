"""The machine that a run is on."""

import datetime
import os
import platform
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from hcft_jax.run.feed import cores

PACKAGES = ("jax", "jaxlib", "numpy", "pillow", "simplejpeg", "torch")


def setting(words: Sequence[str]) -> dict[str, Any]:
    """Return hardware, versions, command (its ``words`` are given) and date as plain data."""
    devices = jax.devices()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "hardware": {
            "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
            "cpu": processor(),
            "cores": cores(),
            "memory_gib": memory / 2**30,
            "load": os.getloadavg()[0],
        },
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "command": shlex.join(["python", "-m", "hcft_jax.experiments.throughput", *words]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def processor() -> str:
    """Return the CPU's name."""
    return _told("/proc/cpuinfo", "model name") or platform.processor()


def version(package: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _told(path: str, name: str) -> str | None:
    """Return the value of the first line ``name: value`` of a file of the system, if any."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith(name)), None)
