"""The whole of it: six simulated venues through every fault, recorded as a live run reads them, and replayed."""

from pathlib import Path

from jobs.rehearsal import faults_of, rehearsal
from producers.simulator.faults import KINDS
from producers.simulator.soak import SIX

SECONDS = 25.0


def test_what_a_live_run_made_of_faulty_venues_is_what_their_tape_gives(tmp_path: Path) -> None:
    names = SIX.split(",")
    rows, counts = rehearsal(names, SECONDS, faults_of(SECONDS), 7, tmp_path / "tapes")
    assert len(rows) == 2 * len(names)
    assert all(row["faults"] == len(KINDS) for row in rows)
    assert all(row["features"] == row["replayed"] > 20 for row in rows)
    assert all(row["equal"] for row in rows)
    assert counts["gaps"] >= 2 * len(names)  # all connections are broken once at least
    assert len(list((tmp_path / "tapes").iterdir())) > 1
