"""``python -m producers.simulator``, as a person runs it."""

import signal
import socket
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
    assert line.startswith("simulated kraken, symbols: BTC-USD, ETH-USD: ws://127.0.0.1:")
    assert process.returncode == 0
    assert out == "stopped\n"
    assert errors == ""


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, "--port", str(port)], cwd=ROOT, capture_output=True, text=True, check=False)
    why = f"cannot serve on 127.0.0.1 port {port}: Address already in use; choose another with --port"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {why}\n")


def test_what_is_no_symbol_is_an_error_for_people() -> None:
    command = [*COMMAND, "--symbols", "BTC/USD,XXXUSD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: not a symbol: 'XXXUSD'; write BASE-QUOTE, such as BTC-USD\n"
