"""Values deeper than 8 bits as 8 bits, by one factor for a whole sequence.

16 bits often hold less: cameras that see 10, 12 or 14 bits leave the upper ones empty, and the
upper byte of such a picture is nearly flat. How many bits are in use is decided by the first frame,
and said where these are not all 16.
"""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from hcft_jax.util.errors import InputWarning

DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras have


def used(first: npt.NDArray[Any], where: str) -> int:
    """Return how many bits the values of a sequence's first frame use: one of ``DEPTHS``.

    Args:
        first: Whole numbers in [0, 65535].
        where: What the warning that these are not 16 calls the frame.
    """
    most = int(first.max(initial=0))
    bits = next(depth for depth in DEPTHS if most < 2**depth)
    if most > 0 and bits < DEPTHS[-1]:
        warnings.warn(
            f"{where}: no value is above {most}, so all frames are taken for {bits} bits in 16",
            InputWarning,
            stacklevel=2,
        )
    return bits if most else DEPTHS[-1]


def to_8_bits(image: npt.NDArray[Any], bits: int) -> npt.NDArray[np.uint8]:
    """Return the upper 8 of the used bits; what is brighter than these is white.

    Args:
        image: Whole numbers in [0, 65535].
        bits: By ``used``, of the first frame.
    """
    return np.minimum(image >> (bits - 8), 255).astype(np.uint8)
