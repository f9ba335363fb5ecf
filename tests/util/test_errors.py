"""How a command ends."""

import warnings

import pytest

from hcft_jax.util.errors import InputError, InputWarning, SettingError, command, foreign


@command("interrupted; nothing is lost")
def main(argv: list[str], raised: BaseException | None = None, status: int = 0) -> int:
    if raised is not None:
        raise raised
    return status


@pytest.mark.parametrize(
    ("words", "raised", "status", "line"),
    [
        ([], None, 0, ""),
        (["stray"], None, 2, "error: 'stray': only flags (--name=value) are understood\n"),
        ([], InputError("x.txt, line 3: no box"), 2, "error: x.txt, line 3: no box\n"),
        ([], SettingError("eta", "2 is above 1"), 2, "error: --eta: 2 is above 1\n"),
        ([], OSError(36, "File name too long", "x.txt"), 2, "error: x.txt: File name too long\n"),
        ([], InputError("a\nb\x1b[2J.txt: bad"), 2, "error: a\\nb\\x1b[2J.txt: bad\n"),
        ([], InputError("x" * 9999), 2, f"error: {'x' * 600} ... {'x' * 600}\n"),
        ([], KeyboardInterrupt(), 130, "interrupted; nothing is lost\n"),
    ],
)
def test_a_command_ends_with_a_status_and_at_most_a_line(
    words: list[str],
    raised: BaseException | None,
    status: int,
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["program", *words], raised) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", line)


def test_the_status_of_the_work_is_the_commands() -> None:
    assert main(["program"], status=1) == 1


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        main(["program"], ZeroDivisionError())


def test_a_setting_names_its_field_without_dashes() -> None:
    error = SettingError("eta", "2 is above 1")
    assert (str(error), error.field, error.problem) == ("eta: 2 is above 1", "eta", "2 is above 1")


def test_a_warning_of_the_input_is_one_note(capsys: pytest.CaptureFixture[str]) -> None:
    @command()
    def main(argv: list[str]) -> int:
        for text in ("a", "b", "a"):
            warnings.warn(text, InputWarning, stacklevel=1)
        return 0

    assert main(["x"]) == 0
    assert capsys.readouterr().err == "note: a\nnote: b\n"


@pytest.mark.parametrize("raised", [SystemExit(0), BaseException("x"), ZeroDivisionError("y")])
def test_whatever_a_users_code_raises_is_one_line(raised: BaseException) -> None:
    with (
        pytest.raises(InputError, match=rf"^config\.py: {type(raised).__name__}: {raised}$"),
        foreign(lambda text: InputError(f"config.py: {text}")),
    ):
        raise raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), InputError("as it is")])
def test_ctrl_c_and_what_is_said_already_pass_through_a_users_code(raised: BaseException) -> None:
    with pytest.raises(type(raised)) as caught, foreign(InputError):
        raise raised
    assert caught.value is raised
