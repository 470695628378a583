"""The pages of the console: pure functions from values to HTML."""

from kallback.cli.console.pages.changed import (
    answer_address,
    error_page,
    gone_answer_page,
    gone_replay_page,
    redirect,
    refusal_page,
    refused_form_page,
    replay_address,
    replay_check_page,
    replayed_page,
    running_replay_page,
    sent_page,
)
from kallback.cli.console.pages.dead_letters import dead_letter_page, dead_letters_page
from kallback.cli.console.pages.many import many_done_page, many_page
from kallback.cli.console.pages.outcomes import outcomes_page
from kallback.cli.console.pages.overview import overview_page
from kallback.cli.console.pages.processes import processes_page, settings_page
from kallback.cli.console.pages.tasks import TaskHistory, ended_task_page, task_page, tasks_page, untaken_task_page

__all__ = [
    "TaskHistory",
    "answer_address",
    "dead_letter_page",
    "dead_letters_page",
    "ended_task_page",
    "error_page",
    "gone_answer_page",
    "gone_replay_page",
    "many_done_page",
    "many_page",
    "outcomes_page",
    "overview_page",
    "processes_page",
    "redirect",
    "refusal_page",
    "refused_form_page",
    "replay_address",
    "replay_check_page",
    "replayed_page",
    "running_replay_page",
    "sent_page",
    "settings_page",
    "task_page",
    "tasks_page",
    "untaken_task_page",
]
