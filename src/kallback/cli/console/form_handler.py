"""Answers the forms of operators: changes to tasks, and replays of dead letters.

A form that did something is answered with the address of a page, so that a reload sends nothing; the same form sent
again leads to the same page. A form that is refused, whatever the reason, is shown again with the sentence and with
what was typed.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, assert_never
from urllib.parse import quote

from kallback.cli.console import pages
from kallback.cli.console.changes import (
    PLAN_FIELD,
    Fields,
    ReplayStep,
    UnusableFormError,
    read_change,
    read_fields,
    read_many,
    read_order,
    read_replay,
)
from kallback.cli.console.kept import KeptItems, new_name
from kallback.cli.console.pages.forms import change_form, many_form, replay_confirmation, replay_form, replay_one_form
from kallback.cli.console.routes import ChangeRoute, FormRoute, ManyChangeRoute, ReplayRoute, TasksRoute
from kallback.cli.console.sender import MakesChanges
from kallback.cli.console.sources import ConsoleSources
from kallback.cli.console.statuses import status_of
from kallback.kafka import DeadLetterId
from kallback.operations import NoKeyError, NotAnswerableError, NoTaskRecordError
from kallback.protocol import KallbackError, RecordTooLargeError
from kallback.settings import named_log
from kallback.web import HttpResponse

_MOST_ANSWERS: Final = 100
"""Pages of some kilobytes."""
_log: Final = named_log("kallback.console")


class FormHandler:
    """Answers the forms of one console that allows changes.

    Args:
        changes: makes the changes.
        secret: of this process; forms have it.
    """

    def __init__(self, sources: ConsoleSources, changes: MakesChanges, secret: str) -> None:
        self._sources: Final = sources
        self._changes: Final = changes
        self._secret: Final = secret
        self._answers: Final = KeptItems[HttpResponse](_MOST_ANSWERS)
        """By the name of the list that was used; of a change to one task, by one of its own."""

    async def choose_many(self, wanted: TasksRoute, now_ms: int) -> HttpResponse:
        """Return the page of what would be done to all tasks that are wanted."""
        plan = await self._changes.many.choose(wanted.filter(now_ms))
        return pages.many_page(plan, wanted.words, self._secret, now_ms)

    def replay_plan(self, name: str) -> HttpResponse:
        """Return the page of a replay that was checked; of one that was sent, the way to its answer."""
        if (check := self._changes.replays.checked(name)) is not None:
            return pages.replay_check_page(check, self._secret)
        if self._answers.find(name) is not None:
            return _to_answer(name)
        return pages.running_replay_page() if self._changes.replays.is_running(name) else pages.gone_replay_page()

    def kept_answer(self, name: str) -> HttpResponse:
        """Return the answer to a form that was sent."""
        return self._answers.find(name) or pages.gone_answer_page()

    async def answer(self, route: FormRoute, body: bytes) -> HttpResponse:
        """Do what a form says, and return the page that follows.

        Raises:
            RefusedRequestError: the form is not one of this process.
        """
        fields = read_fields(body, self._secret)
        if self._answers.find(name := fields.get(PLAN_FIELD, "")) is not None:
            return _to_answer(name)
        try:
            match route:
                case ChangeRoute():
                    return await self._change(route, fields)
                case ReplayRoute():
                    return await self._replay(route, fields)
                case ManyChangeRoute():
                    change = read_many(route.action, fields, route.user)
                    return self._done(change.plan, pages.many_done_page(await self._changes.many.make(change)))
                case _:
                    assert_never(route)
        except KallbackError as error:
            return self._again(route, fields, error)

    async def _change(self, route: ChangeRoute, fields: Fields) -> HttpResponse:
        change = read_change(route.action, fields, route.user)
        task = await self._sources.task(route.task_id)
        if task is None:
            raise NotAnswerableError("no handler waits for this task any more: nothing was sent")
        await self._changes.make(task, change)
        _log.info("changed by hand", action=route.action, task=task.task_id, by=change.operator.by)
        return self._done(new_name(), pages.sent_page(task.task_id))

    async def _replay(self, route: ReplayRoute, fields: Fields) -> HttpResponse:
        replays = self._changes.replays
        if route.step is ReplayStep.CHECK:
            return pages.redirect(pages.replay_address((await replays.check(read_replay(fields, route.user))).name))
        order = read_order(fields, route.user)
        done, by = await replays.send(order), order.operator
        ended = {} if done.error is None else {"error": done.error}
        _log.info("replayed by hand", by=by.by, why=by.why, result=done.sentences[0], **ended)
        return self._done(order.plan, pages.replayed_page(done))

    def _done(self, name: str, answer: HttpResponse) -> HttpResponse:
        """Keep the answer to a form, and return the way to it."""
        self._answers.keep(name, answer)
        return _to_answer(name)

    def _again(self, route: FormRoute, fields: Fields, error: KallbackError) -> HttpResponse:
        """Return the form again; what is not known to be sent is not said to be refused."""
        status = _status(error)
        title = "This was refused" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "This did not succeed"
        match route:
            case ChangeRoute():
                form, back = change_form(route.task_id, route.action, self._secret, fields), f"/tasks/{route.task_id}"
            case ManyChangeRoute():
                form, back = many_form(route.action, self._secret, fields), "/tasks"
            case ReplayRoute():
                letter = DeadLetterId.parse(fields.get("id", ""))
                back = "/dead-letters" if letter is None else f"/dead-letters/{letter}"
                if route.step is ReplayStep.SEND:
                    form = replay_confirmation(fields, self._secret)
                elif letter is not None:
                    form = replay_one_form(str(letter), self._secret, fields)
                else:
                    form = replay_form(self._secret, fields)
            case _:
                assert_never(route)
        return pages.refused_form_page(title, str(error), status, form, quote(back))


def _to_answer(name: str) -> HttpResponse:
    return pages.redirect(pages.answer_address(name))


def _status(error: KallbackError) -> HTTPStatus:
    match error:
        case UnusableFormError():
            return HTTPStatus.BAD_REQUEST
        case NotAnswerableError() | NoTaskRecordError() | RecordTooLargeError() | NoKeyError():
            return HTTPStatus.CONFLICT
        case _:
            return status_of(error)
