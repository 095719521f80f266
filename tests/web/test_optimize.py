"""The page of searches in a real browser, over results as a search writes them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import pytest
from playwright.async_api import Page, expect

from api.app import create_app
from api.hub import Hub, SourceInfo
from api.server import serving
from api.store_sqlite import SqliteStore
from jobs.search_folder import Progress, Search, SearchFolder
from jobs.search_shelf import SearchShelf
from jobs.settings import PAGE
from quicksilver.learning.ranking import Row, ranked, row_of
from quicksilver.learning.search import Result, candidates, outcome
from tests.searches import CONFIG, histories
from tests.web.conftest import TEST_S, Open

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(TEST_S)]
COLUMN = "(rows, at) => rows.map(row => row.children[at].firstChild.textContent)"
TYPE, GRANULARITY, PERIODS, CORRECT = 0, 1, 8, 11


@pytest.fixture(scope="module")
def results() -> list[Result]:
    """Sixteen configurations; the last could not be judged."""
    data = histories()
    found = [outcome(one, data, ()) for one in candidates(CONFIG, data, "c")]
    return [*found[:-1], Result(found[-1].candidate, why="5 examples of 2m; at least 200 are needed")]


def rows_of(results: list[Result]) -> list[Row]:
    return ranked(map(row_of, results), len(results))


def write(folder: Path, results: list[Result], total: list[Result], ended: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    search = SearchFolder(folder)
    with search.appending() as lines:
        for one in results[len(search.results()) :]:
            lines.add(one)
    search.describe(Search(CONFIG, ("a.csv",), tuple(one.candidate.id for one in total)))
    failed = sum(bool(one.why) for one in results)
    search.note(Progress(len(results), len(total), failed, 0.0 if ended else 83.4, ended, time.time_ns()))


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[str]:
    store = SqliteStore(tmp_path / "x.sqlite")
    shelf = SearchShelf(tmp_path / "searches")
    app = create_app(Hub(SourceInfo("LIVE", "a test")), store, PAGE, searches=shelf)
    async with serving(app, "127.0.0.1", 0) as port:
        yield f"http://127.0.0.1:{port}"
    store.close()


async def column(page: Page, at: int) -> list[str]:
    found: list[str] = await page.get_by_test_id("table").locator("tbody tr:not(.failed)").evaluate_all(COLUMN, at)
    return found


async def test_without_a_search_it_says_how_one_is_made(tmp_path: Path, visit: Open) -> None:
    async with served(tmp_path) as url:
        page = (await visit(f"{url}/optimize")).page
        await expect(page.get_by_test_id("verdict")).to_contain_text("There is no search yet: quicksilver search")


async def test_a_running_search_is_followed_to_its_end(tmp_path: Path, visit: Open, results: list[Result]) -> None:
    folder = tmp_path / "searches" / "walks"
    write(folder, results[:5], results, ended=False)
    async with served(tmp_path) as url:
        page = (await visit(f"{url}/")).page
        await page.get_by_role("link", name="searches").click()
        await expect(page.get_by_test_id("state")).to_have_text("5 of 16, ETA 1:23")
        await expect(page.get_by_test_id("shown")).to_have_text("5 of 5 shown")
        write(folder, results, results, ended=True)
        await expect(page.get_by_test_id("state")).to_have_text("all 16 done, 1 without scores")
        await expect(page.get_by_test_id("shown")).to_have_text("16 of 16 shown")
        await expect(page.get_by_test_id("verdict")).to_contain_text("None of 15 judged here")
        failed = page.get_by_test_id("table").locator("tr.failed")
        await expect(failed).to_contain_text("5 examples of 2m; at least 200 are needed")


async def test_the_table_is_sorted_by_a_click_and_filtered(tmp_path: Path, visit: Open, results: list[Result]) -> None:
    write(tmp_path / "searches" / "walks", results, results, ended=True)
    rows = [row for row in rows_of(results) if row.percent_correct]
    async with served(tmp_path) as url:
        page = (await visit(f"{url}/optimize#walks")).page
        await expect(page.get_by_test_id("shown")).to_have_text("16 of 16 shown")
        correct = [f"{row.percent_correct.value:.1f}" for row in rows if row.percent_correct]
        assert await column(page, CORRECT) == correct, "the best by Sharpe ratio first"
        assert await column(page, PERIODS) == [f"{row.folds} of {row.of_folds}" for row in rows]
        head = page.get_by_role("columnheader", name="% correct")
        for order, descending in (("descending", True), ("ascending", False)):
            await head.get_by_role("button").click()
            await expect(head).to_have_attribute("aria-sort", order)
            assert await column(page, CORRECT) == sorted(correct, key=float, reverse=descending)
        await expect(page.get_by_test_id("table").locator("tbody tr").last).to_have_class("failed")
        await page.get_by_test_id("filter").fill("lda btc 2m")
        await expect(page.get_by_test_id("shown")).to_have_text("2 of 16 shown")
        assert await column(page, TYPE) == ["lda", "lda"]
        assert await column(page, GRANULARITY) == ["2m", "2m"]


async def test_the_heat_map_shows_what_is_chosen(tmp_path: Path, visit: Open, results: list[Result]) -> None:
    write(tmp_path / "searches" / "walks", results, results, ended=True)
    rows = [row for row in rows_of(results) if row.profit_bps]

    def cell(kind: str, granularity: str) -> str:
        some = [row.profit_bps.value for row in rows if (row.type, row.granularity) == (kind, granularity)]  # type: ignore[union-attr]
        return f"{median(some):.2f}"

    async with served(tmp_path) as url:
        page = (await visit(f"{url}/optimize")).page
        await page.get_by_label("colour").select_option("bps after costs")
        heat = page.get_by_test_id("heat")
        await expect(heat.locator("rect[aria-label]")).to_have_count(4)
        await expect(heat.locator("figure > div, figure > svg").first).to_contain_text("bps after costs")
        texts = await heat.locator("g[aria-label=text] text").all_text_contents()
        assert sorted(texts) == sorted(cell(a, b) for a in ("lda", "naive-bayes") for b in ("1m", "2m"))
        fills = await heat.locator("rect[aria-label]").evaluate_all("all => all.map(one => one.getAttribute('fill'))")
        assert len(set(fills)) == len(set(texts))
        await page.get_by_label("across").select_option("moves")
        await page.get_by_label("down").select_option("instruments")
        await expect(heat.locator("svg").last).to_contain_text("test:ETH-USD")
        await page.get_by_test_id("filter").fill("btc")
        await expect(heat.locator("rect[aria-label]")).to_have_count(2)
        await expect(heat.locator("rect[aria-label^='1, test:BTC-USD\\a median of 4: ']")).to_have_count(1)


async def test_dark_and_light_are_as_on_the_other_page(tmp_path: Path, visit: Open, results: list[Result]) -> None:
    write(tmp_path / "searches" / "walks", results, results, ended=True)
    async with served(tmp_path) as url:
        page = (await visit(f"{url}/", color_scheme="dark")).page
        await page.get_by_role("button", name="Switch between dark and light").click()
        await page.goto(f"{url}/optimize")
        await expect(page.get_by_test_id("shown")).to_have_text("16 of 16 shown")
        await expect(page.locator("body")).to_have_css("background-color", "rgb(243, 245, 248)")
        await page.get_by_role("button", name="Switch between dark and light").click()
        await expect(page.locator("body")).to_have_css("background-color", "rgb(11, 14, 19)")
        await expect(page.get_by_test_id("heat").locator("svg").last).to_have_css("color", "rgb(228, 233, 240)")
