"""The flags of commands: lists of paths, one meaning per name, and how help shows them."""

from pathlib import Path

import pytest
from absl import flags

from hcft_jax.util.flag_groups import MEANINGS, FlagGroup, help_of, meaning_of, paths, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one", ["one"]),
        ("one,two", ["one", "two"]),
        ("absent,one", ["absent", "one"]),
        ("hcft,eta=0.02-1f,one", ["hcft,eta=0.02-1f", "one"]),
        ("one,hcft,eta=0.02-1f,hcft", ["one", "hcft,eta=0.02-1f", "hcft"]),
        ("hcft,eta=0.02-1f,eta=0.5-22", ["hcft,eta=0.02-1f,eta=0.5-22"]),
        ("one, two,", ["one", "two"]),
        ("", []),
    ],
)
def test_paths_keep_the_commas_of_folders_that_are_there(
    text: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two", "hcft,eta=0.02-1f", "hcft,eta=0.02-1f,eta=0.5-22"):
        Path(name).mkdir()
    assert paths(text) == expected
    values = flags.FlagValues()
    FlagGroup(values, "Title").folders("results")
    values(["command", f"--results={text}"])
    assert values.results == expected


def test_a_flag_that_others_have_brings_its_meaning_and_has_no_other() -> None:
    values = flags.FlagValues()
    group = FlagGroup(values, "Title")
    group.text("data_dir", shown="drawn ones")
    assert values["data_dir"].help == f"{MEANINGS['data_dir']} [drawn ones]"
    assert meaning_of(values["data_dir"]) == MEANINGS["data_dir"]
    with pytest.raises(ValueError, match="--seed: 'another'; all commands have the meaning 'seed"):
        group.whole("seed", 0, meaning="another")
    with pytest.raises(ValueError, match="--of_one_command: ''"):
        group.text("of_one_command")


def test_help_has_the_document_and_the_flags_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    values = flags.FlagValues()
    group = FlagGroup(values, "What is done")
    group.whole("seed", 0)
    group.switch("dry", meaning="only say what would be done, and do nothing of it at all")
    FlagGroup(values, "Where").many("some", ["a", "b"], meaning="names")
    assert help_of("Do a thing.\n\n::\n\n    hcft ``thing``\n", values).splitlines() == [
        "Do a thing.",
        "",
        "    hcft thing",
        "",
        "Flags, with their defaults in brackets:",
        "",
        "What is done",
        "  --seed=NUMBER           seed of everything random [0]",
        "  --[no]dry               only say what would be done, and",
        "                          do nothing of it at all",
        "",
        "Where",
        "  --some=A,B,...          names [a,b]",
    ]


def test_plain_text_has_no_marks() -> None:
    assert plain("In a file::\n\n    ``x``\n\nor not.\n") == "In a file:\n\n    x\n\nor not."
