"""A tape that is played by ``quicksilver run``: stepped through, and its full books recorded."""

import signal
import time
from pathlib import Path
from typing import Any

import httpx

from producers.frames import Frame
from producers.simulator.frames import frames as simulated
from producers.simulator.orderflow import Market
from producers.tapes import TapeWriter
from tests.jobs.test_cli import start


def test_a_tape_is_stepped_through_over_rest_with_its_full_books(tmp_path: Path) -> None:
    raw = simulated(Market(1, 1_790_000_000_000_000_000, ["BTC/USD"]), ["BTC/USD"], 10, 4_000)
    with TapeWriter(tmp_path / "tape.zst") as writer:
        for ts_ns, payload in raw:
            writer.write(Frame("kraken", "k", "recv", ts_ns, payload))
    with start(
        "--source", "tape", "--tape", str(tmp_path / "tape.zst"), "--speed", "0.001", "--data", str(tmp_path),
        "--port", "0", "--full-books-per-s", "2", "--full-book-levels", "5",
    ) as run:  # fmt: skip
        with httpx.Client(base_url=run.until_said("page").split()[1], timeout=60.0) as http:
            played = http.post("api/replay", json={"action": "step", "n": 20}).json()["played"]
            state = http.post("api/replay", json={"action": "step", "n": 5}).json()
            assert (state["paused"], state["ended"], state["speed"]) == (True, False, 0.001)
            assert state["played"] == played + 5
            before = http.get("api/health").json()["counts"]
            assert http.get("api/health").json()["counts"]["features"] == before["features"] > 0
            assert http.post("api/replay", json={"action": "resume", "speed": "max"}).json()["paused"] is False
            while not http.get("api/replay").json()["ended"]:
                time.sleep(0.05)
            counts = http.get("api/health").json()["counts"]
            rows: list[dict[str, Any]] = []
            while len(rows) < counts["full-books"]:  # the store takes them in batches
                rows = http.get("api/full-books/kraken:BTC-USD").json()["rows"]
        code, _, errors, _ = run.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert len(rows) > 5
    assert {len(row["bids"]) for row in rows} == {5}
    assert all(row["n_bids"] == 10 and row["bids"][0][2] == row["bids"][0][1] for row in rows)
