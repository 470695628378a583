"""The code of the how-to pages: it runs as it is printed, each page's tests included."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from kallback.workers.execution.process_pool import check_importable

ROOT = Path(__file__).parents[3]
PAGES = ("from-celery", "from-temporal", "from-a-loop", "from-spring")
BLOCK = re.compile(r"^```python([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
TITLE = re.compile(r' title="([^"]+)"')
TEST = re.compile(r"^async def (test_\w+)", re.MULTILINE)
BEFORE = "before: "


def blocks(page: str) -> dict[str, str]:
    """The Python code of a page by its title; a block without one would be tested by nothing."""
    found = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text("utf-8"))
    titles = [TITLE.fullmatch(options) for options, _ in found]
    assert None not in titles, f"a block of {page} has no title"
    return {title[1]: text for title, (_, text) in zip(titles, found, strict=True) if title}


TESTS = [
    pytest.param(page, file.removesuffix(".py"), name, id=f"{page}-{name}")
    for page in PAGES
    for file, text in blocks(page).items()
    for name in TEST.findall(text)
]


@pytest.fixture
def files(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The files of the page, in a folder that Python looks into first."""
    files = {
        title: text for title, text in blocks(request.getfixturevalue("page")).items() if not title.startswith(BEFORE)
    }
    names = [title.removesuffix(".py") for title in files]
    for title, text in files.items():
        (tmp_path / title).write_text(text, "utf-8")
    monkeypatch.setenv("KALLBACK_INSECURE", "1")
    monkeypatch.syspath_prepend(tmp_path)
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    yield
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("page", "module", "name"), TESTS)
async def test_a_test_of_a_page_passes(page: str, module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the files of its page, as a reader would run it."""
    del page
    test = getattr(importlib.import_module(module), name)
    await (test(monkeypatch) if inspect.signature(test).parameters else test())


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("page", ["from-celery"])
def test_what_a_page_sets_up_is_made_once_in_each_process(page: str) -> None:
    """And a child process finds the function: it is importable."""
    del page
    warm, tasks = importlib.import_module("warm"), importlib.import_module("tasks")
    assert warm.draw(tasks.Page("a")) == "a in serif"
    assert warm.model() is warm.model()
    check_importable(warm.worker._functions["reports.render"])


class Ingress(BaseHTTPRequestHandler):
    """Answers as Restate's ingress does, and remembers what it was asked."""

    asked: ClassVar[list[tuple[str, str | None, bytes]]] = []

    def do_POST(self) -> None:
        """A call of a handler."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.asked.append((self.path, self.headers["idempotency-key"], body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'"a+b"')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Nothing."""


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("page", ["from-celery"])
def test_a_program_without_asyncio_calls_a_handler(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key that makes a second request harmless."""
    del page
    with HTTPServer(("127.0.0.1", 0), Ingress) as server:
        monkeypatch.setenv("KALLBACK_RESTATE_INGRESS_URL", f"http://127.0.0.1:{server.server_port}")
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert importlib.import_module("caller").call("Reports/make", ["a", "b"], "report-17") == "a+b"
        answering.join()
    assert Ingress.asked == [("/Reports/make", "report-17", b'["a", "b"]')]


@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_a_test_of_its_code(page: str) -> None:
    """Otherwise what it prints would be run by nothing."""
    assert any(title.startswith("test_") for title in blocks(page))


@pytest.mark.parametrize("page", PAGES)
def test_code_that_is_replaced_is_code(page: str) -> None:
    """What stands under 'before' needs packages that are not installed here; it compiles."""
    for title, text in blocks(page).items():
        compile(text, title, "exec")


def test_the_listener_is_that_of_the_example() -> None:
    """Which is built and run by other tests."""
    page = (ROOT / "docs" / "from-spring.md").read_text("utf-8")
    [_, listener] = re.findall(r"```java\n(.*?)```", page, re.DOTALL)
    source = ROOT / "examples" / "workers" / "spring" / "src" / "main" / "java" / "kitchen" / "Kitchen.java"
    assert listener in source.read_text("utf-8")


class FakeProducer:
    """Remembers what is produced, and acknowledges it at the flush, or says why not."""

    def __init__(self, error: str | None = None) -> None:
        self.error = error
        self.produced: list[tuple[object, ...]] = []
        self._waiting: list[object] = []

    def produce(self, topic: str, value: str, *, key: bytes, headers: dict[str, bytes], on_delivery: object) -> None:
        """Like that of confluent-kafka."""
        self.produced.append((topic, value, key, headers))
        self._waiting.append(on_delivery)

    def flush(self) -> None:
        """All that waits is acknowledged, or not."""
        for tell in self._waiting:
            assert callable(tell)
            tell(self.error, None)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("page", ["from-a-loop"])
def test_a_consumer_that_stays_answers_where_the_task_says(page: str) -> None:
    """With the task's token, and not without Kafka's acknowledgement."""
    del page
    answer = importlib.import_module("answer").answer
    task = {"kallback-reply-to": b"kallback.results", "kallback-task-id": b"id", "kallback-token": b"kb1:x"}
    producer = FakeProducer()
    answer(producer, task, "B3")
    headers = {"kallback-token": b"kb1:x", "kallback-status": b"completed"}
    assert producer.produced == [("kallback.results", '"B3"', b"id", headers)]
    with pytest.raises(RuntimeError, match="not acknowledged"):
        answer(FakeProducer("timed out"), task, "B3")
