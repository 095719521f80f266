"""The page in a real browser: over the simulator as users start it, and over a hub that is fed by hand."""

import asyncio
import re
import time
from typing import TypeAlias

import pytest
from playwright.async_api import Locator, Page, Route, expect

from producers.exchanges.venue import SIMULATED
from producers.simulator.listings import LISTINGS
from quicksilver.events import Trade
from quicksilver.features import FEATURES
from quicksilver.records import (
    Audit,
    BookTop,
    Candle,
    DataState,
    DeadLetter,
    Features,
    FeedStats,
    Prediction,
    Role,
    Score,
    Status,
    TopLevel,
)
from tests.ports import own_port
from tests.web.conftest import PATIENCE_MS, TEST_S, Open, Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(TEST_S)]

START_NS, SECOND_NS = 1_700_000_000_000_000_000, 1_000_000_000
HORIZON_NS = 5 * SECOND_NS
# The book as rows of texts: asks from the highest down, then bids.
LEVELS = ".level:not(.head-row)"
CELLS = "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
# Whether a theme colour is on the canvases of an element; copies are read, for Chromium warns of reading what it shows.
DRAWN = """([id, name]) => {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [r, g, b] = [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
  let n = 0;
  for (const canvas of document.querySelectorAll(`[data-testid=${id}] canvas`)) {
    const { width, height } = canvas;
    if (!width || !height) continue;
    const copy = Object.assign(document.createElement('canvas'), { width, height });
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    for (let i = 0; i < data.length; i += 4) n += data[i] === r && data[i + 1] === g && data[i + 2] === b;
  }
  return n > 50;
}"""
NUMBER = re.compile(r"^\d+(\.\d+)?$")
Rows: TypeAlias = list[list[str]]
Numbers: TypeAlias = list[list[float | None]]


def head(seq: int) -> tuple[str, str, int, int, int]:
    """Return what every record of one instrument begins with, a second apart."""
    ts_ns = START_NS + seq * SECOND_NS
    return ("kraken", "BTC-USD", seq, ts_ns, ts_ns)


def status(seq: int, state: DataState, reason: str = "") -> Status:
    return Status(*head(seq), state, reason)


def top(seq: int, mid: float, n_levels: int = 10) -> BookTop:
    """Return a top whose sizes have four digits at most, so that the page shows all of each number."""
    bids = [TopLevel(mid - 0.5 - i, (i + 1) / 4, (i + 1) * (i + 2) / 8) for i in range(n_levels)]
    asks = [TopLevel(mid + 0.5 + i, (i + 1) / 8, (i + 1) * (i + 2) / 16) for i in range(n_levels)]
    return BookTop(*head(seq), bids, asks, 0, 0, 0.0, 0.0)


def features(seq: int, mid: float) -> Features:
    """Return features that are not warm yet but for the first, the mid."""
    return Features(*head(seq), mid, *[None] * (len(FEATURES) - 1))


def candle(seq: int, first: float, last: float) -> Candle:
    high, low, open_ns = max(first, last), min(first, last), START_NS + seq * HORIZON_NS
    return Candle(*head(seq), open_ns, HORIZON_NS, first, high, low, last, 1.0, 0.5, 3, "trade", True)


def score(seq: int, n: int, log_loss: float) -> Score:
    return Score(*head(seq), HORIZON_NS, "m", "1", START_NS, 1, 1, n, 0.625, log_loss, 0.5, 1.0)


def shown(book: BookTop, n_rows: int = 10) -> Numbers:
    """Return the numbers that the ladder must show; a level that is not there is an empty row."""

    def rows(side: list[TopLevel]) -> Numbers:
        filled: Numbers = [[one.price, one.size, one.cum_size] for one in side]
        return (filled + [[None, None, None]] * n_rows)[:n_rows]

    return [*rows(book.asks)[::-1], *rows(book.bids)]


async def ladder(page: Page) -> Numbers:
    """Return the ladder's numbers, which change all at once: await its middle first."""
    rows: Rows = await page.get_by_test_id("ladder").locator(LEVELS).evaluate_all(CELLS)
    return [[float(text) if text else None for text in row] for row in rows]


async def table(within: Locator) -> Rows:
    rows: Rows = await within.locator("tr:has(td)").evaluate_all(CELLS)
    return rows


async def counted(page: Page, name: str, least: int) -> None:
    await page.wait_for_function("([name, least]) => window.__quicksilver[name] >= least", arg=[name, least])


async def drawn(page: Page, test_id: str, color: str) -> None:
    await page.wait_for_function(DRAWN, arg=[test_id, f"--{color}"])


async def has_book(page: Page) -> None:
    await expect(page.get_by_test_id("ladder").locator(".price:not(:empty)")).to_have_count(2 * 10)


async def test_the_simulator_is_named_and_its_instruments_come_alive(simulator: str, visit: Open) -> None:
    page = (await visit(simulator)).page
    await expect(page.get_by_test_id("source")).to_have_text("SIMULATED")
    await expect(page.get_by_test_id("link")).to_have_text("connected")
    buttons = page.get_by_test_id("instruments").get_by_role("button")
    await expect(buttons).to_have_count(len(LISTINGS))
    keys = await buttons.evaluate_all("all => all.map(one => one.dataset.key)")
    assert sorted(keys) == sorted(f"{SIMULATED}:{symbol.replace('/', '-')}" for symbol in LISTINGS)
    await page.get_by_role("button", name="ETH-USD").click()
    await expect(page.get_by_test_id("state")).to_have_text(f"{SIMULATED} ETH-USD LIVE")


async def test_the_simulator_fills_book_trades_candles_and_features(simulator: str, visit: Open) -> None:
    page = (await visit(simulator)).page
    await page.get_by_role("button", name="BTC-USD").click()
    await has_book(page)
    prices = [row[0] or 0.0 for row in await ladder(page)]
    assert len(prices) == 20
    assert prices == sorted(set(prices), reverse=True)  # no price twice, asks above bids
    await expect(page.get_by_test_id("trades").locator(".trade .price").first).to_have_text(NUMBER)
    tiles = page.get_by_test_id("features").locator(".tile")
    await expect(tiles).to_have_count(len(FEATURES))
    assert await tiles.evaluate_all("all => all.map(tile => tile.dataset.feature)") == [spec.name for spec in FEATURES]
    await expect(page.locator("[data-feature=microprice] b")).not_to_have_text("–")
    for panel, color in (("candles", "line"), ("depth", "up"), ("depth", "down"), ("features", "accent")):
        await drawn(page, panel, color)


async def test_the_simulator_reports_latency_for_every_hop(simulator: str, visit: Open) -> None:
    page = (await visit(simulator)).page
    await expect(page.get_by_test_id("latency").locator("tr:has(td)")).to_have_count(4)
    rows = await table(page.get_by_test_id("latency"))
    hops = ["exchange to receive", "event to records", "records to bus", "receive to bus, total"]
    assert [row[0] for row in rows] == hops
    assert [cell for row in rows for cell in row[1:4] if not re.fullmatch(r"-?[\d.]+ (µs|ms|s)", cell)] == []
    await expect(page.get_by_test_id("n-letters")).to_have_text("0")


async def test_first_paint_waits_for_no_data(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        visited = await visit(f"http://127.0.0.1:{port}/")
        asked = asyncio.Event()

        async def never(_: Route) -> None:
            asked.set()

        await visited.page.route("**/api/**", never)
        await visited.page.route_web_socket("**/ws", lambda _: None)  # opens, and says nothing
        await visited.page.reload()
        await asyncio.wait_for(asked.wait(), PATIENCE_MS / 1000)
        await visited.page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        await expect(visited.page.get_by_role("heading", name="Order book")).to_be_visible()
        await visited.page.unroute_all(behavior="ignoreErrors")


async def test_the_panels_keep_their_size_while_data_flows(simulator: str, visit: Open) -> None:
    opened = await visit(simulator)
    await has_book(opened.page)
    heights = "[...document.querySelectorAll('.chart')].map(chart => chart.clientHeight)"
    before, counters = await opened.page.evaluate(heights), await opened.counters()
    await counted(opened.page, "rendered", counters["rendered"] + 60)
    assert await opened.page.evaluate(heights) == before


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_a_phone_need_not_scroll_sideways(simulator: str, visit: Open, scheme: str) -> None:
    page = (await visit(simulator, viewport={"width": 390, "height": 844}, color_scheme=scheme)).page
    await has_book(page)
    await expect(page.get_by_test_id("latency").locator("tr:has(td)")).to_have_count(4)
    assert await page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]


async def test_the_ladder_is_the_last_top(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        site.bus.publish(status(1, "LIVE"))
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        for seq, book in enumerate((top(2, 30_000.25), top(3, 30_001.75, 3), top(4, 29_999.75))):
            for stale in range(5):  # what is passed over within a frame must leave nothing behind
                site.bus.publish(top(10 * seq + stale, 20_000.0))
            site.bus.publish(book)
            mid = (book.bids[0].price + book.asks[0].price) / 2
            await expect(page.get_by_test_id("ladder").locator(".middle")).to_have_text(f"mid {mid:.3f}")
            assert await ladder(page) == shown(book)
        await expect(page.locator("#spread")).to_have_text("spread 1.00 (0.3333 bps)")


async def test_feeds_have_a_row_each_with_what_was_told_last(site: Site, visit: Open) -> None:
    def told(symbol: str, messages: int, age_s: float, *, gaps: int = 0) -> FeedStats:
        return FeedStats(
            "kraken", symbol, time.time_ns(), "LIVE", messages, 12_345, 900, gaps, 1, 1_232, 2, 0, 5, 6,
            3 if symbol == "" else 0, 4, 0, age_s, 12.34, None if symbol == "" else 5_420.0, 120_400.0,
        )  # fmt: skip

    async with site.serving() as port:
        site.bus.publish(Trade("kraken", "ETH-USD", 1, START_NS, START_NS, 1.0, 1.0, "buy", "1"))  # stateless
        site.bus.publish(told("ETH-USD", 9_999, 0.0))
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        feeds = page.get_by_test_id("feeds")
        await expect(feeds.locator("tr:has(td)")).to_have_count(1)
        for messages in (1, 1_234):
            site.bus.publish(told("ETH-USD", messages, 600.0, gaps=messages))
        site.bus.publish(told("", 5_678, 7_300.0))
        await expect(feeds.locator("tr:has(td)")).to_have_count(2)
        await expect(feeds.locator("[data-key='kraken:ETH-USD']")).to_contain_text("1,234")
        await expect(feeds.locator("tr td")).to_have_text([
            "kraken", "connections", "LIVE", "12.3", "5,678", "25 kB", "", "", "", "", "3", "4", "2 h", "", "", "",
            "kraken", "ETH-USD", "LIVE", "12.3", "1,234", "12 kB", "1,234", "1", "2 of 1,234", "0", "0", "4",
            "10 min", "5.4 ms", "120 ms", "–",
        ])  # fmt: skip
        await expect(feeds.locator("td.bad")).to_have_text(["3", "1,234", "2 of 1,234"])
        audited = feeds.locator("[data-key='kraken:ETH-USD'] td").last
        for different, reason in ((0, ""), (3, "best ask 2, not 3")):
            site.bus.publish(
                Audit("kraken", "ETH-USD", 7, START_NS, START_NS, 40, different, 0.5, True, not different, reason)
            )
            await expect(audited).to_have_text(f"{different} of 40")
            await expect(audited).to_have_class("bad" if different else "")
        await expect(audited).to_have_attribute("title", "best ask 2, not 3")


async def test_a_recording_is_paused_stepped_through_and_played_faster(site: Site, visit: Open) -> None:
    """What waits in the playback is let through by the buttons of the page alone."""
    site.playback.set_speed("0.001")

    async def play() -> None:
        for i in range(10_000):
            await site.playback.wait(START_NS + i * SECOND_NS)

    async with site.serving() as port:
        playing = asyncio.create_task(play())
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        bar, position = page.get_by_test_id("replay"), page.get_by_test_id("replay-position")
        await expect(bar.get_by_role("button")).to_have_text(["❚❚ pause", "step", "0.001×", "1×", "10×", "100×", "max"])
        await expect(bar.get_by_role("button", name="0.001×")).to_have_attribute("aria-pressed", "true")
        await expect(position).to_have_text("2023-11-14 22:13:20")
        await bar.get_by_role("button", name="pause").click()
        await expect(bar.get_by_role("button", name="play")).to_be_visible()
        for _ in range(3):
            await bar.get_by_role("button", name="step").click()
        await expect(position).to_have_text("2023-11-14 22:13:23")
        assert (site.playback.paused, site.playback.played) == (True, 4)
        await bar.get_by_role("button", name="100×").click()
        await expect(bar.get_by_role("button", name="100×")).to_have_attribute("aria-pressed", "true")
        await bar.get_by_role("button", name="play").click()
        await expect(bar.get_by_role("button", name="pause")).to_be_visible()
        assert (site.playback.paused, site.playback.speed) == (False, 100.0)
        await bar.get_by_role("button", name="max").click()
        await asyncio.wait_for(playing, PATIENCE_MS / 1000)
        site.playback.ended = True
        await expect(position).to_have_text("2023-11-15 00:59:59 ended")
        await expect(bar.get_by_role("button", name="step")).to_be_disabled()


@pytest.mark.parametrize("site", ["SIMULATED"], indirect=True)
async def test_what_is_no_recording_has_no_buttons_for_one(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        await expect(page.get_by_test_id("source")).to_have_text("SIMULATED")
        await expect(page.get_by_test_id("replay")).to_be_hidden()


@pytest.mark.parametrize("site", ["CLUSTER"], indirect=True)
async def test_feeds_that_nobody_tells_of_any_more_are_stale_and_age(site: Site, visit: Open) -> None:
    def told(symbol: str, ago_s: int) -> FeedStats:
        counts = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0)
        return FeedStats("kraken", symbol, time.time_ns() - ago_s * SECOND_NS, "LIVE", *counts, 0.5, 1.0)

    async with site.serving() as port:
        site.bus.publish(told("A-USD", 300))
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        rows = page.get_by_test_id("feeds").locator("tr:has(td)")
        await expect(rows).to_have_count(1)
        await expect(rows.first).to_have_class("old")
        (old,) = await table(page.get_by_test_id("feeds"))
        assert (old[1:3], old[12]) == (["A-USD", "STALE"], "5 min")
        site.bus.publish(told("B-USD", 0))  # not before: to open a page may take as long as it is live
        await expect(rows.last.locator("td").nth(1)).to_have_text("B-USD")
        await expect(rows.last).to_contain_text("LIVE")
        await expect(rows.last).to_contain_text("STALE")  # within ten seconds


async def test_the_feeds_of_the_simulator_grow_and_fit_a_tablet(simulator: str, visit: Open) -> None:
    page = (await visit(simulator, viewport={"width": 800, "height": 900})).page
    feeds = page.get_by_test_id("feeds")
    await expect(feeds.locator("tr:has(td)")).to_have_count(len(LISTINGS) + 1)
    nothing_yet = feeds.locator("tr td:nth-child(5)").filter(has_text=re.compile("^0?$"))
    await expect(nothing_yet).to_have_count(0)  # venues begin one after the other
    assert await feeds.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    rows = await table(feeds)
    assert {row[1] for row in rows} == {"connections", *(symbol.replace("/", "-") for symbol in LISTINGS)}
    before = int(rows[0][4].replace(",", ""))
    await expect(feeds.locator("tr.venue td:nth-child(5)")).not_to_have_text(rows[0][4])
    assert int((await table(feeds))[0][4].replace(",", "")) > before


async def test_the_badge_follows_the_state_of_the_data(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        site.bus.publish(status(1, "SYNCING"))
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        badge, book = page.get_by_test_id("state"), page.get_by_test_id("ladder").locator(LEVELS).first
        button = page.get_by_role("button", name="BTC-USD")
        await expect(badge).to_have_text("kraken BTC-USD SYNCING")
        site.bus.publish(top(2, 30_000.0))
        site.bus.publish(status(2, "LIVE"))
        await expect(badge).to_have_text("kraken BTC-USD LIVE")
        await expect(book).to_be_visible()
        site.bus.publish(status(3, "GAP", "<b>5 after 3</b>"))  # a venue's words are text, never markup
        await expect(badge).to_have_text("kraken BTC-USD GAP: <b>5 after 3</b>")
        await expect(button).to_have_attribute("title", "kraken:BTC-USD: GAP (<b>5 after 3</b>)")
        await expect(book).to_be_hidden()
        site.bus.publish(status(4, "STALE", "nothing for 10 s"))
        await expect(badge).to_have_text("kraken BTC-USD STALE")
        await expect(button).to_have_attribute("data-state", "STALE")
        site.bus.publish(status(5, "LIVE"))
        await expect(badge).to_have_text("kraken BTC-USD LIVE")
        await expect(book).to_be_visible()


@pytest.mark.parametrize("site", ["SIMULATED"], indirect=True)
async def test_a_live_instrument_that_falls_silent_is_shown_as_stale(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        site.bus.publish(status(1, "LIVE"))
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        await page.clock.install()
        site.bus.publish(top(2, 30_000.0))
        await expect(page.get_by_test_id("ladder").locator(".middle")).to_have_text("mid 30000.00")
        await expect(page.get_by_test_id("state")).to_have_text("kraken BTC-USD LIVE")
        await page.clock.fast_forward(11_000)
        await expect(page.get_by_test_id("state")).to_have_text("kraken BTC-USD STALE")
        site.bus.publish(top(3, 30_001.0))
        await expect(page.get_by_test_id("state")).to_have_text("kraken BTC-USD LIVE")


async def test_candles_predictions_and_scores_are_shown(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        page = (await visit(f"http://127.0.0.1:{port}/", color_scheme="dark")).page
        site.bus.publish(status(1, "LIVE"))
        await expect(page.get_by_test_id("score-table")).to_contain_text("No outcome is known yet.")
        # The price line has the last candle's colour, so that what is green can only be the first candle.
        for record in (candle(1, 100.0, 110.0), candle(2, 110.0, 90.0)):
            site.bus.publish(record)
        await drawn(page, "candles", "up")
        site.bus.publish(Prediction(*head(2), HORIZON_NS, "m", "1", 0.125, 0.25, 0.625, 1, 0.625))
        await expect(page.get_by_test_id("last-call")).to_have_text("· now: up in 5 s, p = 63 %")
        verdict, rows = page.get_by_test_id("score-table").locator("p.verdict"), page.get_by_test_id("score-table")
        site.bus.publish(score(2, 40, 0.75))
        await expect(verdict).to_have_text("Too early to tell: fewer than 300 outcomes are known.")
        site.bus.publish(score(3, 400, 0.995))
        await expect(verdict).to_have_text("No better than always predicting the majority: do not trade on it.")
        site.bus.publish(score(4, 500, 0.75))
        await expect(verdict).to_have_text("Better than the majority baseline: m ahead 5 s (by log-loss).")
        await expect(rows.locator("tbody tr")).to_have_count(1)
        await expect(rows.locator("tbody td")).to_have_text(
            ["m", "1", "online", "5 s", "500", "62.5 %", "50.0 %", "0.750", "1.000", "–", "–", "0"]
        )


async def test_each_version_has_its_row_and_the_charts_follow_the_pressed_one(site: Site, visit: Open) -> None:
    def said(seq: int, version: str, role: Role) -> Prediction:
        return Prediction(*head(seq), HORIZON_NS, "near", version, 0.125, 0.25, 0.625, 1, 0.625, role, "", 1.5)

    def judged(seq: int, version: str, role: Role, log_loss: float) -> Score:
        known_ns = START_NS + (seq + 5) * SECOND_NS
        return Score(
            *head(seq), HORIZON_NS, "near", version, known_ns, 1, 1, 400, 0.625, log_loss, 0.5, 1.0, role, 0.375,
            -0.25, 2,
        )  # fmt: skip

    async with site.serving() as port:
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        for record in (
            status(1, "LIVE"), candle(1, 100.0, 110.0), said(2, "aaaaaaaaaaaa", "live"),
            said(2, "bbbbbbbbbbbb", "shadow"), judged(2, "aaaaaaaaaaaa", "live", 0.75),
            judged(2, "bbbbbbbbbbbb", "shadow", 1.25),
        ):  # fmt: skip
            site.bus.publish(record)
        rows, last = page.get_by_test_id("score-table"), page.get_by_test_id("last-call")
        await expect(rows.locator("tbody tr")).to_have_count(2)
        shared = ["5 s", "400", "62.5 %", "50.0 %"]
        await expect(rows.locator("tbody td")).to_have_text([
            "near", "aaaaaaa", "live", *shared, "0.750", "1.000", "0.375", "-0.25", "2",
            "near", "bbbbbbb", "shadow", *shared, "1.250", "1.000", "0.375", "-0.25", "2",
        ])  # fmt: skip
        await expect(last).to_have_text("· now: near aaaaaaa: up in 5 s, p = 63 %, +1.50 bps")
        await rows.get_by_role("button").nth(1).click()
        await expect(rows.get_by_role("button").nth(1)).to_have_attribute("aria-pressed", "true")
        await expect(rows.get_by_role("button").nth(0)).to_have_attribute("aria-pressed", "false")
        await expect(last).to_have_text("· now: near bbbbbbb: up in 5 s, p = 63 %, +1.50 bps")
        flag = "out of range: spread_bps 93.1 is outside 0.1 to 12.4"
        flagged = Prediction(*head(9), HORIZON_NS, "near", "bbbbbbbbbbbb", 0.25, 0.5, 0.25, 0, 0.0, "shadow", flag)
        site.bus.publish(flagged)
        await expect(last).to_have_text(f"· now: near bbbbbbb: no prediction, {flag}")
        await expect(rows.locator("p.flag")).to_have_text(f"near bbbbbbbbbbbb says nothing now, {flag}.")
        await expect(rows.locator("tbody td:last-child")).to_have_text(["2", "3"])


async def test_refused_input_is_counted_and_shown(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        for line in range(1, 8):
            site.bus.publish(DeadLetter(START_NS, f"prices.csv:{line}", "csv", None, "not a price: 'x'", b"x"))
        await expect(page.get_by_test_id("n-letters")).to_have_text("7")
        letters = page.get_by_test_id("letters").locator("li")
        await expect(letters).to_have_text([f"prices.csv:{line}: not a price: 'x'" for line in (7, 6, 5, 4, 3)])


async def test_who_comes_after_the_end_sees_the_recent_course_of_the_features(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        site.bus.publish(status(1, "LIVE"))
        for seq in range(1, 60):
            site.bus.publish(Features(*head(seq), *[float(seq // 8 % 2)] * len(FEATURES)))
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        await drawn(page, "features", "accent")


@pytest.mark.parametrize("site", ["CSV"], indirect=True)
async def test_a_return_over_less_than_a_files_row_is_not_shown(site: Site, visit: Open) -> None:
    """Its candles, of a row each, are as long as ``HORIZON_NS``."""
    known = [30_000.0 if spec.name == "mid" else 227.0 for spec in FEATURES]
    async with site.serving() as port:
        site.bus.publish(status(1, "LIVE"))
        site.bus.publish(candle(1, 1.0, 2.0))
        site.bus.publish(Features(*head(2), *known))
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        await expect(page.locator("[data-feature=momentum_bps] b")).to_have_text("227")
        for seconds in (1, 10, 60):
            value = page.locator(f"[data-feature=return_{seconds}s_bps] b")
            await expect(value).to_have_text("227" if seconds * SECOND_NS >= HORIZON_NS else "–")
        await expect(page.locator("[data-feature=volatility_10s_bps] .name")).to_have_text("volatility 10 rows")


async def test_sixty_updates_a_second_all_arrive_and_are_drawn(site: Site, visit: Open) -> None:
    n, hertz = 300, 60
    async with site.serving() as port:
        site.bus.publish(status(1, "LIVE"))
        opened = await visit(f"http://127.0.0.1:{port}/")
        await counted(opened.page, "rows", 1)
        before, loop = await opened.counters(), asyncio.get_running_loop()
        started = loop.time()
        for seq in range(1, n + 1):
            site.bus.publish(top(seq, 30_000.0 + seq / 4))
            site.bus.publish(features(seq, 30_000.0 + seq / 4))
            await asyncio.sleep(started + seq / hertz - loop.time())
        await counted(opened.page, "rows", before["rows"] + 2 * n)
        after = await opened.counters()
        assert (after["rows"] - before["rows"], after["lost"], after["reconnects"]) == (2 * n, 0, 0)
        assert after["rendered"] > before["rendered"]  # a loaded machine draws fewer frames, never none
        await expect(opened.page.get_by_test_id("ladder").locator(".middle")).to_have_text("mid 30075.00")
        assert await ladder(opened.page) == shown(top(n, 30_075.0))


async def test_a_lost_connection_comes_back_by_itself_and_repeats_nothing(site: Site, visit: Open) -> None:
    link_lost, port = "reconnecting in", own_port()
    async with site.serving(port):
        site.bus.publish(status(1, "LIVE"))
        for seq in range(1, 4):
            site.bus.publish(Trade(*head(seq), 30_000.0 + seq, 0.25, "buy", str(seq)))
        opened = await visit(f"http://127.0.0.1:{port}/")
        link, prices = opened.page.get_by_test_id("link"), opened.page.get_by_test_id("trades").locator(".price")
        await expect(link).to_have_text("connected")
        await expect(prices).to_have_text(["30003", "30002", "30001"])
    await expect(link).to_contain_text(link_lost)
    async with site.serving(port):
        await expect(link).to_have_text("connected")
        site.bus.publish(Trade(*head(4), 30_004.0, 0.25, "sell", "4"))
        await expect(prices).to_have_text(["30004", "30003", "30002", "30001"])
        site.bus.publish(top(5, 30_000.0))
        await expect(opened.page.get_by_test_id("ladder").locator(".middle")).to_have_text("mid 30000.00")
        counters = await opened.counters()
        assert (counters["lost"], counters["reconnects"] > 0) == (0, True)
    # The browser itself reports each attempt that finds no server; nothing else may have been said.
    assert [text for text in opened.problems if "WebSocket connection to" not in text] == []
    opened.problems.clear()


async def test_dark_and_light_follow_the_system_until_the_user_chooses(site: Site, visit: Open) -> None:
    async with site.serving() as port:
        address = f"http://127.0.0.1:{port}/"
        dark, light = [(await visit(address, color_scheme=scheme)).page for scheme in ("dark", "light")]
        dark_color, light_color = "rgb(11, 14, 19)", "rgb(243, 245, 248)"
        for page, one, other in ((dark, dark_color, light_color), (light, light_color, dark_color)):
            await expect(page.locator("body")).to_have_css("background-color", one)
            await page.get_by_role("button", name="Switch between dark and light").click()
            await expect(page.locator("body")).to_have_css("background-color", other)
            await page.reload()
            await expect(page.locator("body")).to_have_css("background-color", other)


async def test_the_simulator_brings_portfolios_and_scores_by_itself(simulator: str, visit: Open) -> None:
    page = (await visit(simulator)).page
    await page.get_by_role("button", name="BTC-USD").click()
    picks = page.get_by_test_id("picks")
    await expect(picks.locator("tr.pick")).to_have_count(5, timeout=2 * PATIENCE_MS)
    for name in ("min variance", "equal weight"):
        await picks.get_by_role("button", name=name, exact=True).click()
        await expect(picks.locator("[aria-pressed=true]")).to_have_text(name)
        # Read at once, for the next second brings other weights; those below half a per cent are not listed.
        total = await picks.evaluate(
            """all => [...all.querySelectorAll('.weight')]
              .reduce((sum, row) => sum + parseFloat(row.lastChild.textContent), 0)"""
        )
        assert total == pytest.approx(100, abs=0.5 * len(LISTINGS))
    for panel, color in (("frontier", "accent"), ("candles", "up"), ("candles", "down"), ("score", "accent")):
        await drawn(page, panel, color)
    scores = page.get_by_test_id("score-table")
    await expect(scores.locator("tbody tr")).to_have_count(3, timeout=2 * PATIENCE_MS)
    await expect(scores.locator("p.verdict")).not_to_have_text("No outcome is known yet.")
    await expect(page.get_by_test_id("last-call")).to_contain_text("now:")
    await expect(page.get_by_test_id("horizons").get_by_role("button")).to_have_text(["+1 s", "+5 s", "+30 s"])
