"""NumPy or jax.numpy: the operators of a track are made by either, from one set of formulas.

On the host they are made in NumPy, in float64, once per track. Exported programs make them from
sizes that are traced, under ``jax.enable_x64``; whatever needs no sizes in advance is the same.
"""

from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

Array = jax.Array | npt.NDArray[Any]  # built on the host, traced in the tracker


def namespace(*values: Any) -> ModuleType:
    """Return ``jax.numpy`` if one of the values is JAX's, else ``numpy``."""
    return jnp if any(isinstance(value, jax.Array) for value in values) else np


def index(count: int, xp: ModuleType) -> Any:
    """Return 0, 1, ... as float64, ``[count]``."""
    return xp.arange(count, dtype=xp.float64)


def product(one: Any, other: Any) -> Any:
    """Return a matrix product in full precision."""
    if namespace(one, other) is np:
        return one @ other
    return jnp.matmul(one, other, precision=jax.lax.Precision.HIGHEST)
