"""Other web sites get nothing through a visitor's browser; pages of ours and programs do."""

from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore

OURS = ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000"]
OTHERS = ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "192.168.1.5:8000", "[::1", ""]


async def answers(folder: Path, names: list[str], allowed: list[str]) -> list[int]:
    """Return the status for each value of ``Host``, of REST, and whether the websocket agrees."""
    hub, store = Hub(SourceInfo("SIMULATED", "a test")), SqliteStore(folder / "x.sqlite")
    found = []
    async with (
        serving(create_app(hub, store, None, allowed), "127.0.0.1", 0) as port,
        httpx.AsyncClient(timeout=60.0) as http,
    ):
        for name in names:
            answer = await http.get(f"http://127.0.0.1:{port}/api/health", headers={"Host": name})
            assert ("is not a name of this server" in answer.text) == (answer.status_code == 403)
            found.append(answer.status_code)
    store.close()
    return found


async def test_only_names_of_this_machine_are_answered(tmp_path: Path) -> None:
    assert await answers(tmp_path, OURS + OTHERS, []) == [200] * len(OURS) + [403] * len(OTHERS)


async def test_the_address_served_on_is_answered_too(tmp_path: Path) -> None:
    names = ["192.168.1.5:8000", "localhost", "evil.example"]
    assert await answers(tmp_path, names, ["192.168.1.5"]) == [200, 200, 403]
    assert await answers(tmp_path, ["[fe80::1]:8000"], ["FE80::1"]) == [200]


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::", "*"])
async def test_a_server_on_all_addresses_has_any_name(tmp_path: Path, everywhere: str) -> None:
    assert await answers(tmp_path, ["my.machine:8000", "localhost"], [everywhere]) == [200, 200]


@pytest.mark.parametrize("hosts", [(), ("0.0.0.0",)])
async def test_websockets_are_for_our_page_and_for_programs(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    hub, store = Hub(SourceInfo("SIMULATED", "a test")), SqliteStore(tmp_path / "x.sqlite")
    async with serving(create_app(hub, store, None, hosts), "127.0.0.1", 0) as port:
        url = f"ws://127.0.0.1:{port}/ws"
        for ours in (None, f"http://127.0.0.1:{port}"):
            async with connect(url, origin=ours) as client:  # type: ignore[arg-type]
                assert b'"welcome"' in await client.recv(decode=False)
        others = ("http://evil.example", f"http://localhost:{port}", f"http://127.0.0.1:{port + 1}", "null", "http://[")
        for other in others:
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, origin=other)  # type: ignore[arg-type]
            said = (refused.value.response.status_code, refused.value.response.body)
            assert said == (403, b'{"detail":"pages of \'%s\' may not read from here"}' % other.encode())
    store.close()


async def test_a_websocket_under_another_name_is_refused(tmp_path: Path) -> None:
    hub, store = Hub(SourceInfo("SIMULATED", "a test")), SqliteStore(tmp_path / "x.sqlite")
    async with serving(create_app(hub, store, None), "127.0.0.1", 0) as port:
        with pytest.raises(InvalidStatus, match="403"):
            # What a rebound name makes of a page's own origin: the same as its host.
            await connect(f"ws://evil.example:{port}/ws", host="127.0.0.1", origin=f"http://evil.example:{port}")  # type: ignore[arg-type]
    store.close()
