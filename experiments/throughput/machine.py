"""The machine that a run is on."""

import datetime
import json
import os
import platform
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from hcft_jax.evaluation.results import write_json

PACKAGES = ("jax", "jaxlib", "numpy", "pillow", "simplejpeg", "torch")


def setting(words: Sequence[str]) -> dict[str, Any]:
    """Hardware, versions, command and date."""
    devices = jax.devices()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "hardware": {
            "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
            "cpu": processor(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": memory / 2**30,
            "load": os.getloadavg()[0],
        },
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "command": shlex.join(["python", "-m", "hcft_jax.experiments.throughput", *words]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def recorded(result: dict[str, Any], output: str | None) -> str:
    """A measurement with its device and JAX's version as JSON text, written to a file if named.

    Raises:
        InputError: the file cannot be written.
    """
    first = jax.devices()[0]
    device = f"{first.platform} ({first.device_kind}), {os.cpu_count()} host cores"
    whole = {**result, "device": device, "versions": {"jax": jax.__version__}}
    if output:
        write_json(output, whole)
    return json.dumps(whole, indent=2)


def processor() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def version(package: str) -> str | None:
    """Of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def available_memory() -> int | None:
    """Bytes that the host has to spare; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith("MemAvailable")]
    return int(found[0][1]) * 1024 if found else None
