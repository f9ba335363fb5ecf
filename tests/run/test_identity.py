"""Results of one identity have the same boxes; whatever else they depend on is another identity."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from hcft_jax.data.contents import Contents
from hcft_jax.run import identity
from hcft_jax.run.identity import UNKNOWN, Identity
from hcft_jax.util.errors import InputError


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"{number}.png" for number in range(4)]
    for path in files:
        path.write_bytes(path.name.encode() * 20)
    return files


def of(paths: list[Path], **changes: Any) -> Identity:
    own = Identity("settings", ((1.0, 2.5, 30.0, 40.0),), Contents(paths), 0, len(paths) - 1)
    return dataclasses.replace(own, **changes)


def kept(own: Identity) -> Any:
    return json.loads(json.dumps(own.recorded()))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, ""),
        ({"method": 2}, "version 1 of the method, not 2"),
        ({"settings": "others"}, "other settings or weights"),
        ({"boxes": ((1.0, 2.5, 30.0, 40.5),)}, "another first box"),
        ({"last": 2}, "another number of frames"),
        ({"first": 1, "last": 3}, "another number of frames"),
        ({"contents": None}, "other frames"),
    ],
)
def test_an_identity_is_of_all_that_boxes_depend_on(
    paths: list[Path], changes: dict[str, Any], difference: str
) -> None:
    recorded = kept(of(paths, method=1))
    assert of(paths, **({"method": 1} | changes)).differs(recorded) == difference


def test_times_alone_are_no_difference_and_are_noted_anew(paths: list[Path]) -> None:
    recorded = kept(of(paths))
    assert of(paths).renewed(recorded) is None
    os.utime(paths[1], ns=(1, 1))
    now = of(paths)
    assert now.differs(recorded) == ""
    renewed = now.renewed(recorded)
    assert renewed is not None
    assert identity.same(renewed, recorded)
    assert of(paths).renewed(renewed) is None


def test_a_record_that_has_lost_its_times_is_noted_anew(paths: list[Path]) -> None:
    recorded = kept(of(paths))
    del recorded["frames"]["stamp"]
    assert of(paths).differs(recorded) == ""
    renewed = of(paths).renewed(recorded)
    assert renewed is not None
    assert of(paths).renewed(renewed) is None


def test_equal_stamps_need_no_reading(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = kept(of(paths))

    def reads(*_: Any) -> Any:
        raise AssertionError("it was read")

    monkeypatch.setattr(Contents, "digest", reads)
    assert of(paths).differs(recorded) == ""


def test_other_frames_of_the_same_names_and_sizes_are_others(paths: list[Path]) -> None:
    recorded = kept(of(paths))
    paths[2].write_bytes(paths[1].read_bytes())
    assert of(paths).differs(recorded) == "other frames"
    assert not identity.same(kept(of(paths)), recorded)


def test_frames_that_change_meanwhile_give_no_record(paths: list[Path]) -> None:
    own = of(paths)
    own.begin()
    paths[3].write_bytes(b"other")
    with pytest.raises(InputError, match=r"3\.png: it was changed while this was tracked"):
        own.recorded()


@pytest.mark.parametrize("recorded", [{}, [], "x", 3, {"frames": 3}, {"method": []}])
def test_damaged_records_are_of_another_identity(paths: list[Path], recorded: Any) -> None:
    assert of(paths).differs(recorded)
    assert not identity.same(recorded, recorded)


def test_who_made_a_result_without_a_record_is_not_known() -> None:
    assert set(identity.maker(None).values()) == {UNKNOWN}
    assert identity.maker(identity.made()) == identity.made()
