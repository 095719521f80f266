"""``python -m producers.simulator``, as a person runs it."""

import signal
import subprocess
import sys
from pathlib import Path

from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-u", "-m", "producers.simulator"]


def test_it_says_its_address_serves_and_stops_on_ctrl_c() -> None:
    command = [*COMMAND, "--symbols", "BTC/USD,ETH/USD", "--speed", "2"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = next(word for word in line.split() if word.startswith("ws://"))
            with connect(address) as client:
                assert '"channel":"status"' in str(client.recv())
                process.send_signal(signal.SIGINT)
                out, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out == "stopped\n"
    assert errors == ""


def test_an_unknown_symbol_is_an_error_for_people() -> None:
    done = subprocess.run([*COMMAND, "--symbols", "XXX/USD"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "does not list XXX/USD" in done.stderr
    assert "Traceback" not in done.stderr
