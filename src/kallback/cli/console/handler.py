"""Answers the requests of a console. A page is read when it is asked for, and an error of a server is a page, too."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from importlib import resources
from typing import Final, assert_never

from kallback.cli.console import pages
from kallback.cli.console.access import check_access, check_opened_from, user_of
from kallback.cli.console.form_handler import FormHandler
from kallback.cli.console.fresh import FreshValue
from kallback.cli.console.options import ConsoleOptions
from kallback.cli.console.outcomes import counting_outcome
from kallback.cli.console.overview import OverviewReader
from kallback.cli.console.pages.forms import change_forms
from kallback.cli.console.pages.layout import SECURITY
from kallback.cli.console.routes import (
    STATIC,
    AnswerRoute,
    DeadLetterRoute,
    DeadLettersRoute,
    FormRoute,
    KeptRoute,
    ManyRoute,
    OtherRoute,
    OutcomesRoute,
    OverviewRoute,
    PageRoute,
    ProcessesRoute,
    ReplayPlanRoute,
    Route,
    SettingsRoute,
    StaticRoute,
    TaskRoute,
    TasksRoute,
    change_of,
    route_of,
)
from kallback.cli.console.sender import MakesChanges
from kallback.cli.console.shown_settings import shown_settings
from kallback.cli.console.sources import ConsoleSources, LastLetters
from kallback.cli.console.statuses import status_of
from kallback.cli.console.task_lists import TaskLists
from kallback.cli.console.traffic import TrafficSample
from kallback.kafka import DeadLetterId, Position, Record
from kallback.lifecycle import LogThrottle
from kallback.operations import (
    InvalidCursorError,
    PendingTask,
    concerns,
    find_task_record,
    missing_key,
    takes_attempts_back,
)
from kallback.protocol import KallbackError, OutcomeRecord
from kallback.settings import Settings, named_log
from kallback.web import HttpHead, HttpResponse, RefusedRequestError

_log: Final = named_log("kallback.console")


class ConsoleHandler:
    """Answers the requests of one console.

    Args:
        now: seconds since the epoch.
        changes: makes the changes of operators; None: the console is read-only.
        samples: returns those of the last hour, for the charts.
    """

    def __init__(
        self,
        sources: ConsoleSources,
        settings: Settings,
        options: ConsoleOptions,
        now: Callable[[], float] = time.time,
        changes: MakesChanges | None = None,
        samples: Callable[[], Sequence[TrafficSample]] = tuple,
    ) -> None:
        self._samples: Final = samples
        self._throttle: Final = LogThrottle(_log)
        self._secret: Final = secrets.token_urlsafe(32)
        self._forms: Final = None if changes is None else FormHandler(sources, changes, self._secret)
        self._sources: Final = sources
        self._settings: Final = settings
        self._options: Final = options
        self._now: Final = now
        self._lists: Final = TaskLists(sources, options.fresh_for, now)
        self._letters: Final = FreshValue(sources.letters, options.fresh_for, now)
        self._processes: Final = FreshValue(sources.processes, options.fresh_for, now)
        self._outcomes: Final = FreshValue(sources.outcomes, options.fresh_for, now)
        reader = OverviewReader(sources, self._letters.get, self._outcomes.get, options.max_tasks, now)
        self._overview: Final = FreshValue(
            reader.read, options.fresh_for, now, has_failed=lambda overview: bool(overview.failures)
        )

    def admit(self, head: HttpHead, peer: str) -> Route | HttpResponse:
        """Decide on a request by its head; raises `RefusedRequestError`."""
        try:
            check_access(head, self._options)
        except RefusedRequestError as error:
            if error.response.status is HTTPStatus.UNAUTHORIZED and head.values("authorization"):
                self._throttle.warning("a login is refused", kind=error.response.outcome, client=peer)
            raise
        if head.method == "POST":
            return change_of(head.target, user_of(head, self._options))
        route = route_of(head.target)
        if not isinstance(route, StaticRoute):
            check_opened_from(head, only_here=isinstance(route, ManyRoute))
        return route

    def refuse(self, request: Route | None, response: HttpResponse) -> HttpResponse:  # noqa: ARG002 - all are pages
        """Return a refusal as a page: a browser shows it."""
        return pages.refusal_page(response)

    async def answer(self, request: Route, body: bytes) -> HttpResponse:
        """Return a page; what a server does not answer is a page that says so."""
        try:
            if not isinstance(request, FormRoute):
                return await self._page(request)
            if self._forms is None:
                raise AssertionError("a console without changes admits none")
            return await self._change(self._forms, request, body)
        except InvalidCursorError as error:
            return pages.error_page("No such page", str(error), HTTPStatus.BAD_REQUEST, "/tasks", back="/tasks")
        except KallbackError as error:
            return pages.error_page("This page cannot be read", str(error), status_of(error))

    def count(self, request: Route | None, response: HttpResponse) -> None:
        """Nothing is counted."""

    async def _change(self, forms: FormHandler, route: FormRoute, body: bytes) -> HttpResponse:
        try:
            return await forms.answer(route, body)
        finally:
            self._lists.changed()
            for value in (self._outcomes, self._letters, self._overview):  # what came of it is looked for next
                value.forget()

    async def _page(self, route: PageRoute) -> HttpResponse:  # noqa: PLR0911 - one for each page
        now_ms = int(self._now() * 1000)
        match route:
            case OverviewRoute():
                return pages.overview_page(await self._overview.get(), self._samples(), now_ms)
            case TasksRoute():
                return pages.tasks_page(route, await self._lists.get(route), now_ms, changeable=self._forms is not None)
            case TaskRoute():
                return await self._task(route.task_id, now_ms)
            case OutcomesRoute():
                return pages.outcomes_page(route, await self._outcomes.get())
            case DeadLettersRoute():
                return pages.dead_letters_page(await self._letters.get(), now_ms, self._form_secret)
            case DeadLetterRoute():
                return await self._letter(route.letter)
            case _:
                return await self._other_page(route, now_ms)

    async def _other_page(self, route: OtherRoute, now_ms: int) -> HttpResponse:
        match route:
            case ManyRoute():
                return await self._many(route, now_ms)
            case ReplayPlanRoute() | AnswerRoute():
                return self._kept(route)
            case ProcessesRoute():
                return pages.processes_page(await self._processes.get())
            case SettingsRoute():
                return pages.settings_page(shown_settings(self._settings))
            case StaticRoute():
                return _static(route.name)
            case _:
                assert_never(route)

    def _kept(self, route: KeptRoute) -> HttpResponse:
        if isinstance(route, AnswerRoute):
            return pages.gone_answer_page() if self._forms is None else self._forms.kept_answer(route.name)
        return pages.gone_replay_page() if self._forms is None else self._forms.replay_plan(route.name)

    async def _many(self, route: ManyRoute, now_ms: int) -> HttpResponse:
        if self._forms is None:
            sentence = "The console is read-only: use kallback tasks cancel --all, or start it with --allow-changes."
            return pages.error_page("This is not possible", sentence, HTTPStatus.NOT_FOUND, "/tasks", back="/tasks")
        return await self._forms.choose_many(route.wanted, now_ms)

    async def _letter(self, name: DeadLetterId) -> HttpResponse:
        letter = await self._sources.letter(name)
        if letter is None:
            sentence = "There is no such dead letter, or it is not kept any more."
            return pages.error_page("No dead letter", sentence, HTTPStatus.NOT_FOUND, "/dead-letters")
        replay = (await self._letters.get()).replays.get(name)
        return pages.dead_letter_page(letter, replay, self._form_secret, mask=self._options.mask_payloads)

    async def _task(self, task_id: str, now_ms: int) -> HttpResponse:
        (task, record), history = await asyncio.gather(self._pending(task_id), self._history(task_id))
        admin_url, forms = self._settings.restate.admin_url, None
        if task is None:
            untaken = await self._sources.untaken_task(task_id)
            if untaken is not None:
                mask = self._options.mask_payloads
                return pages.untaken_task_page(untaken, history, admin_url, now_ms, mask=mask)
            absent = await self._sources.absent_task(task_id)
            return pages.ended_task_page(absent, history, now_ms, mask=self._options.mask_payloads)
        if self._forms is not None:
            checked = {each.name for each in self._options.types}
            repeatable = takes_attempts_back(None if isinstance(record, str) else record)
            forms = change_forms(task, self._secret, checked, missing_key(task, self._settings), repeatable=repeatable)
        return pages.task_page(task, record, history, admin_url, now_ms, mask=self._options.mask_payloads, forms=forms)

    async def _pending(self, task_id: str) -> tuple[PendingTask | None, Record | str]:
        """Return a task that a handler waits for, and its record, or why it cannot be shown."""
        task = await self._sources.task(task_id)
        return task, "" if task is None else await find_task_record(self._sources.record, task)

    async def _outcomes_of(self, task_id: str) -> list[OutcomeRecord]:
        with suppress(KallbackError):
            return [each for each in await self._outcomes.get() if each.task_id == task_id]
        return []

    async def _letters_of(self, task_id: str) -> LastLetters:
        with suppress(KallbackError):
            last = await self._letters.get()
            return replace(last, letters=[each for each in last.letters if concerns(each, task_id)])
        return LastLetters()

    async def _history(self, task_id: str) -> pages.TaskHistory:
        """Return what the last outcomes and dead letters say of a task; where they cannot be read, nothing."""
        outcomes, letters = await asyncio.gather(self._outcomes_of(task_id), self._letters_of(task_id))
        result = None
        with suppress(KallbackError):
            result = await self._result(outcomes)
        return pages.TaskHistory(outcomes, letters, result)

    async def _result(self, outcomes: list[OutcomeRecord]) -> Record | None:
        """Return the record of the result that counted; other topics than those of results are never read."""
        counted = counting_outcome(outcomes)
        if counted is None or counted.source.topic not in self._settings.topics.all_results:
            return None
        source = counted.source
        record = await self._sources.record(Position(source.topic, source.partition, source.offset))
        is_own = record is not None and record.timestamp_ms == source.timestamp_ms  # the topic may be another one
        return record if is_own else None

    @property
    def _form_secret(self) -> str | None:
        """What forms need; None: there are none."""
        return None if self._forms is None else self._secret


def _static(name: str) -> HttpResponse:
    content = resources.files("kallback.cli.console").joinpath("static", name).read_bytes()
    return HttpResponse("static", HTTPStatus.OK, content, STATIC[name], SECURITY)
