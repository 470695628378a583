"""The console in Chromium: that pages work, and that hostile text does nothing in them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.cli.console.environment import (
    NOW_MS,
    FakeChanges,
    FakeMany,
    FakeSources,
    dead_letter,
    headers_of,
    outcome,
    pending,
    running,
    serving,
)

from kallback.cli.console.traffic import TrafficSample
from kallback.kafka import Record
from kallback.operations import NotAnswerableError

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
PATHS = ["", "tasks", "tasks/task000000000000", "dead-letters", "dead-letters/0:7", "processes", "settings"]
MARKUP = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture
async def browser() -> AsyncGenerator[Any]:
    """One without a window."""
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Any) -> Any:
    """A page that collects what the browser complains of."""
    page = await browser.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    return page


async def test_a_task_is_found_by_its_id_with_the_keyboard(page: Any) -> None:
    """From the overview, without a mouse."""
    task = pending(progress=running(b'{"percent":40}'))
    sources = FakeSources([task], {task.position: Record("tasks", 0, 0, 0, None, b'{"dish":"soup"}', headers_of(task))})
    async with serving(sources) as client:
        await page.goto(str(client.base_url))
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        await page.get_by_role("link", name="Pending tasks").press("Enter")
        await page.get_by_label("Task id").fill(task.task_id)
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name=f"Task {task.task_id}").wait_for()
        assert await page.locator("pre").all_inner_texts() == ['{"percent":40}', '{"dish":"soup"}']
    assert page.complaints == []


async def test_hostile_text_does_nothing(page: Any) -> None:
    """As request, details, reason and detail; a megabyte of it is cut."""
    task = pending(progress=running(MARKUP.encode()))
    value = MARKUP.encode() * 12_000
    record = Record("tasks", 0, 0, 0, None, value, (*headers_of(task), ("x", MARKUP.encode())))
    sources = FakeSources([task], {task.position: record}, [dead_letter(MARKUP, value, detail=MARKUP)])
    async with serving(sources) as client:
        for path in ("", f"tasks/{task.task_id}", "dead-letters", "dead-letters/0:7"):
            await page.goto(str(client.base_url.join(path)))
            assert await page.locator("img").count() == 0
            assert await page.title() != "taken"
    assert page.complaints == []


@pytest.mark.parametrize("action", ["Complete", "Fail", "Retry", "Cancel"])
async def test_a_form_is_accepted_from_the_page(page: Any, action: str) -> None:
    """With what a browser tells of its origin."""
    task, changes = pending(), FakeChanges()
    async with serving(FakeSources([task]), changes=changes) as client:
        await page.goto(str(client.base_url.join(f"tasks/{task.task_id}")))
        form = page.get_by_role("form", name=action)
        await form.get_by_label("Why").fill("it hangs")
        if action == "Fail":
            await form.get_by_label("Detail").fill("no basil")
        if action == "Complete":
            await form.get_by_label("Result").fill('{"seconds": 90}')
        await form.get_by_role("button").click()
        await page.get_by_role("heading", name="Sent").wait_for()
    assert [str(change.action) for _, change in changes.made] == [action.lower()]
    assert page.complaints == []


async def test_all_that_match_are_cancelled_from_the_list(page: Any) -> None:
    """The list leads to a page that counts them and shows the first ones; the next one says what became of them."""
    tasks = [*map(pending, range(3)), pending(3, "shop.bake")]
    many = FakeMany(tasks)
    async with serving(FakeSources(tasks), changes=FakeChanges(many)) as client:
        await page.goto(str(client.base_url.join("tasks")))
        await page.get_by_label("Type").fill("shop.pack")
        await page.get_by_role("button", name="Show").click()
        await page.get_by_role("link", name="Fail or cancel all that match").click()
        await page.get_by_text("3 pending tasks (3 shop.pack).").wait_for()
        assert await page.locator("tbody tr").count() == 3
        form = page.get_by_role("form", name="Cancel all")
        await form.get_by_label("Why").fill("power cut")
        await form.get_by_role("button").click()
        await page.get_by_text("Cancelled 1 of 4 tasks.").wait_for()
        assert await page.locator("tbody tr").count() == 3
        await page.reload()
        await page.get_by_text("Cancelled 1 of 4 tasks.").wait_for()
    [change] = many.made
    assert (change.action, change.operator.why) == ("cancel", "power cut")
    assert page.complaints == []


async def test_dead_letters_are_replayed_after_a_check(page: Any) -> None:
    """The check says what would be sent; sending needs a reason."""
    changes = FakeChanges()
    async with serving(FakeSources(dead=[dead_letter()]), changes=changes) as client:
        await page.goto(str(client.base_url.join("dead-letters")))
        form = page.get_by_role("form", name="Check a replay")
        await form.get_by_label("Reason").fill("late")
        await form.get_by_label("Per second").fill("5")
        await form.get_by_role("button").click()
        await page.get_by_text("1 dead letter would be sent.").wait_for()
        await page.get_by_label("Why").fill("the key is back")
        await page.get_by_role("button", name="Replay").click()
        await page.get_by_role("heading", name="Replayed").wait_for()
        await page.reload()
        await page.get_by_role("heading", name="Replayed").wait_for()
        await page.go_back()
        await page.reload()  # the page of the check
        await page.get_by_role("heading", name="Replayed").wait_for()
    [checked], [sent] = changes.replays.checks, changes.replays.sent
    assert (checked.reason, checked.per_second, sent.operator.why) == ("late", 5, "the key is back")
    assert page.complaints == []


async def test_a_refused_change_is_a_sentence_with_a_way_back(page: Any) -> None:
    """The task ended while the operator wrote."""
    task = pending()
    sources, changes = FakeSources([task]), FakeChanges()
    async with serving(sources, changes=changes) as client:
        await page.goto(str(client.base_url.join(f"tasks/{task.task_id}")))
        sources.pending.clear()
        form = page.get_by_role("form", name="Retry")
        await form.get_by_label("Why").fill("it hangs")
        await form.get_by_role("button").click()
        assert "no handler waits for this task any more" in await page.get_by_role("status").inner_text()
        await page.get_by_role("link", name="Back").click()
        await page.get_by_role("heading", name="No pending task").wait_for()
    assert changes.made == []


async def test_a_refused_form_keeps_what_was_typed(page: Any) -> None:
    """It is corrected in its place and sent again."""
    task, changes = pending(), FakeChanges(error=NotAnswerableError(f"the result does not fit {MARKUP}"))
    async with serving(FakeSources([task]), changes=changes) as client:
        await page.goto(str(client.base_url.join(f"tasks/{task.task_id}")))
        form = page.get_by_role("form", name="Complete")
        await form.get_by_label("Result, as JSON").fill(MARKUP)
        await form.get_by_label("Why").fill('the "oven" broke')
        await form.get_by_role("button").click()
        assert "the result does not fit" in await page.get_by_role("status").inner_text()
        assert await form.get_by_label("Result, as JSON").input_value() == MARKUP
        assert await form.get_by_label("Why").input_value() == 'the "oven" broke'
        changes.error = None
        await form.get_by_label("Result, as JSON").fill("{}")
        await form.get_by_role("button").click()
        await page.get_by_role("heading", name="Sent").wait_for()
    [(_, change)] = changes.made
    assert (change.value, change.operator.why) == (b"{}", 'the "oven" broke')
    assert [each for each in page.complaints if "409" not in each] == []


async def test_an_empty_replay_form_is_refused(page: Any) -> None:
    """It does not mean all dead letters; a box does."""
    changes = FakeChanges()
    async with serving(FakeSources(dead=[dead_letter()]), changes=changes) as client:
        await page.goto(str(client.base_url.join("dead-letters")))
        form = page.get_by_role("form", name="Check a replay")
        await form.get_by_label("At most").fill("7")
        await form.get_by_role("button").click()
        assert "nothing is chosen" in await page.get_by_role("status").inner_text()
        assert await form.get_by_label("At most").input_value() == "7"
        await form.get_by_label("All of them").check()
        await form.get_by_role("button").click()
        await page.get_by_text("1 dead letter would be sent.").wait_for()
    assert [each.limit for each in changes.replays.checks] == [7]


async def test_outcomes_are_filtered_on_their_page(page: Any) -> None:
    """By hand only."""
    results = [outcome(), outcome(by="ann", why=MARKUP)]
    async with serving(FakeSources(results=results)) as client:
        await page.goto(str(client.base_url.join("outcomes")))
        assert await page.locator("tbody tr").count() == 2
        await page.get_by_label("By hand").check()
        await page.get_by_role("button", name="Show").click()
        await playwright.expect(page.locator("tbody tr")).to_have_count(1)
        assert await page.locator("img").count() == 0
    assert page.complaints == []


async def test_a_form_of_another_site_changes_nothing(page: Any) -> None:
    """Although the browser sends it."""
    task, changes = pending(), FakeChanges()
    async with serving(FakeSources([task]), changes=changes) as client:
        address = client.base_url.join(f"tasks/{task.task_id}/cancel")
        await page.set_content(f'<form method="post" action="{address}"><button>Win</button></form>')
        async with page.expect_response("**/cancel") as answer:
            await page.get_by_role("button").click()
        assert (await answer.value).status == 403
    assert changes.made == []


async def test_a_page_is_read_anew_while_it_is_shown(page: Any) -> None:
    """A task that has ended leaves the list, without a reload."""
    sources = FakeSources([pending(0), pending(1)])
    async with serving(sources, fresh_for=0.0) as client:
        await page.goto(str(client.base_url.join("tasks")))
        assert await page.locator("tbody tr").count() == 2
        sources.pending.pop()
        await playwright.expect(page.locator("tbody tr")).to_have_count(1, timeout=60_000)
    assert page.complaints == []


async def test_the_page_of_a_task_follows_its_life_to_the_end(page: Any) -> None:
    """With forms, too: what has ended is not shown as if it ran, and its outcome is."""
    task = pending(progress=running(b"40"))
    sources = FakeSources([task])
    async with serving(sources, changes=FakeChanges(), fresh_for=0.0) as client:
        await page.goto(str(client.base_url.join(f"tasks/{task.task_id}")))
        sources.pending[:] = [replace(task, progress=running(b"50"))]
        await playwright.expect(page.locator("pre").first).to_have_text("50", timeout=60_000)
        sources.pending.clear()
        sources.results = [outcome()]
        await page.get_by_role("heading", name="No pending task").wait_for(timeout=60_000)
        await page.get_by_text("Outcomes of its results").wait_for()
    assert [each for each in page.complaints if "404" not in each] == []


async def test_what_is_typed_and_where_a_table_is_scrolled_to_stay(page: Any) -> None:
    """A page is not read anew while a field of it differs; and a phone's table does not jump back."""
    sources = FakeSources([pending(0), pending(1)])
    async with serving(sources, fresh_for=0.0) as client:
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.goto(str(client.base_url.join("tasks")))
        await page.locator(".scroll").evaluate("each => each.scrollTo(90, 0)")
        await page.get_by_label("Handler").fill("Shop")
        await page.evaluate("document.activeElement.blur()")
        sources.pending.pop()
        await page.evaluate("refresh()")
        assert (await page.locator("tbody tr").count(), await page.get_by_label("Handler").input_value()) == (2, "Shop")
        await page.get_by_label("Handler").fill("")
        await page.evaluate("document.activeElement.blur()")
        await page.evaluate("refresh()")
        assert await page.locator("tbody tr").count() == 1
        assert await page.locator(".scroll").evaluate("each => each.scrollLeft") == 90
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path",
    ["", "tasks", "tasks/all", "tasks/task000000000000", "outcomes", "dead-letters", "dead-letters/0:7", "settings"],
)
async def test_pages_fit_a_phone(page: Any, path: str, scheme: str) -> None:
    """Nothing but tables and payloads is wider than the screen, in light and dark."""
    task = pending(task_type="a.very.long.type.name." + "x" * 100)
    samples = [TrafficSample(NOW_MS - 30_000, 100, 0, 7), TrafficSample(NOW_MS - 15_000, 130, 0, 12)]
    sources = FakeSources([task], dead=[dead_letter()], results=[outcome(why="x" * 300)])
    async with serving(sources, changes=FakeChanges(FakeMany([task])), samples=samples) as client:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.goto(str(client.base_url.join(path)))
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        background = await page.evaluate("getComputedStyle(document.documentElement).colorScheme")
    assert background == "light dark"
