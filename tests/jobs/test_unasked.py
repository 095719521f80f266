"""What a venue says of symbols that nobody subscribed to: skipped while live; on tapes all symbols count."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime

from websockets.asyncio.server import ServerConnection

from api.hub import SourceInfo
from jobs.live import FeedSource
from jobs.parsers import Parsers
from producers.exchanges.base import ignore
from producers.exchanges.coinbase import CoinbaseFeed
from producers.frames import Frame
from quicksilver.events import SECOND_NS, AnyEvent, BookDelta, BookSnapshot, Gap
from tests.producers.test_feed import venue

TIME, TIME_NS = "2026-09-21T14:13:20.000000Z", 1_790_000_000 * SECOND_NS
KEPT = "BTC-USD"


def change(product: str, kind: str) -> str:
    level = '[{"side":"bid","price_level":"1","new_quantity":"1"}]'
    return f'{{"type":"{kind}","product_id":"{product}","updates":{level}}}'


def message(number: int, *changes: str, time: str = TIME) -> str:
    head = f'{{"channel":"l2_data","timestamp":"{time}","sequence_num":{number}'
    return f'{head},"events":[{",".join(changes)}]}}'


def asked_for(parsers: Parsers, *texts: str) -> list[AnyEvent]:
    frames = [Frame("coinbase", "coinbase.1", "recv", TIME_NS, text.encode()) for text in texts]
    return [event for frame in frames for event in parsers.parse(frame)]


def only(venue: str, native: str) -> bool:
    return (venue, native) == ("coinbase", KEPT)


def test_a_flood_of_unasked_symbols_makes_no_instrument_and_costs_no_book() -> None:
    flood = [message(1 + i, change(f"X{i}-USD", "snapshot")) for i in range(50)]
    texts = [message(0, change(KEPT, "snapshot")), *flood, message(51, change(KEPT, "update"))]
    letters: list[object] = []
    live, tape = Parsers(letters.append, wanted=only), Parsers(ignore)
    assert [type(event) for event in asked_for(live, *texts)] == [BookSnapshot, BookDelta]
    assert live.by_venue["coinbase"].instruments.keys() == {KEPT}
    assert live.by_venue["coinbase"].counts.skipped == 50
    assert not letters
    asked_for(tape, *texts)
    assert len(tape.by_venue["coinbase"].instruments) == 51


def test_a_message_that_is_cut_short_by_an_unasked_symbol_costs_the_books_that_it_names() -> None:
    live = Parsers(ignore, wanted=only)
    events = asked_for(
        live,
        message(0, change(KEPT, "snapshot")),
        message(1, change("X-USD", "snapshot"), " " * 5_000 + change(KEPT, "update")),
    )
    assert [type(event) for event in events] == [BookSnapshot, Gap]


async def test_a_live_run_knows_what_it_has_subscribed_to() -> None:
    async def flood(client: ServerConnection) -> None:
        for i in range(20):
            product = KEPT if i == 19 else f"X{i}-USD"
            await client.send(message(i, change(product, "snapshot"), time=datetime.now(UTC).isoformat()[:26] + "Z"))
        await client.wait_closed()

    async with venue() as server, asyncio.timeout(60):
        server.then = flood
        source = FeedSource([CoinbaseFeed("coinbase", [KEPT], server.url)], SourceInfo("LIVE", "a test"))
        async with aclosing(source.batches(ignore)) as batches:  # type: ignore[type-var]
            async for _, events in batches:
                if events:
                    break
        assert [event.symbol for event in events if isinstance(event, BookSnapshot)] == [KEPT]
        assert source.meter.parsers["coinbase"].instruments.keys() == {KEPT}
