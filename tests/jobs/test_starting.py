"""How ``run``, ``publish`` and ``symbols`` end where nothing can start: exit code 2, and a sentence that says why."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as listen

from jobs import feed_watch, starting_feeds
from jobs.cli import app
from jobs.publish_command import PublishSettings
from jobs.settings import RunSettings
from jobs.sources import choose
from producers.exchanges.kraken_feed import KrakenFeed
from tests.producers.test_connections import certificate

PAIR = b'{"wsname":"%s/USD","lot_decimals":8,"tick_size":"0.1","ordermin":"0.0001","status":"online"}'
PAIRS = b'{"error":[],"result":{"A":%s,"B":%s}}' % (PAIR % b"XBT", PAIR % b"ETH")
COMMANDS = [("run", "live"), ("run", "auto"), ("publish", "live")]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the shell that runs the tests has set, these tests set for themselves."""
    for name in PublishSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PORT", "0")
    monkeypatch.setenv("VENUES", "kraken")
    monkeypatch.setenv("KAFKA_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(starting_feeds, "LIST_S", 3.0)
    monkeypatch.setattr(feed_watch, "LOOK_S", 0.0)
    monkeypatch.setattr(feed_watch, "REFUSED_S", 0.0)


@contextmanager
def websocket(handle: Callable[[ServerConnection], None], tls: ssl.SSLContext | None = None) -> Iterator[str]:
    with listen(handle, "127.0.0.1", 0, ssl=tls) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()


@contextmanager
def rest(status: int, body: bytes) -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def kraken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Starts what is to lie where Kraken lies: its websocket and, if there is a body, its REST; gives the host."""
    with ExitStack() as running:

        def start(
            handle: Callable[[ServerConnection], None], body: bytes = b"", status: int = 200,
            tls: ssl.SSLContext | None = None,
        ) -> str:  # fmt: skip
            url = running.enter_context(websocket(handle, tls))
            monkeypatch.setattr(KrakenFeed, "url", url)
            at = running.enter_context(rest(status, body)) if body else "http://127.0.0.1:1"
            monkeypatch.setattr(KrakenFeed, "rest_url", at)
            return url.partition("//")[2]

        yield start


def hold(client: ServerConnection) -> None:
    for _ in client:
        pass


def refuse(client: ServerConnection) -> None:
    for message in client:
        for native in msgspec.json.decode(message)["params"]["symbol"]:
            why = {"error": f"Currency pair not supported {native}", "method": "subscribe", "success": False}
            client.send(msgspec.json.encode({**why, "symbol": native}).decode())


def quicksilver(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=environment)


def error(result: Result) -> str:
    """The one sentence with which a command ends that cannot be done."""
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


@pytest.mark.parametrize(("command", "source"), COMMANDS)
def test_symbols_that_no_venue_lists_are_named_with_those_that_are_like_them(
    kraken: Callable[..., str], command: str, source: str
) -> None:
    kraken(hold, PAIRS)
    result = quicksilver(command, SOURCE=source, SYMBOLS="BTC-USDX,ZZZ-QQQ")
    assert error(result) == (
        "kraken lists no BTC-USDX; did you mean BTC-USD?;"
        " kraken lists no ZZZ-QQQ; `quicksilver symbols kraken` prints what it lists"
    )


@pytest.mark.parametrize("command", ["run", "publish"])
def test_a_certificate_that_is_not_valid_ends_it(kraken: Callable[..., str], tmp_path: Path, command: str) -> None:
    tls, _ = certificate(tmp_path, ["127.0.0.1"])
    host = kraken(hold, tls=tls)
    result = quicksilver(command, SOURCE="live", SYMBOLS="BTC-USD")
    assert error(result) == "none of kraken can be reached:"
    assert result.stderr.splitlines()[-2:] == [
        f"  kraken: the TLS certificate of {host} is not valid (self-signed certificate): somebody may stand between,"
        " or this machine's clock or certificates are wrong; nothing was sent",
        "check the network, or run with SOURCE=sim",
    ]


def test_a_run_whose_symbols_are_all_refused_ends_with_what_the_venue_says(kraken: Callable[..., str]) -> None:
    kraken(refuse)
    result = quicksilver("run", SOURCE="live", SYMBOLS="BTC-USD,AAA-USD")
    assert error(result) in {
        f"nothing can start: Kraken refuses: Currency pair not supported {first};"
        f" Kraken refuses: Currency pair not supported {second}; check SYMBOLS= and VENUES="
        for first, second in (("BTC/USD", "AAA/USD"), ("AAA/USD", "BTC/USD"))
    }
    assert "their names are guessed" in result.stdout


@pytest.mark.parametrize("command", ["run", "publish"])
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"SOURCE": "sim", "SPEED": "fast"}, "SPEED=fast means nothing with SOURCE=sim: it is for SOURCE=tape"),
        (
            {"SOURCE": "auto", "TAPE": "x"},
            "TAPE=x means nothing with SOURCE=auto: it is for SOURCE=tape and",
        ),
        ({"SOURCE": "sim", "SYMBOLS": "BTC-USD,XXX"}, "not a symbol: 'XXX'; write BASE-QUOTE, such as BTC-USD"),
        ({"SOURCE": "csv", "SEED": "3"}, "SEED=3 means nothing with SOURCE=csv: it is for SOURCE=auto and"),
    ],
)
def test_a_setting_that_the_source_has_no_use_for_ends_it(
    monkeypatch: pytest.MonkeyPatch, command: str, given: dict[str, str], why: str
) -> None:
    monkeypatch.delenv("VENUES")
    assert error(quicksilver(command, **given)).startswith(why)


def test_the_simulator_has_the_symbols_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENUES")
    given: dict[str, Any] = {"source": "sim", "symbols": "ETH-USD,btc-eur"}
    assert choose(RunSettings(**given), print).instruments == [("sim", "ETH-USD"), ("sim", "BTC-EUR")]


def test_symbols_prints_what_a_venue_lists(kraken: Callable[..., str]) -> None:
    kraken(hold, PAIRS)
    result = quicksilver("symbols", "kraken")
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "/" in line]
    assert rows == [
        ["BTC-USD", "BTC/USD", "0.1", "0.00000001", "0.0001", "active"],
        ["ETH-USD", "ETH/USD", "0.1", "0.00000001", "0.0001", "active"],
    ]
    assert "kraken: 2 of 2 symbols" in result.stdout
    found = quicksilver("symbols", "kraken", "--search", "eth").stdout
    assert "ETH-USD" in found
    assert "BTC-USD" not in found


@pytest.mark.parametrize(
    ("body", "status", "search", "why"),
    [
        (PAIRS, 200, "DOGE", "kraken lists 2 symbols, none with 'DOGE'"),
        (b"<html>", 200, "", "kraken: what {url}/0/public/AssetPairs gives cannot be read: not Kraken's AssetPairs: "),
        (b"no", 451, "", "kraken: {host} refuses connections from here (HTTP 451): it may not serve this country"),
        (b"no", 500, "", "kraken: {host} does not accept a connection now (HTTP 500)"),
        (b"", 200, "", "kraken: {host} cannot be reached ("),
    ],
)
def test_a_list_that_cannot_be_had_is_said(
    kraken: Callable[..., str], body: bytes, status: int, search: str, why: str
) -> None:
    kraken(hold, body, status)
    said = error(quicksilver("symbols", "kraken", "--search", search))
    assert said.startswith(why.format(url=KrakenFeed.rest_url, host=KrakenFeed.rest_url.partition("//")[2]))


def test_a_venue_that_there_is_not_is_said() -> None:
    assert error(quicksilver("symbols", "mtgox")).startswith("unknown venue 'mtgox'; there are binance, ")
