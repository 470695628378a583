"""What README and the pages in docs/ name exists: files, links, metrics, variables, commands of make."""

import ast
import importlib
import inspect
import re
import textwrap
import tomllib
from functools import cache
from pathlib import Path

import pytest
from scripts.site_pages import heading_anchors, row_anchors

from kallback.documentation import SITE
from kallback.settings import VARIABLES

ROOT = Path(__file__).parents[2]
PROGRAMS = ("attacks", "benchmarks", "chaos")
FOLDERS = (*PROGRAMS, "dashboards", "deploy", "docs", "examples", "protocol", "scripts", "src", "tests")
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), *ROOT.glob("protocol/**/*.md")]
)
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which names what there was
MADE = ("benchmarks/out/",)  # folders that exist after a run
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
REPOSITORY = URLS["Source"]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?<![\w/.-])(?:{'|'.join(FOLDERS)})/[\w./-]*[\w/]")
METRIC = re.compile(r"\bkallback_(?:bridge|worker|sdk|gateway)_[a-z0-9_]+\b")
VARIABLE = re.compile(r"\bKALLBACK_[A-Z0-9_]*[A-Z0-9]\b")
TEST = re.compile(r"`(?:tests/[\w/]+/)?(test_\w+\.py)`(?:, \"([^\"]+)\")?")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b")
MEMBER = re.compile(r"`([A-Z]\w+)\.([a-z]\w*)[`(]")
REPLACED = re.compile(
    r"\b(time-outs?|nobody|whoever|for ever|so many|buried|burial|back-off|(?:Kafka|Restate) (?:is|was) away)\b",
    re.IGNORECASE,
)
MAKE = re.compile(r"(?:^|`|run: )make ((?:[a-z][a-z-]*(?: |$|`))+)", re.MULTILINE)


def name_of(page: Path) -> str:
    """A page as a reader of the failure knows it."""
    return str(page.relative_to(ROOT))


@cache
def code() -> str:
    """Everything that is run or deployed, as one text."""
    files = [
        path
        for folder in (*PROGRAMS, "src", "deploy", "dashboards", "scripts", "examples", "tests/containers")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".json", ".yml", ".yaml", ""} and path.is_file()
    ]
    return "\n".join(path.read_text("utf-8") for path in [*files, *ROOT.glob("compose*.yaml"), ROOT / "Dockerfile"])


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, and those that rows of its tables get on the site."""
    text = page.read_text("utf-8")
    return heading_anchors(text) | row_anchors(text)


def target_of(link: str, page: Path) -> tuple[Path, str] | None:
    """The file and the anchor that a link leads to; None if it leads out of the repository."""
    address, _, anchor = link.partition("#")
    inside = re.fullmatch(rf"{re.escape(REPOSITORY)}/(?:blob|tree)/main/(.+)", address)
    if inside:
        return ROOT / inside[1], anchor
    if "://" in address or address.startswith("mailto:"):
        return None
    return (page.parent / address if address else page), anchor


def is_there(path: str) -> bool:
    """Whether the repository has the file or folder; a glob needs one match."""
    return path.startswith(MADE) or bool(list(ROOT.glob(path.rstrip("/"))))


PARAGRAPH_AND_LIST = re.compile(r"^(?![-\s|#><]|\* |\d+\. ).*\n(?:[-*] |\d+\. )", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_list_begins_after_an_empty_line(page: Path) -> None:
    """The site's builder takes an item below a line of text for a part of that paragraph."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert [found[0] for found in PARAGRAPH_AND_LIST.finditer(text)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link within the repository leads to a file, and its anchor to a heading."""
    targets = [target for link in LINK.findall(page.read_text("utf-8")) if (target := target_of(link, page))]
    missing = [str(path) for path, _ in targets if not path.exists()]
    without = [f"{path}#{anchor}" for path, anchor in targets if anchor and anchor not in anchors(path)]
    assert missing + without == []


def test_the_address_of_the_site_is_the_same_everywhere() -> None:
    """In the code, whose errors lead there, in the package's metadata, and where the site is built."""
    config = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert {URLS["Documentation"], *re.findall(r"^site_url: (\S+)$", config, re.MULTILINE)} == {SITE}


def test_links_of_the_readme_work_on_a_package_index() -> None:
    """The README is shown elsewhere, too: none of its links is relative."""
    links = LINK.findall((ROOT / "README.md").read_text("utf-8"))
    assert [link for link in links if not link.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    """Each path below a folder of the repository is a file or a folder there."""
    text = re.sub(r"https?://\S+", "", page.read_text("utf-8"))
    assert [path for path in PATH.findall(text) if not is_there(path)] == []


@pytest.mark.parametrize("page", [ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "Dockerfile"], ids=name_of)
def test_files_that_tools_name_exist(page: Path) -> None:
    """What the Makefile, CI and the image name is there, too."""
    assert [path for path in PATH.findall(page.read_text("utf-8")) if not is_there(path)] == []


@pytest.mark.parametrize("folder", [*PROGRAMS, "src", "tests", "examples", "deploy"])
def test_pages_that_the_code_names_exist(folder: str) -> None:
    """A docstring that refers to a page refers to one that exists."""
    sources = [path for path in (ROOT / folder).rglob("*.py") if path != Path(__file__)]
    named = {page for path in sources for page in re.findall(r"\bdocs/[\w./-]+\.md", path.read_text("utf-8"))}
    assert sorted(page for page in named if not is_there(page)) == []


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_tests_that_are_named_exist(page: Path) -> None:
    """Each test file exists, and has a test whose name contains the quoted words."""
    named = TEST.findall(page.read_text("utf-8"))
    sources = {name: [path.read_text("utf-8") for path in ROOT.glob(f"tests/**/{name}")] for name, _ in named}
    assert [name for name, words in named if not any(_slug(words) in text for text in sources[name])] == []


def _slug(words: str) -> str:
    return re.sub(r"\W+", "_", words.lower())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_are_in_plain_english(page: Path) -> None:
    """Words that the pages replaced do not come back: 'timeout', 'no handler', 'without a limit', 'backoff'."""
    text = re.sub(r"`[^`]*`|\"[^\"]*\"", "", page.read_text("utf-8"))  # names and quotations are as they are
    assert page.name == "0015-vocabulary.md" or REPLACED.findall(text) == []


@pytest.mark.parametrize(
    "package",
    ["protocol", "sdk", "workers", "testing", "settings", "bridge", "gateway", "kafka", "operations", "health"],
)
def test_docstrings_of_the_reference_are_in_plain_english(package: str) -> None:
    """They are pages, too: those of public names, of the public members of classes, and below members of enums."""
    module = importlib.import_module(f"kallback.{package}")
    names = [getattr(module, name) for name in module.__all__]
    classes = [each for each in names if inspect.isclass(each) and each.__module__.startswith("kallback")]
    members = [member for each in classes for name, member in vars(each).items() if name[0] != "_"]
    texts = [inspect.getdoc(each) or "" for each in [module, *names, *members]]
    found = [REPLACED.findall(text) for text in [*texts, *(text for each in classes for text in texts_in(each))]]
    assert [each for each in found if each] == []


def texts_in(kind: type) -> list[str]:
    """The texts that stand in the body of a class: below its fields, and its own."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    values = [each.value for each in tree.body if isinstance(each, ast.Expr)]
    return [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_a_link_to_a_page_says_what_the_page_is_about(page: Path) -> None:
    """Not where its file is: readers of the site have no files."""
    texts = re.findall(r"\[([^\]]*)\]\([^)\s]+\)", page.read_text("utf-8"))
    assert [text for text in texts if re.fullmatch(r"`?(?:docs|protocol)/[\w/.-]+\.md`?", text)] == []
    outside_of_links = re.findall(r"`docs/[\w/.-]+\.md`|(?<![(/\w])protocol/README\.md", page.read_text("utf-8"))
    assert page.parent.name != "docs" or outside_of_links == []


def test_the_examples_name_all_languages_of_the_workers() -> None:
    """Two of them were added to their own page alone."""
    rows = (ROOT / "examples" / "workers" / "README.md").read_text("utf-8")
    languages = set(re.findall(r"^\| \[(\w+)", rows, re.MULTILINE))
    said = (ROOT / "examples" / "README.md").read_text("utf-8")
    assert languages
    assert sorted(each for each in languages if each not in said) == []


def test_entries_of_the_changelog_are_whole() -> None:
    """Each ends with a sentence and is there once: merges had left halves of two, and two twice."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    entries = [entry.rstrip() for entry in re.findall(r"^- .+\n(?:  .+\n)*", text, re.MULTILINE)]
    heads = [head for entry in entries for head in re.findall(r"^- \*\*(.+?)\*\*", entry, re.DOTALL)]
    assert [entry for entry in entries if not re.search(r"[.)]\**$", entry)] == []
    assert sorted(head for head in set(heads) if heads.count(head) > 1) == []


def test_decisions_are_numbered() -> None:
    """Each decision has a number of its own, in its file name and in its title."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [page.read_text("utf-8").split(". ", 1)[0] for page in pages]
    assert titles == [f"# {number}" for number in range(1, len(pages) + 1)]
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_options_that_are_named_exist(page: Path) -> None:
    """Each option of a command is one of kallback's, or of a command that the project runs."""
    others = {"--strict", "--follow", "--add-scram", "--reset-offsets", "--to-earliest", "--release"}  # of others
    others |= {"--bootstrap-server", "--start-offset", "--python", "--generate-hashes", "--no-install-recommends"}
    named = set(OPTION.findall(page.read_text("utf-8"))) - others
    assert sorted(option for option in named if option not in code()) == []


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_members_that_are_named_exist(page: Path) -> None:
    """Each `Class.member` of kallback is in the code."""
    named = {found for found in MEMBER.findall(page.read_text("utf-8")) if f"class {found[0]}" in code()}
    assert sorted(f"{owner}.{name}" for owner, name in named if not re.search(rf"\b{name}\b", code())) == []


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_metrics_that_are_named_exist(page: Path) -> None:
    """Each metric is in the code, whole or behind the prefix of its role; counters have a suffix more."""
    named = {re.sub(r"_(total|bucket|sum|count|info)$", "", name) for name in METRIC.findall(page.read_text("utf-8"))}
    unprefixed = {name: name.split("_", 2)[2] for name in named}
    assert sorted(name for name in named if not re.search(rf"\b{unprefixed[name]}\b", code())) == []


@pytest.mark.parametrize("page", CURRENT, ids=name_of)
def test_variables_that_are_named_exist(page: Path) -> None:
    """Each environment variable is read somewhere; a secret's file has the secret's name in front."""
    files = {f"{variable.name}_FILE" for variable in VARIABLES if variable.is_secret}
    named = set(VARIABLE.findall(page.read_text("utf-8"))) - files
    assert sorted(name for name in named if name not in code()) == []


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / ".github").rglob("*.yml"))], ids=lambda page: str(page.relative_to(ROOT))
)
def test_targets_of_make_exist(page: Path) -> None:
    """Each `make TARGET` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z][a-z -]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    known = {word for line in targets for word in line.split()}
    named = {word for words in MAKE.findall(page.read_text("utf-8")) for word in words.strip("` ").split()}
    assert sorted(named - known) == []
