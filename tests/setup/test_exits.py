"""What commands say, and with which code, when they cannot do their work."""

import errno
from typing import Any

import pytest
import typer

from jobs.settings import ServeSettings
from quicksilver.errors import InputError, StoreError
from setup.exits import failing


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("no such tape"), 2, "error: no such tape\n"),
        (StoreError("Cassandra does not answer"), 2, "error: Cassandra does not answer\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "x.csv"), 2, "error: x.csv: No such file\n"),
        (OSError(errno.ENOSPC, "No space left"), 2, f"error: [Errno {errno.ENOSPC}] No space left\n"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Exit(1), 1, ""),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, failing():
        raise error
    assert (ended.value.exit_code, capsys.readouterr()) == (code, ("", said))


def test_a_setting_is_named_as_the_variable_that_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {"port": 70_000}
    with pytest.raises(typer.Exit) as ended, failing():
        ServeSettings(**given)
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "error: PORT=70000: Input should be less than or equal to 65535\n"


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), TimeoutError(), ValueError("a bug")])
def test_what_is_no_fault_of_the_user_goes_on(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(error)), failing():
        raise error
    assert capsys.readouterr() == ("", "")
