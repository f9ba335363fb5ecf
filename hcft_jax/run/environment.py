"""What results depend on beside their settings: the device and the versions of the software."""

import os
import platform
from typing import Any

import flax
import jax
import numpy as np

from hcft_jax.util.version import __version__


def device() -> dict[str, Any]:
    """Return what this process tracks on."""
    first = jax.devices()[0]
    return {
        "platform": first.platform,
        "kind": first.device_kind,
        "count": jax.device_count(),
        "host_cores": os.cpu_count(),
    }


def versions() -> dict[str, str]:
    """Return the versions of everything that numbers may depend on."""
    return {
        "hcft_jax": __version__,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "flax": flax.__version__,
        "numpy": np.__version__,
    }
