"""What ``quicksilver soak`` says of a soak that is over."""

from typing import Any

import pytest
from typer.testing import CliRunner

from jobs import soak_command
from jobs.cli import app
from producers.simulator.soak import Totals


@pytest.mark.parametrize(
    ("reached", "said"), [(129.4, "only 129 of the 500 messages a second that were asked for: "), (489.0, "")]
)
def test_a_soak_that_did_not_reach_what_was_asked_for_says_so(
    monkeypatch: pytest.MonkeyPatch, reached: float, said: str
) -> None:
    async def run_soak(*_: Any) -> Totals:
        return Totals(6.0, messages_s=reached)

    monkeypatch.setattr(soak_command, "run_soak", run_soak)
    done = CliRunner().invoke(app, ["soak", "--messages", "500", "--minutes", "0.1"])
    assert (done.exit_code, done.stderr[: len(said)], bool(done.stderr)) == (0, said, bool(said))
