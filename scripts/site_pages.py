"""Writes the pages of the documentation site into a folder, from which a site builder makes it (see mkdocs.yml).

    python scripts/site_pages.py .cache/site-pages

    docs/                                       as they are
    README, the wire, examples, changelog ...   the same text, at another place
    reference/commands                          each command's help, as a terminal shows it
    reference/python/PACKAGE                    every name of the package's `__all__`, from its docstring

Links between pages are rewritten to where they are on the site; links to a file that is no page lead to the repository.
A page that is named as code (`docs/errors.md`) becomes a link.
Rows of tables of errors, variables, metrics and headers get anchors, to which errors lead.
Where a worker in another language is printed, its other files and its commands follow.
"""

from __future__ import annotations

import importlib
import posixpath
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from kallback.cli.app import app
from kallback.documentation import entry_anchor

ROOT: Final = Path(__file__).parents[1]
REPOSITORY: Final = "https://github.com/kallback/kallback"
RAW: Final = "https://raw.githubusercontent.com/kallback/kallback/main/"
"""Where images of the README are for a package index."""
PACKAGES: Final = {
    "protocol": "what both sides share: task types, errors, tokens, the wire",
    "sdk": "for Restate handlers: ask for work, wait, cancel",
    "workers": "for Python workers",
    "testing": "tests without servers, and with local ones",
    "settings": "the settings of every process",
    "bridge": "the bridge as a library",
    "gateway": "the gateway as a library",
    "kafka": "provisional: the Kafka clients beneath bridge and worker",
    "operations": "provisional: pending tasks, outcomes and the doctor as a library",
    "health": "provisional: health ports and metrics",
}
COPIES: Final = {
    "README.md": "index.md",
    "protocol/README.md": "wire.md",
    "protocol/vectors/README.md": "wire-vectors.md",
    "examples/README.md": "examples.md",
    "examples/workers/README.md": "foreign-workers.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository, and where they are on the site."""

WIRE: Final = "protocol/README.md"
WORKERS: Final = "examples/workers/README.md"
_CODE_OF: Final = {".py": "python", ".rs": "rust", ".mod": "text", ".sum": "text", ".yml": "yaml"}
"""How a file is highlighted whose suffix is not the name of its language."""
_WORKER: Final = re.compile(
    r"^\| \[(?P<title>[^\]]+)\]\((?P<folder>[\w-]+)/(?P<main>[^)]+)\) \| [^|]+ "
    r"\| `(?P<build>[^`]+)` \| `(?P<run>[^`]+)` \| (?P<tried>[^|]+) \|$",
    re.MULTILINE,
)
_SECTION: Final = re.compile(r"^(?=## )", re.MULTILINE)

_LINK: Final = re.compile(r"(?<=\]\()(?!#|mailto:)([^)\s#]+)(#[^)\s]*)?(?=\))")
_IMAGE: Final = re.compile(r'(?<=<img src=")([^"]+)')
_MAIN: Final = re.compile(r"/(?:blob|tree)/main/")
_CODE: Final = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_PAGE: Final = re.compile(r"`([\w/-]+\.md)`")
_TABLE: Final = re.compile(
    r"^\| (type|error|exit code|reason|variable|metric|header) \|.*\n\|[-:|]+\n(?:\|.*(?:\n|\Z))+", re.MULTILINE
)
_ENTRY: Final = re.compile(r"^\| ((?:[^`|]*)`([\w:.-]+)|(\d+))(?=[`{ ])", re.MULTILINE)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_HELP_COLUMNS: Final = 100
_DEEPEST_HEADING: Final = 4


def main() -> None:
    """Write all pages anew."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    sources = {f"docs/{path.relative_to(folder)}": path for path in folder.rglob("*.md")}
    sources |= {source: folder / target for source, target in COPIES.items()}
    texts = with_workers({source: (ROOT / source).read_text("utf-8") for source in sources})
    places = {source: str(path.relative_to(folder)) for source, path in sources.items()} | places_of_workers(texts)
    for source, path in sources.items():
        path.write_text(rewritten(with_row_anchors(texts[source]), source, places), "utf-8")
    reference = folder / "reference"
    (reference / "python").mkdir(parents=True)
    (reference / "commands.md").write_text(commands_page(), "utf-8")
    (reference / "python" / "index.md").write_text(packages_page(), "utf-8")
    for name in PACKAGES:
        (reference / "python" / f"{name}.md").write_text(package_page(name), "utf-8")


@dataclass(frozen=True)
class ForeignWorker:
    """A worker in another language, as its row says it.

    Attributes:
        title: its language, and what is special.
        folder: below `examples/workers`.
        main: the file of its program, in the folder.
        build, run: commands, in the folder.
        tried: the oldest tools with which it was built and run.
    """

    title: str
    folder: str
    main: str
    build: str
    run: str
    tried: str

    def files(self) -> dict[str, str]:
        """Return the text of each file in its folder, without what a build writes."""
        workers = (ROOT / WORKERS).parent
        built = (workers / ".gitignore").read_text("utf-8").splitlines()
        paths = [path.relative_to(workers) for path in sorted((workers / self.folder).rglob("*")) if path.is_file()]
        kept = [path for path in paths if f"/{path}" not in built and not {*path.parts, *_folders(path)} & {*built}]
        return {str(path.relative_to(self.folder)): (workers / path).read_text("utf-8") for path in kept}

    def build_note(self, section: str) -> str:
        """Return a note with the files that a section does not print, and the commands."""
        files = self.files()
        printed = [name for name, text in files.items() if f"\n{text}```" in section]
        others = [name for name in files if name not in printed]
        above = f"Save what is printed above as {' and '.join(f'`{name}`' for name in printed)}"
        beside = ", in one folder with these files:" if others else "."
        parts = [above + beside, *(_block(name, files[name]) for name in others)]
        parts += [f"Build and run it there. The oldest tools that were tried: {self.tried}."]
        parts += [f"```sh\n{self.build}\n{self.run}\n```"]
        names = f": {', '.join(f'`{Path(name).name}`' for name in others)}" if others else ""
        return f'??? note "Build and run it{names}"\n\n' + textwrap.indent("\n\n".join(parts), "    ") + "\n\n"


def _folders(path: Path) -> set[str]:
    return {f"{part}/" for part in path.parts[:-1]}


def _block(name: str, text: str) -> str:
    suffix = Path(name).suffix
    return f'```{_CODE_OF.get(suffix, suffix[1:])} title="{name}"\n{text}```'


def foreign_workers(page: str) -> list[ForeignWorker]:
    """Return the workers in other languages, from the rows of their page."""
    return [ForeignWorker(**found.groupdict()) for found in _WORKER.finditer(page)]


def with_workers(texts: Mapping[str, str]) -> dict[str, str]:
    """Return all pages, with complete workers in other languages: a reader of the site has no folder.

    Below each program that a section of the wire prints, its other files and its commands follow. A worker that no
    section prints gets one on the page of the workers.
    """
    sections = _SECTION.split(texts[WIRE])
    more = [texts[WORKERS]]
    for worker in foreign_workers(texts[WORKERS]):
        program = f"\n{worker.files()[worker.main]}```"
        number = next((number for number, section in enumerate(sections) if program in section), None)
        if number is None:
            section = f"## {worker.title}\n\n{_block(worker.main, worker.files()[worker.main])}\n\n"
            more.append(section + worker.build_note(section))
        else:
            sections[number] = f"{sections[number].rstrip()}\n\n{worker.build_note(sections[number])}"
    return {**texts, WIRE: "".join(sections), WORKERS: "\n".join(more)}


def places_of_workers(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the section of the site that prints a worker, for its program and for its folder; `texts` have them."""
    places: dict[str, str] = {}
    for worker in foreign_workers(texts[WORKERS]):
        program = worker.files()[worker.main]
        for source in (WIRE, WORKERS):
            for section in _SECTION.split(texts[source]):
                if f"\n{program}```" in section:
                    [anchor] = heading_anchors(section.partition("\n")[0])
                    place = f"{COPIES[source]}#{anchor}"
                    folder = posixpath.join(posixpath.dirname(WORKERS), worker.folder)
                    places |= {folder: place, f"{folder}/{worker.main}": place}
    return places


def with_row_anchors(markdown: str) -> str:
    """Return a page with an anchor in each row that is the entry of an error, a variable, a metric or a header."""
    taken = heading_anchors(markdown)

    def with_anchor(found: re.Match[str]) -> str:
        anchor = entry_anchor(found[2]) if found[2] else f"exit-code-{found[3]}"
        if anchor in taken:
            return found[0]  # the first one counts
        taken.add(anchor)
        return f'| <span id="{anchor}"></span>{found[1]}'

    return _TABLE.sub(lambda table: _ENTRY.sub(with_anchor, table[0]), markdown)


def row_anchors(markdown: str) -> set[str]:
    """Return the anchors that rows of a page get."""
    return set(re.findall(r'<span id="([^"]+)"', with_row_anchors(markdown)))


def heading_anchors(markdown: str) -> set[str]:
    """Return the anchors of a page's headings, as code hosts and the site derive them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(markdown)}


def rewritten(markdown: str, source: str, places: Mapping[str, str]) -> str:
    """Return a page with its links as the site has them.

    Args:
        markdown: the page.
        source: its file in the repository.
        places: files in the repository that are pages, and where each is on the site.
    """

    def rewrite(text: str) -> str:
        text = _LINK.sub(lambda found: site_link(found[1], source, places) + (found[2] or ""), text)
        return _IMAGE.sub(lambda found: site_link(found[1], source, places), text)

    parts = _CODE.split(markdown)
    code = [_linked(parts, number, source, places) for number in range(1, len(parts), 2)]
    return "".join(code[number // 2] if number % 2 else rewrite(part) for number, part in enumerate(parts))


def _linked(parts: Sequence[str], number: int, source: str, places: Mapping[str, str]) -> str:
    """Return a piece of code; the name of a page becomes a link to it, unless it is the text of one."""
    page = _PAGE.fullmatch(parts[number])
    if page is None or page[1] not in places or page[1] == source or parts[number - 1].endswith("["):
        return parts[number]
    return (
        f"[{parts[number]}]({site_link(posixpath.relpath(page[1], posixpath.dirname(source) or '.'), source, places)})"
    )


def site_link(address: str, source: str, places: Mapping[str, str]) -> str:
    """Return where a link of a file leads on the site; `address` has no anchor."""
    if address.startswith(REPOSITORY):
        path = _MAIN.sub("", address.removeprefix(REPOSITORY), count=1)
    elif address.startswith(RAW):
        path = address.removeprefix(RAW)
    elif "://" in address:
        return address
    else:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
    target = places.get(path) or places.get(f"{path.rstrip('/')}/README.md")
    if target is None and path.startswith("docs/") and not path.endswith(".md"):
        target = path.removeprefix("docs/")  # an image
    if target is not None:
        return posixpath.relpath(target, posixpath.dirname(places[source]) or ".")
    return address if "://" in address else f"{REPOSITORY}/blob/main/{path}"


def commands_page() -> str:
    """Return the help of all commands."""
    lines = ["# Commands", "", "What `--help` says, command by command. Exit codes are in [errors](../errors.md).", ""]
    lines += _help(app, None, "kallback", 2)
    return "\n".join(lines)


def packages_page() -> str:
    """Return the list of packages."""
    rows = [f"| [`kallback.{name}`]({name}.md) | {what} |" for name, what in PACKAGES.items()]
    return "\n".join(["# Python", "", "| package | for |", "|---|---|", *rows, ""])


def package_page(name: str) -> str:
    """Return the public names of a package: mkdocstrings fills in what their docstrings say."""
    module = importlib.import_module(f"kallback.{name}")
    summary = (module.__doc__ or "").strip()
    names = [f"::: kallback.{name}.{each}" for each in module.__all__]
    return "\n\n".join([f"# kallback.{name}", summary, *names, ""])


def _help(command: click.Command, parent: click.Context | None, name: str, level: int) -> list[str]:
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=_HELP_COLUMNS)
    lines = [f"{'#' * level} `{context.command_path}`", "", "```", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            if child is not None and not child.hidden:
                lines += _help(child, context, each, min(level + 1, _DEEPEST_HEADING))
    return lines


if __name__ == "__main__":
    main()
