"""Flags become fields."""

import pytest
from absl import flags

from hcft_jax.experiment import options


@pytest.mark.parametrize(
    ("flag", "field", "value"),
    [
        ("--box=1,2,3,4,", "box", ("1", "2", "3", "4")),
        ("--box=1,2,3,4", "box", ("1", "2", "3", "4")),
        ("--box=1,,3,4", "box", ("1", "", "3", "4")),
        ("--format=csv,mot", "format", ("csv", "mot")),
        ("--start=3s", "start", "3s"),
        ("--backwards", "backwards", True),
        ("--every=2", "every", 2),
    ],
)
def test_a_flag_is_its_field_and_a_comma_may_end_a_list(
    flag: str, field: str, value: object
) -> None:
    given = flags.FlagValues()
    options.define(given)
    given(["main", flag])
    assert options.changes(given) == {field: value}
