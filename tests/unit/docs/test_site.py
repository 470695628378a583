"""The documentation site: links of its pages, the pages made from the code, and the branch that it is published on."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from scripts import publish_site, site_pages
from scripts.publish_site import with_version, write_version

ROOT = Path(__file__).parents[3]
DECISION = "decisions/0006-logs-through-the-standard-library.md"
PLACES = {"README.md": "index.md", "docs/errors.md": "errors.md", "protocol/README.md": "wire.md"}
PLACES[f"docs/{DECISION}"] = DECISION
SOURCE = f"{site_pages.REPOSITORY}/blob/main"


@pytest.mark.parametrize(
    ("source", "link", "there"),
    [
        ("docs/errors.md", "../protocol/README.md#cancel", "wire.md#cancel"),
        ("docs/errors.md", "../protocol/", "wire.md"),
        (
            "docs/errors.md",
            DECISION,
            DECISION,
        ),
        (f"docs/{DECISION}", "../errors.md", "../errors.md"),
        ("protocol/README.md", "../docs/errors.md", "errors.md"),
        ("docs/errors.md", "images/one.png", "images/one.png"),
        ("README.md", f"{SOURCE}/docs/errors.md#exit", "errors.md#exit"),
        ("README.md", f"{SOURCE}/Makefile", f"{SOURCE}/Makefile"),
        ("docs/errors.md", "../deploy/alerts.yml", f"{SOURCE}/deploy/alerts.yml"),
        ("README.md", f"{site_pages.RAW}docs/images/one.png", "images/one.png"),
        ("docs/errors.md", "https://restate.dev", "https://restate.dev"),
        ("docs/errors.md", "#below", "#below"),
    ],
)
def test_a_link_leads_to_the_page_or_to_the_repository(source: str, link: str, there: str) -> None:
    """Pages are at other places on the site than in the repository."""
    assert site_pages.rewritten(f"[x]({link})", source, PLACES) == f"[x]({there})"


@pytest.mark.parametrize(
    ("source", "text", "there"),
    [
        ("README.md", "see `docs/errors.md`.", "see [`docs/errors.md`](errors.md)."),
        (f"docs/{DECISION}", "see `docs/errors.md`.", "see [`docs/errors.md`](../errors.md)."),
        ("README.md", "see [`docs/errors.md`](docs/errors.md).", "see [`docs/errors.md`](errors.md)."),
        ("docs/errors.md", "this is `docs/errors.md`", "this is `docs/errors.md`"),
        ("README.md", "`none.md` or `pip install`", "`none.md` or `pip install`"),
    ],
)
def test_a_page_that_is_named_is_linked(source: str, text: str, there: str) -> None:
    """On the site a reader has no files."""
    assert site_pages.rewritten(text, source, PLACES) == there


def test_code_is_as_it_is() -> None:
    """A link in an example is an example."""
    code = "```\n[x](../protocol/README.md)\n``` and `[x](../protocol/README.md)`"
    assert site_pages.rewritten(code, "docs/errors.md", PLACES) == code


def test_each_command_has_its_help_on_the_page_of_commands() -> None:
    """Those of groups, too."""
    page = site_pages.commands_page()
    for command in ("kallback bridge", "kallback dead-letters replay", "kallback tasks complete"):
        assert f"`{command}`\n\n```\nUsage: {command} " in page


PAGES_OF_WORKERS = {name: (ROOT / name).read_text("utf-8") for name in (site_pages.WIRE, site_pages.WORKERS)}
FOREIGN_WORKERS = site_pages.foreign_workers(PAGES_OF_WORKERS[site_pages.WORKERS])


def test_each_worker_in_another_language_has_a_row() -> None:
    """With its folder, its commands and the oldest tools that were tried: the site is made from these rows."""
    folders = {path.name for path in (ROOT / site_pages.WORKERS).parent.iterdir() if path.is_dir()}
    assert sorted(each.folder for each in FOREIGN_WORKERS) == sorted(folders)


@pytest.mark.parametrize("worker", FOREIGN_WORKERS, ids=lambda worker: worker.folder)
def test_all_files_of_a_worker_are_in_one_section_of_the_site(worker: site_pages.ForeignWorker) -> None:
    """Its program, its build files and its commands, beside each other: a reader of the site has no folder."""
    texts = site_pages.with_workers(PAGES_OF_WORKERS)
    sections = [section for text in texts.values() for section in re.split(r"^(?=## )", text, flags=re.MULTILINE)]
    [section] = [each for each in sections if f"\n{worker.files()[worker.main]}```" in each]
    flat = re.sub(r"^    ", "", section, flags=re.MULTILINE)
    printed = section + flat
    assert [name for name, text in worker.files().items() if f"\n{text}```" not in printed] == []
    assert f"{worker.build}\n{worker.run}\n```" in flat
    assert worker.tried in flat


def test_what_a_build_leaves_is_no_file_of_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site of somebody who built a worker in the checkout is the same."""
    workers = tmp_path / "examples" / "workers"
    for name in ("java/Kitchen.java", "java/target/classes/Kitchen.class", "java/src/kitchen/Main.java"):
        (workers / name).parent.mkdir(parents=True, exist_ok=True)
        (workers / name).write_text("x")
    (workers / ".gitignore").write_text("target/\n/java/kitchen\n")
    (workers / "java" / "kitchen").write_text("x")
    monkeypatch.setattr(site_pages, "ROOT", tmp_path)
    worker = site_pages.ForeignWorker("Java", "java", "Kitchen.java", "mvn", "java", "JDK 17")
    assert sorted(worker.files()) == ["Kitchen.java", "src/kitchen/Main.java"]


def test_a_link_to_a_worker_leads_to_where_the_site_prints_it() -> None:
    """Links to its folder and to its program do."""
    places = {**PLACES, **site_pages.places_of_workers(site_pages.with_workers(PAGES_OF_WORKERS))}
    for link in ("../examples/workers/spring/", "../examples/workers/spring/src/main/java/kitchen/Kitchen.java"):
        there = site_pages.rewritten(f"[x]({link})", "docs/errors.md", places)
        assert there == "[x](wire.md#a-worker-in-java-with-spring)"
    rust = site_pages.rewritten("[x](../examples/workers/rust/src/main.rs)", "protocol/README.md", places)
    assert rust == "[x](foreign-workers.md#rust)"


def test_the_rows_of_workers_name_versions_that_their_build_files_accept() -> None:
    """The oldest tools that were tried are those that are demanded, where a file demands some."""
    for worker in FOREIGN_WORKERS:
        files = worker.files()
        demanded = {
            "pom.xml": (r"<(?:maven\.compiler\.release|java\.version)>(\d+)<", r"JDK (\d+)"),
            "go.mod": (r"^go (\d+\.\d+)", r"Go (\d+\.\d+)"),
        }
        for name in demanded.keys() & files.keys():
            in_file, in_row = demanded[name]
            assert re.findall(in_file, files[name], re.MULTILINE) == re.findall(in_row, worker.tried), worker.folder


def test_the_workers_in_python_install_the_client_that_kallback_has_tried() -> None:
    """With the bounds of `pyproject.toml`: an open one takes the next major version on the day that it appears."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    [client] = [each for each in extras["sdk"] if each.startswith("confluent-kafka")]
    builds = [each.build for each in FOREIGN_WORKERS if each.main.endswith(".py")]
    assert builds == [f'pip install "{client}"'] * 2


def test_each_public_package_has_a_page() -> None:
    """What docs/compatibility.md calls public or provisional."""
    text = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
    assert [name for name in site_pages.PACKAGES if f"`kallback.{name}`" not in text] == []
    page = site_pages.package_page("sdk")
    assert [
        name for name in importlib.import_module("kallback.sdk").__all__ if f"::: kallback.sdk.{name}" not in page
    ] == []


def test_each_page_is_in_the_navigation() -> None:
    """Pages that the builder would otherwise leave for the search alone."""
    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    pages = [path.name for path in (ROOT / "docs").glob("*.md")] + list(site_pages.COPIES.values())
    assert [page for page in pages if f": {page}" not in config] == []


def test_the_newest_release_is_the_latest() -> None:
    """An older one that is published again is not; `dev` is none."""
    versions = with_version(with_version(with_version([], "dev"), "0.10"), "0.9")
    assert [(each["version"], each["aliases"]) for each in versions] == [("0.10", ["latest"]), ("0.9", []), ("dev", [])]


def test_before_the_first_release_the_first_page_is_that_of_main(tmp_path: Path) -> None:
    """Afterwards that of the release."""
    site, branch = tmp_path / "site", tmp_path / "branch"
    site.mkdir()
    branch.mkdir()
    write_version(branch, site, "dev")
    assert "url=dev/" in (branch / "index.html").read_text()
    write_version(branch, site, "0.1")
    assert "url=latest/" in (branch / "index.html").read_text()


def test_a_version_is_published_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a page no longer has are gone; those of other versions stay."""
    site, remote = tmp_path / "site", tmp_path / "remote.git"
    site.mkdir()
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    monkeypatch.setattr(publish_site, "SITE", site)
    for ref, page in (("main", "old.html"), ("v0.1.0", "one.html"), ("main", "new.html")):
        for old in site.iterdir():
            old.unlink()
        (site / page).write_text(ref)
        monkeypatch.setattr(sys, "argv", ["publish_site.py", str(remote), ref])
        publish_site.main()
    shown = subprocess.run(
        ["git", "-C", str(remote), "ls-tree", "-r", "--name-only", "gh-pages"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert shown == [
        ".nojekyll",
        "0.1/one.html",
        "404.html",
        "dev/new.html",
        "index.html",
        "latest/one.html",
        "versions.json",
    ]
    versions = subprocess.run(
        ["git", "-C", str(remote), "show", "gh-pages:versions.json"], check=True, capture_output=True
    )
    assert [each["version"] for each in json.loads(versions.stdout)] == ["0.1", "dev"]


def test_other_refs_are_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a branch of a contributor."""
    monkeypatch.setattr(sys, "argv", ["publish_site.py", os.devnull, "v1"])
    with pytest.raises(SystemExit, match="neither main nor a tag"):
        publish_site.main()
