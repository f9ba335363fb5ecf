"""The machine's measured limits: a large matrix product, a large copy, a transfer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hcft_jax.backbones.products import PRECISIONS

from .timing import in_turn, spread

_CPU = {"matmul": 2048, "copy": 2**26, "transfer": 2**26}  # side; float32 numbers; bytes
_OTHER = {"matmul": 8192, "copy": 2**29, "transfer": 2**28}


def measure(repeats: int, sizes: dict[str, int] | None = None) -> dict[str, Any]:
    """Return the median, least and largest rate of each.

    Args:
        repeats: the number of timed calls of each, in turn.
        sizes: ``matmul`` (side of the matrices), ``copy`` (float32 numbers), ``transfer`` (bytes).
            None: sizes that are large for the device.

    Returns:
        ``{"matmul": {precision: {"flops_per_second": {...}}}, "copy": {"bytes_per_second"},
        "transfer": {"bytes_per_second"}}`` and the sizes. A copy reads each byte and writes it.
    """
    sizes = sizes or (_CPU if jax.default_backend() == "cpu" else _OTHER)
    side = sizes["matmul"]
    x = jnp.linspace(-1.0, 1.0, side * side, dtype=jnp.float32).reshape(side, side)
    many = jnp.zeros(sizes["copy"], jnp.float32)
    images = np.ones(sizes["transfer"], np.uint8)
    calls: dict[str, Callable[[], Any]] = {name: _matmul(x, name) for name in PRECISIONS}
    # in place: fresh memory would cost one page fault per page, and a plain copy may be left out
    add = jax.jit(lambda a: a + 1.0, donate_argnums=0)

    def copy() -> Any:
        nonlocal many
        many = add(many)
        return many

    calls |= {"copy": copy, "transfer": lambda: jax.device_put(images)}
    times = in_turn(calls, repeats)

    def rates(name: str, amount: float) -> dict[str, float]:
        return spread([amount / s for s in times[name]])

    return {
        "matmul": {name: {"flops_per_second": rates(name, 2.0 * side**3)} for name in PRECISIONS},
        "copy": {"bytes_per_second": rates("copy", 2.0 * many.nbytes)},
        "transfer": {"bytes_per_second": rates("transfer", images.nbytes)},
        "sizes": sizes,
    }


def _matmul(x: jax.Array, precision: str) -> Callable[[], Any]:
    how = PRECISIONS[precision]
    sides = how.left(x), how.right(x, len(x))  # as the network multiplies them
    product = jax.jit(lambda a, b: jnp.matmul(a, b, precision=how.xla))
    return lambda: product(*sides)
