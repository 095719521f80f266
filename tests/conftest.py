"""What all tests share: where the real recordings are."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["tests.cluster"]
ROOT = Path(__file__).resolve().parent.parent


def tapes_folder() -> Path:
    """Return the folder of real recordings (``QUICKSILVER_TAPES``, default ``../shared/data``)."""
    return Path(os.environ.get("QUICKSILVER_TAPES", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def tapes() -> Path:
    """The real recordings; skips the test, out loud, on a machine that has none."""
    folder = tapes_folder()
    if not folder.is_dir():
        pytest.skip(f"no recordings in {folder}: set QUICKSILVER_TAPES")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of recordings."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if "QUICKSILVER_TAPES" in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests skipped: no real recordings here (QUICKSILVER_TAPES)", yellow=True
        )
