"""The declared types of a dataclass, checked."""

import contextlib
import dataclasses
from dataclasses import dataclass, field
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcft_jax.util import fields
from hcft_jax.util.errors import SettingError


@dataclass(frozen=True)
class Inner:
    side: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True)
class Outer:
    name: str = "x"
    count: int = 1
    rate: float = field(default=0.1, metadata={"flag": "speed"})
    limit: float | None = None
    on: bool = False
    words: tuple[str, ...] = ()
    rates: float | tuple[float, ...] = field(default=0.1, metadata={"traced": True})
    inner: Inner | None = None


class Unspeakable:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "name: None is not a text"),
        ({"name": b"x"}, "name: b'x' is not a text"),
        ({"name": "a\0b"}, r"name: 'a\x00b' is not a text (a zero byte is none)"),
        ({"count": "4"}, "count: '4' is not a whole number"),
        ({"count": 1.5}, "count: 1.5 is not a whole number"),
        ({"count": True}, "count: True is not a whole number"),
        ({"count": 10**400}, "is not a whole number"),
        ({"rate": 10**400}, "is not a number"),
        ({"rate": None}, "speed: None is not a number"),
        ({"rate": 1j}, "speed: 1j is not a number"),
        ({"limit": "2"}, "limit: '2' is not a number or None"),
        ({"on": 1}, "on: 1 is not True or False"),
        ({"words": "ab"}, "words: 'ab' is not a tuple of texts"),
        ({"words": ["a"]}, "words: ['a'] is not a tuple of texts"),
        ({"words": ("a", 1)}, "words: ('a', 1) is not a tuple of texts"),
        ({"rates": None}, "rates: None is not a number or a tuple of numbers"),
        ({"rates": (0.1, "x")}, "rates: (0.1, 'x') is not a number or a tuple of numbers"),
        ({"rates": np.zeros(3)}, "rates: array([0., 0., 0.]) is not a number or"),
        ({"rates": np.array("x")}, "rates: array('x', dtype='<U1') is not a number or"),
        ({"inner": {}}, "inner: {} is not of the type Inner or None"),
        ({"inner": Inner(side=cast(Any, (1.0,)))}, "side: (1.0,) is not a tuple of 2 numbers"),
        ({"count": Unspeakable()}, "count: "),
    ],
)
def test_another_type_is_named_with_its_field(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as raised:
        fields.check(dataclasses.replace(Outer(), **changes))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"count": np.int64(3), "rate": 2, "limit": np.float32(0.5)},
        {"rate": float("nan"), "limit": float("inf")},  # a type is not a range
        {"rates": (np.float32(1), 2)},
        {"rates": np.array(0.5)},
        {"rates": (np.array(0.5), np.float32(1))},
        {"rates": jnp.zeros(3)},
        {"words": ("a", "b"), "inner": Inner()},
    ],
)
def test_what_is_declared_passes(changes: dict[str, Any]) -> None:
    fields.check(dataclasses.replace(Outer(), **changes))


@given(
    st.one_of(
        st.none(),
        st.integers(),
        st.text(),
        st.binary(),
        st.lists(st.text()),
        st.sets(st.integers()),
    )
)
def test_a_check_has_one_kind_of_error(value: Any) -> None:
    for one in dataclasses.fields(Outer):
        with contextlib.suppress(SettingError):
            fields.check(dataclasses.replace(Outer(), **{one.name: value}))


def test_settled_fields_are_tuples_and_numbers_of_python() -> None:
    given = Outer(words=["a"], rate=np.float32(0.5), inner=Inner(side=[1, 2]))  # type: ignore[arg-type]
    settled = fields.settled(given)
    assert settled == Outer(words=("a",), rate=0.5, inner=Inner(side=(1, 2)))
    assert type(settled.rate) is float
    assert fields.settled(settled) is settled
