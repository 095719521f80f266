"""The page's portfolios in a real browser, over a hub that is fed by hand."""

import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.async_api import Page, expect

from quicksilver.records import Frontier
from tests.frontiers import ASSETS, SECOND_NS, frontier, waiting
from tests.web.conftest import TEST_S, Open, Site, Visit

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(TEST_S)]

LIVE = pytest.mark.parametrize("site", ["LIVE"], indirect=True)
DRAWN = """id => {
  const seen = new Set();
  for (const canvas of document.querySelectorAll(`[data-testid=${id}] canvas, canvas[data-testid=${id}]`)) {
    if (!canvas.width || !canvas.height) continue;
    const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height });
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 60) seen.add(String(data.slice(i, i + 4)));
  }
  return seen.size >= 5;
}"""  # an area or a cell for each of five assets, in as many colours


def publish(site: Site, *records: Frontier) -> None:
    for record in records:
        site.bus.publish(record)


@asynccontextmanager
async def opened(site: Site, visit: Open, *records: Frontier) -> AsyncIterator[Visit]:
    """Serve these frontiers, and give the page that shows them."""
    async with site.serving() as port:
        publish(site, *records)
        yield await visit(f"http://127.0.0.1:{port}")


async def along(page: Page) -> dict[str, float]:
    """Return the weights of the point of the frontier that is looked at."""
    rows = await page.get_by_test_id("along-weights").locator(".weight").all_inner_texts()
    return {row.split("\n")[0]: float(row.split("\n")[1].removesuffix(" %")) / 100 for row in rows}


def shown(weights: list[float], assets: list[str]) -> dict[str, Any]:
    return {
        asset: pytest.approx(weight, abs=6e-4) for asset, weight in zip(assets, weights, strict=True) if weight >= 0.005
    }


@LIVE
async def test_picks_are_told_with_their_doubt_and_costs(site: Site, visit: Open) -> None:
    record = frontier(1, time.time_ns())
    noted = replace(
        record.picks["max_sharpe"], note="what is held stays: 1.00% to trade is less than 2.00%", wanted=record.held
    )
    record = replace(record, picks={**record.picks, "max_sharpe": noted})
    async with opened(site, visit, record) as visited:
        page = visited.page
        picks = page.get_by_test_id("picks")
        row = picks.locator("tr.pick").nth(1).locator("td")
        await expect(row.first).to_have_text("max Sharpe")
        pick = record.picks["max_sharpe"]
        assert pick.turnover is not None
        await expect(row.last).to_have_text(f"{pick.turnover:.0%}".replace("%", " %"))
        cells = await row.all_inner_texts()
        told = [pick.mean_bps, pick.risk_bps, pick.sharpe, pick.net_sharpe, pick.cost_bps]
        assert [float(cells[i]) for i in (1, 2, 3, 5, 6)] == [pytest.approx(one, rel=6e-3) for one in told]
        interval = [float(one) for one in cells[4].split("…")]
        assert interval == [pytest.approx(pick.sharpe_low, rel=6e-2), pytest.approx(pick.sharpe_high, rel=6e-2)]
        await expect(picks.locator("th")).to_have_text(
            ["pick", "mean bps", "risk bps", "Sharpe", "95 %", "net", "cost bps", "turnover"]
        )
        await expect(picks.locator("th").nth(6)).to_have_attribute(
            "title", "bps of the money, at once: fee 16, half of the spread of 2, impact of all the money 12"
        )
        await expect(picks.locator(".pick-note")).to_have_text(noted.note)  # and no reason of the page's own
        await picks.get_by_role("button", name="equal weight").press("Enter")
        await expect(picks.locator(".weight")).to_have_count(len(ASSETS))
        await expect(picks.locator(".weight").first).to_contain_text("20.0 %")
        await expect(page.get_by_test_id("frontier-absent")).to_have_text(
            "Not in it now: DOGE-USD (no price for 90 s)."
        )


@LIVE
async def test_a_drag_along_the_frontier_shows_the_weights_there(site: Site, visit: Open) -> None:
    record = frontier(1, time.time_ns())
    async with opened(site, visit, record) as visited:
        page = visited.page
        slider = page.get_by_test_id("along")
        await expect(slider).to_have_attribute("max", str(len(record.frontier) - 1))  # it is drawn
        last = len(record.frontier) - 1
        for key, at in (("End", last), ("Home", 0), ("ArrowRight", 1)):
            await slider.press(key)
            await expect(slider).to_have_value(str(at))
            assert await along(page) == shown(record.frontier_weights[at], ASSETS)
        chart = page.get_by_test_id("frontier").locator(".u-over")
        box = await chart.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + 2, box["y"] + 20)
        await page.mouse.down()
        await expect(slider).to_have_value(re.compile("^[0-3]$"))  # the first points lie almost above one another
        await page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
        await page.mouse.up()
        await expect(slider).to_have_value(str(last))
        publish(site, frontier(2, time.time_ns()))  # it stays where one has put it
        await expect(page.locator("#frontier-note")).to_contain_text("from 32 returns")
        await expect(slider).to_have_value(str(last))


@LIVE
async def test_weights_over_time_come_from_the_store_and_go_on_live(site: Site, visit: Open) -> None:
    now = time.time_ns()
    before = [frontier(seq, now - (60 - seq) * SECOND_NS) for seq in range(40, 60)]
    site.store.write(before)
    site.store.flush()
    last = frontier(60, now)
    async with opened(site, visit, last) as visited:
        page = visited.page
        moves = {
            asset: last.picks["max_sharpe"].weights[i] - before[0].picks["max_sharpe"].weights[i]
            for i, asset in enumerate(ASSETS)
        }
        most = max(moves, key=lambda asset: abs(moves[asset]))
        sign = "+" if moves[most] > 0 else "−"
        said = rf"^Since \d\d:\d\d:\d\d: {most} {re.escape(sign)}{abs(moves[most]) * 100:.1f} %.* Why: \w"
        await expect(page.get_by_test_id("changed")).to_have_text(re.compile(said))
        for part in ("weights", "correlation"):
            await page.wait_for_function(DRAWN, arg=part)
        named = frontier(61, now + SECOND_NS, assets=[*ASSETS[1:], "TRX-USD"])
        publish(site, named)
        await expect(page.get_by_test_id("changed")).to_contain_text("Why: TRX-USD joined, ADA-USD left.")


@LIVE
async def test_correlations_are_told_under_the_keys(site: Site, visit: Open) -> None:
    record = frontier(1, time.time_ns())
    async with opened(site, visit, record) as visited:
        page = visited.page
        await page.wait_for_function(DRAWN, arg="correlation")
        chart, told = page.get_by_test_id("correlation"), page.get_by_test_id("correlation-cell")
        await chart.press("ArrowRight")
        await expect(told).to_have_text("ADA-USD with ADA-USD: 1.00")
        await chart.press("ArrowRight")
        await chart.press("ArrowDown")
        await chart.press("ArrowDown")
        await expect(told).to_have_text(f"ETH-USD with BTC-USD: {record.correlation[2][1]:.2f}")


@LIVE
async def test_a_universe_that_waits_says_why_and_how_old_its_last_frontier_is(site: Site, visit: Open) -> None:
    now = time.time_ns()
    good = frontier(5, now - 130 * SECOND_NS)
    quiet = waiting(replace(good, universe="quiet"), now, "XRP-USD has had no price for 130 s")
    async with opened(site, visit, frontier(1, now), quiet) as visited:
        page = visited.page
        state = page.get_by_test_id("frontier-state")
        publish(site, frontier(2, time.time_ns()))  # the first is told to be old if the page took long to open
        await expect(page.locator("#frontier-note")).to_contain_text("from 32 returns")
        await expect(state).to_be_hidden()
        universes = page.get_by_test_id("universes")
        await expect(universes.get_by_role("button")).to_have_text(["majors", "quiet"])
        await universes.get_by_role("button", name="quiet").click()
        said = "WAITING: XRP-USD has had no price for 130 s; the last good frontier is 2 min old"
        await expect(state).to_have_text(said)
        await expect(page.get_by_test_id("picks").locator("tr.pick")).to_have_count(3)
        publish(site, replace(frontier(9, time.time_ns()), universe="quiet"))
        await expect(state).to_be_hidden()
        publish(
            site, Frontier("new", 1, now, now, SECOND_NS, [], 0, 0, [], {}, [], [], [], "WAITING", "1 asset, needs 2")
        )
        await universes.get_by_role("button", name="new").click()
        await expect(state).to_have_text("WAITING: 1 asset, needs 2")
        await expect(page.get_by_test_id("picks")).to_be_hidden()
        await universes.get_by_role("button", name="majors").click()
        await expect(page.get_by_test_id("picks")).to_be_visible()
        assert visited.problems == []


async def test_records_of_before_are_shown_as_far_as_they_tell(site: Site, visit: Open) -> None:
    """Picks without costs and doubt; and of a tape the time, for its data are as old as they are."""
    full = frontier(1, 1_700_000_000 * SECOND_NS)
    old = Frontier(**{name: getattr(full, name) for name in Frontier.__struct_fields__[:13]})
    bare = {name: {key: getattr(pick, key) for key in pick.__struct_fields__[:4]} for name, pick in old.picks.items()}
    row = json.dumps({name: getattr(old, name) for name in Frontier.__struct_fields__[:13]} | {"picks": bare}).encode()
    async with site.serving() as port:
        site.hub.on_row("frontiers", "majors", old, row)
        page = (await visit(f"http://127.0.0.1:{port}")).page
        cells = page.get_by_test_id("picks").locator("tr.pick").first.locator("td")
        await expect(cells).to_have_count(8)
        await expect(page.get_by_test_id("frontier-state")).to_be_hidden()
        publish(
            site, waiting(replace(full, ts_event_ns=1_700_000_001 * SECOND_NS), 1_700_000_060 * SECOND_NS, "no prices")
        )
        said = "WAITING: no prices; the last good frontier is from 2023-11-14 22:13:20"
        await expect(page.get_by_test_id("frontier-state")).to_have_text(said)


@LIVE
async def test_a_narrow_screen_needs_no_sideways_scrolling(site: Site, visit: Open) -> None:
    async with opened(site, visit, frontier(1, time.time_ns(), assets=[f"C{i:02}-USD" for i in range(30)])) as visited:
        page = visited.page
        await page.set_viewport_size({"width": 400, "height": 800})
        await page.wait_for_function(DRAWN, arg="correlation")
        await page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")  # charts follow the width
