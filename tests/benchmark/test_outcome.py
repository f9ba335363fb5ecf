"""How fast a run was, from its file."""

import json
from pathlib import Path

import pytest

from hcft_jax.benchmark.outcome import Speed

WHOLE = {"frames": 21, "seconds": 1.5, "compile_seconds": 0.5}


def test_a_speed_is_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "Deer.json"
    path.write_text(json.dumps(WHOLE))
    assert Speed.read(path) == Speed(21, 1.5, 0.5)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(WHOLE | {"frames": "21"}),
        json.dumps(WHOLE | {"frames": 1.5}),
        json.dumps(WHOLE | {"frames": -1}),
        json.dumps(WHOLE | {"frames": 10**400}),
        json.dumps(WHOLE | {"seconds": 0}),
        json.dumps(WHOLE | {"seconds": -1.0}),
        json.dumps(WHOLE | {"seconds": None}),
        json.dumps(WHOLE | {"seconds": float("nan")}),
        json.dumps(WHOLE | {"compile_seconds": float("inf")}),
        json.dumps(WHOLE | {"seconds": [1.0]}),
        json.dumps(WHOLE | {"more": 1}),
        '{"frames": 29}',
        '{"frames": ' + "1" * 5000 + "}",
        "[" * 99_999,
        "[1, 2, 3]",
        "\0",
        "",
        None,
    ],
)
def test_a_damaged_speed_is_unknown_and_a_note(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "Deer.json"
    if content is not None:
        path.write_text(content)
    assert Speed.read(path).fps == 0
    said = capsys.readouterr().err
    assert said.startswith(f"note: {path}")
    assert said.count("\n") == 1
