"""Pictures over the real server: listed, served, and nothing but them."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore

PNG = b"\x89PNG\r\n\x1a\n and so on"
SECRET = b"nobody's business"


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A server over a folder with two names, and over much that is none of its business."""
    folder, store = tmp_path / "data" / "pictures", SqliteStore(tmp_path / "x.sqlite")
    for name, kind in (("near", "score"), ("near", "boundaries"), ("nine.toml", "boundaries")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{kind}.png").write_bytes(PNG + name.encode())
        os.utime(folder / name / f"{kind}.png", ns=(5, 1_790_000_000_000_000_000))
    for path in ("secret.png", "data/secret.png", "data/pictures/top.png", "data/pictures/near/notes.txt",
                 "data/pictures/near/.part.png", "data/other/secret.png"):  # fmt: skip
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(SECRET)
    (folder / "near" / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path / "data" / "other")
    (folder / "near" / "folder.png").mkdir()
    app = create_app(Hub(SourceInfo("TAPE", "a test")), store, None, pictures=folder)
    async with serving(app, "127.0.0.1", 0) as found:
        yield found
    store.close()


async def test_pictures_are_listed_by_name(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60.0) as client:
        found = (await client.get("/api/pictures")).json()
        assert [(one["name"], [each["kind"] for each in one["pictures"]]) for one in found] == [
            ("near", ["boundaries", "score"]),
            ("nine.toml", ["boundaries"]),
        ]
        assert found[0]["pictures"][1] == {
            "kind": "score", "url": "/api/pictures/near/score.png", "written_ns": 1_790_000_000_000_000_000,
        }  # fmt: skip
        for one in found:
            for each in one["pictures"]:
                answer = await client.get(each["url"])
                assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
                assert answer.content == PNG + one["name"].encode()


@pytest.mark.parametrize(
    "path",
    [
        "near/none.png", "near/notes.txt", "near/link.png", "near/.part.png", "near/folder.png", "linked/secret.png",
        "../secret.png", "..%2fsecret.png", "%2e%2e/secret.png", "..%5csecret.png", "near/..%2f..%2fsecret.png",
        "near/../../secret.png", "near/%2e%2e%2f%2e%2e%2fsecret.png", "./top.png", "near%2f..%2f..%2fsecret.png/x.png",
        "near/score.png%00.png", "near/score", "near/score.png/", "%00/score.png", "near/secret.PNG", "/etc/passwd",
    ],
)  # fmt: skip
async def test_nothing_else_is_served(port: int, path: str) -> None:
    """Sent as they are: a client would take the dots out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /api/pictures/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    await writer.wait_closed()
    assert int(answer.split()[1]) in {307, 404, 422}
    assert SECRET not in answer
    assert PNG not in answer


async def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.sqlite")
    for folder in (None, tmp_path / "not-there"):
        app = create_app(Hub(SourceInfo("TAPE", "a test")), store, None, pictures=folder)
        async with serving(app, "127.0.0.1", 0) as port, httpx.AsyncClient(timeout=60.0) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/api/pictures")).json() == []
            answer = await client.get(f"http://127.0.0.1:{port}/api/pictures/near/score.png")
            assert answer.status_code == 404
            assert answer.json() == {"detail": "no such picture; GET /api/pictures lists those that there are"}
    store.close()
