"""Writes the pages of the documentation site into a folder, from which a site builder makes it (see mkdocs.yml).

    python scripts/site_pages.py .cache/site-pages

    docs/                                       as they are
    README, the wire, examples, changelog ...   the same text, at another place
    reference/commands                          each command's help, as a terminal shows it
    reference/python/PACKAGE                    every name of the package's `__all__`, from its docstring

Links between pages are rewritten to where they are on the site; links to a file that is no page lead to the repository.
A page that is named as code (`docs/errors.md`) becomes a link.
Rows of tables of errors, variables, metrics and headers get anchors, to which errors lead.
"""

from __future__ import annotations

import importlib
import posixpath
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
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

WORKERS: Final = "examples/workers/README.md"
BUILD_FILES: Final = ("pom.xml", "go.mod", "Cargo.toml", "package.json", "tsconfig.json", "simplelogger.properties")
"""That a worker in another language may have in its folder. `go.sum` is made from `go.mod`."""
_KINDS: Final = {".xml": "xml", ".toml": "toml", ".json": "json", ".properties": "properties", ".mod": "text"}

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
    places = {source: str(path.relative_to(folder)) for source, path in sources.items()}
    for source, path in sources.items():
        text = with_row_anchors((ROOT / source).read_text("utf-8"))
        path.write_text(rewritten(text, source, places), "utf-8")
    with (folder / COPIES[WORKERS]).open("a", encoding="utf-8") as page:
        page.write(build_files((ROOT / WORKERS).parent))
    reference = folder / "reference"
    (reference / "python").mkdir(parents=True)
    (reference / "commands.md").write_text(commands_page(), "utf-8")
    (reference / "python" / "index.md").write_text(packages_page(), "utf-8")
    for name in PACKAGES:
        (reference / "python" / f"{name}.md").write_text(package_page(name), "utf-8")


def build_files(workers: Path) -> str:
    """Return a section with the build files of all workers in other languages: the site has no folders."""
    sections = [
        "",
        "## Build files",
        "",
        "In the folder of each worker, beside its program. `go mod tidy` makes `go.sum`.",
        "",
    ]
    for folder in sorted(each for each in workers.iterdir() if each.is_dir()):
        for path in (folder / name for name in BUILD_FILES):
            if path.exists():
                title = f"{folder.name}/{path.name}"
                sections += [f'```{_KINDS[path.suffix]} title="{title}"', path.read_text("utf-8").rstrip(), "```", ""]
    return "\n".join(sections)


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
