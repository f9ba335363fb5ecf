"""What callers pass for an array of numbers, and what cannot be one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hcft_jax.util.errors import InputError


def numbers(name: str, value: Any) -> npt.NDArray[Any]:
    """Return what a caller has given for numbers as an array of them, with their own type.

    A tensor of PyTorch may need gradients or be on a device.

    Args:
        name: What messages call it.
        value: Numbers, sequences of them, or whatever ``np.asarray`` makes an array of.

    Raises:
        InputError: It cannot be made an array, or that would hold anything but numbers: texts,
            objects, records, complex numbers.
    """
    what = f"{name}: {_called(value)}"
    try:
        detach = getattr(value, "detach", None)
        array = np.asarray(detach().cpu() if callable(detach) else value)
    except Exception as error:  # whatever the conversion of a type that we do not know raises
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{what} cannot be taken for an array of numbers ({reason})") from error
    # those of ml_dtypes (bfloat16) are plain bytes to NumPy
    if array.dtype.kind not in "buif" and "float" not in array.dtype.name:
        raise InputError(f"{what} is not an array of numbers")
    return array


def _called(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {str(value.dtype)[:60]}"
    return "None" if value is None else f"a value of the type {type(value).__name__}"
