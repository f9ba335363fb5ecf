"""Whether the fields of a dataclass hold what they are declared to hold.

Settings come from Python files and callers, where nothing checks types before a run: a wrong one
would be a traceback minutes later, or a wrong result.
"""

import dataclasses
import functools
import math
import numbers
import reprlib
import types
import typing
from typing import Any, TypeVar

import numpy as np

from hcft_jax.util.errors import SettingError

Of = TypeVar("Of")

_LARGEST = 2**63 - 1
_NAMES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    types.NoneType: "None",
}
_SEVERAL = {str: "texts", int: "whole numbers", float: "numbers"}


def check(instance: Any) -> None:
    """Check the types of all fields of a dataclass, and of dataclasses in them.

    A number may be of any type that is one, but for truth values and what is larger than a float or
    64 bits. An array of JAX's, or one of NumPy's without axes, stands for numbers where a field's
    metadata say that it is ``traced``.

    Args:
        instance: The dataclass.

    Raises:
        SettingError: A field holds something else, or a text with a zero byte.
    """
    owner: Any = type(instance)
    kinds = _kinds(owner)
    for field in dataclasses.fields(instance):
        value, kind = getattr(instance, field.name), kinds[field.name]
        if not _fits(value, kind, bool(field.metadata.get("traced"))):
            shown = field.metadata.get("flag", field.name)
            hint = " (a zero byte is none)" if isinstance(value, str) and "\0" in value else ""
            raise SettingError(shown, f"{_repr(value)} is not {_named(kind)}{hint}")
        if dataclasses.is_dataclass(value):
            check(value)


def settled(instance: Of) -> Of:
    """Return a dataclass with tuples in place of lists and Python's numbers for NumPy's.

    Args:
        instance: The dataclass; those in its fields are settled, too.
    """
    changed = {}
    for field in dataclasses.fields(instance):  # type: ignore[arg-type]
        value = getattr(instance, field.name)
        new = _plain(value)
        if new is not value:
            changed[field.name] = new
    return dataclasses.replace(instance, **changed) if changed else instance  # type: ignore[type-var]


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        items = tuple(_plain(item) for item in value)
        same = isinstance(value, tuple) and all(a is b for a, b in zip(items, value, strict=True))
        return value if same else items
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return settled(value)
    if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
        return value.item()
    return value


@functools.cache
def _kinds(owner: type) -> dict[str, Any]:
    return typing.get_type_hints(owner)


def _fits(value: Any, kind: Any, traced: bool) -> bool:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one, traced) for one in inner)
    if traced and hasattr(value, "aval"):  # an array of JAX's, perhaps inside a transformation
        return True
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[-1] is not Ellipsis:
            pairs = zip(value, inner, strict=False)
            return len(value) == len(inner) and all(_fits(v, k, traced) for v, k in pairs)
        return all(_fits(item, inner[0], traced) for item in value)
    if traced and isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if kind in (int, float):
        return _is_number(value, kind)
    if kind is str:
        return isinstance(value, str) and "\0" not in value
    return isinstance(value, kind)


def _is_number(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    if kind is int:
        return isinstance(value, numbers.Integral) and abs(int(value)) <= _LARGEST
    if not isinstance(value, numbers.Real):
        return False
    try:
        return not math.isinf(float(value)) or isinstance(value, float)
    except OverflowError:  # a whole number beyond all floats
        return False


def _named(kind: Any) -> str:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_named, inner))
    if origin is tuple:
        several = _SEVERAL.get(inner[0], str(inner[0]))
        if inner[-1] is Ellipsis:
            return f"a tuple of {several}"
        return f"a tuple of {len(inner)} {several}"
    return _NAMES.get(kind) or f"of the type {kind.__name__}"


def _repr(value: Any) -> str:
    """Return a short representation, whatever the value's own one does."""
    try:
        return " ".join(reprlib.repr(value).split())
    except Exception:
        return f"a value of the type {type(value).__name__}"
