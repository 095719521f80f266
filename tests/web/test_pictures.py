"""The page of pictures in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from jobs.pictures.drawing import save, sheet
from tests.web.conftest import TEST_S, Open, Site

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(TEST_S)]

KINDS = ("learning-curve", "boundaries", "live-score", "novelty")
SHOWN = "all => all.map(one => [one.querySelector('strong').textContent, one.querySelector('img').alt])"


def draw(folder: Path, name: str, kind: str, height: float = 4.0) -> None:
    save(sheet(height, f"{kind} of {name}", "A subtitle.", "A note."), folder / "pictures" / name / f"{kind}.png")


async def test_pictures_are_shown_by_predictor(site: Site, visit: Open, tmp_path: Path) -> None:
    for name in ("near", "far", "nine.toml"):
        for kind in KINDS if name == "near" else KINDS[1:2]:
            draw(tmp_path, name, kind)
    async with site.serving() as port:
        page = (await visit(f"http://127.0.0.1:{port}/")).page
        await page.get_by_role("link", name="pictures").click()
        await expect(page).to_have_url(f"http://127.0.0.1:{port}/pictures")
        names = page.get_by_test_id("names").get_by_role("button")
        await expect(names).to_have_text(["nine.toml", "far", "near"])
        await expect(names.first).to_have_attribute("aria-pressed", "true")
        figures = page.get_by_test_id("pictures").locator("figure")
        await expect(figures).to_have_count(1)
        await names.nth(2).click()
        await expect(figures).to_have_count(4)
        titles = ["Decision boundaries", "Live score over time", "Learning curve", "novelty"]
        assert await figures.evaluate_all(SHOWN) == [[title, f"{title} of near"] for title in titles]
        await page.wait_for_function("[...document.images].every(one => one.naturalWidth === 1320)")
        await page.reload()
        await expect(figures).to_have_count(4)
        await page.get_by_role("link", name="Live page").click()
        await expect(page.get_by_role("heading", name="Order book")).to_be_visible()


async def test_without_pictures_it_says_how_to_draw_them_and_shows_them_when_they_come(
    site: Site, visit: Open, tmp_path: Path
) -> None:
    async with site.serving() as port:
        page = (await visit(f"http://127.0.0.1:{port}/pictures#no%such")).page
        await expect(page.get_by_test_id("pictures")).to_have_text(re.compile("quicksilver plot CONFIG.toml FROM"))
        draw(tmp_path, "near", "score")
        await expect(page.get_by_test_id("pictures").locator("img")).to_have_count(1)
        first = await page.locator("img").get_attribute("src")
        draw(tmp_path, "near", "score", 5.0)
        await expect(page.locator("img")).not_to_have_attribute("src", first or "")


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_a_phone_need_not_scroll_sideways(site: Site, visit: Open, tmp_path: Path, scheme: str) -> None:
    draw(tmp_path, "near", "score")
    async with site.serving() as port:
        window = {"viewport": {"width": 390, "height": 844}, "color_scheme": scheme}
        page = (await visit(f"http://127.0.0.1:{port}/pictures", **window)).page
        await expect(page.locator("img")).to_be_visible()
        assert await page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [390, 390]
