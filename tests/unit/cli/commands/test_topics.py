"""`kallback topics`: which topics are wanted, and what was found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kallback.cli.commands import topics as command
from kallback.kafka import Created, Differs, Existed, Missing, TopicFinding, TopicSpec
from kallback.protocol import KafkaUnavailableError
from kallback.settings import KafkaSettings


@pytest.fixture(autouse=True)
def _prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALLBACK_TOPICS_PREFIX", "shop.")


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    async def compare(_settings: KafkaSettings, _specs: list[TopicSpec]) -> list[TopicFinding]:
        raise KafkaUnavailableError("no broker answered")

    monkeypatch.setattr(command, "compare_topics", compare)


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(command.topics, list(arguments))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that has the results topic, and the outcomes topic with too few partitions."""

    async def create(_settings: KafkaSettings, specs: list[TopicSpec]) -> list[TopicFinding]:
        there: dict[str, TopicFinding] = {
            "shop.results": Existed("shop.results"),
            "shop.outcomes": Differs("shop.outcomes", ("partitions: 1, wanted 12",)),
        }
        return [there.get(spec.name, Created(spec.name)) for spec in specs]

    async def compare(settings: KafkaSettings, specs: list[TopicSpec]) -> list[TopicFinding]:
        created = await create(settings, specs)
        return [Missing(each.name) if isinstance(each, Created) else each for each in created]

    monkeypatch.setattr(command, "create_topics", create)
    monkeypatch.setattr(command, "compare_topics", compare)


def test_a_dry_run_shows_what_would_be_created() -> None:
    """Also where no broker answers, which is said; dead letters get more room than results."""
    result = run("create", "restaurant.prepare", "--dry-run", "--longest-timeout", "36h")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "planned restaurant.prepare partitions=12 cleanup.policy=delete retention.ms=216000000" in lines
    assert any(line.startswith("planned shop.results partitions=12") for line in lines)
    assert result.stderr == "Which of them exist is not known: no broker answered\n"
    assert any("shop.dead-letters" in line and "max.message.bytes=1114112" in line for line in lines)


@pytest.mark.usefixtures("cluster")
def test_a_dry_run_says_which_topics_exist() -> None:
    """They would not be created; one that differs is shown with its difference."""
    result = run("create", "--dry-run")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert any(line.startswith("exists shop.results partitions=12") for line in lines)
    assert any(line.startswith("planned shop.progress partitions=12") for line in lines)
    assert "differs shop.outcomes partitions: 1, wanted 12" in lines
    assert result.stderr == ""


def test_a_topic_that_is_named_twice_is_created_once() -> None:
    """Kafka refuses a request with a duplicate, and the error for a missing topic names kallback's own topics, too."""
    output = run("create", "shop.results", "restaurant.prepare", "restaurant.prepare", "--dry-run").stdout
    assert (output.count("shop.results "), output.count("restaurant.prepare ")) == (1, 1)


def test_the_topics_of_a_worker_need_not_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of its task types, beside those that are named."""
    types = 'pack = TaskType("shop.pack", str, str)\nwrap = TaskType("shop.wrap", str, str, topic="shop.wrapping")\n'
    worker = "worker = Worker('packers')\nworker.task(pack)(lambda text: text)\nworker.task(wrap)(lambda text: text)\n"
    imports = "from kallback.protocol import TaskType\nfrom kallback.workers import Worker\n"
    (tmp_path / "packers.py").write_text(f"{imports}{types}{worker}")
    monkeypatch.syspath_prepend(tmp_path)
    output = run("create", "shop.bake", "--types", "packers:worker", "--dry-run").stdout
    assert [name in output for name in ("shop.bake ", "shop.pack ", "shop.wrapping ")] == [True] * 3


def test_a_type_that_only_awakeables_use_gets_no_topic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which is said, for the type is in the module that was named."""
    types = 'ask = TaskType("shop.ask", None, bool, awakeable_only=True)\npack = TaskType("shop.pack", str, str)\n'
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "asking_packers.py").write_text(f"from kallback.protocol import TaskType\n{types}")
    result = run("create", "--types", "asking_packers", "--dry-run")
    assert "shop.pack" in result.stdout
    assert "shop.ask" not in result.stdout
    assert "shop.ask" in result.stderr


def test_a_dry_run_as_json_has_the_whole_topic() -> None:
    """One object for each topic."""
    objects = [json.loads(line) for line in run("create", "--dry-run", "--json").stdout.splitlines()]
    (results,) = [each for each in objects if each["topic"] == "shop.results"]
    assert (results["status"], results["partitions"], results["replication"]) == ("planned", 12, -1)
    assert results["config"]["max.message.bytes"] == "1048576"


@pytest.mark.usefixtures("cluster")
def test_each_finding_is_one_line() -> None:
    """Created, existing, different: the difference is shown."""
    lines = [" ".join(line.split()) for line in run("create").stdout.splitlines()]
    assert "exists shop.results" in lines
    assert "created shop.progress" in lines
    assert "differs shop.outcomes partitions: 1, wanted 12" in lines


@pytest.mark.usefixtures("cluster")
def test_each_finding_is_one_object() -> None:
    """For scripts."""
    objects = [json.loads(line) for line in run("create", "--json").stdout.splitlines()]
    assert {"topic": "shop.outcomes", "status": "differs", "differences": ["partitions: 1, wanted 12"]} in objects


@pytest.mark.usefixtures("cluster")
def test_a_check_of_topics_that_are_not_as_wanted_fails() -> None:
    """Missing and different ones are counted, and the sentence says what to do."""
    result = run("check", "--json")
    statuses = [json.loads(line)["status"] for line in result.stdout.splitlines()]
    assert sorted(statuses) == ["differs", "exists", "missing", "missing", "missing"]
    assert isinstance(result.exception, command.TopicsDifferError)
    assert "3 topics missing, 1 different" in str(result.exception)


def test_a_check_of_topics_as_wanted_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts see the exit code."""

    async def compare(_settings: KafkaSettings, specs: list[TopicSpec]) -> list[TopicFinding]:
        return [Existed(spec.name) for spec in specs]

    monkeypatch.setattr(command, "compare_topics", compare)
    assert run("check", "restaurant.prepare").exit_code == 0


def test_a_duration_without_a_unit_is_refused() -> None:
    """The sentence shows how to write one."""
    result = run("create", "--longest-timeout", "36")
    assert (result.exit_code, "30m, 36h or 14d" in result.output) == (2, True)


@pytest.mark.parametrize("subcommand", [("create",), ("create", "--dry-run"), ("check",)])
@pytest.mark.parametrize("name", ["albums.tasks:render", "a/b", "..", "a" * 250])
def test_what_cannot_be_a_topic_is_refused_before_kafka_is_asked(subcommand: tuple[str, ...], name: str) -> None:
    """A plan would promise what Kafka refuses; who meant the types of a module reads which option takes it."""
    result = run(*subcommand, name)
    assert (result.exit_code, "is no topic name" in " ".join(result.output.split())) == (2, True)
    assert (f"--types {name}" in " ".join(result.output.split())) is (":" in name)
