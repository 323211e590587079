"""The pages of `docs` and the READMEs: the site builds, links lead somewhere, and what pages name exists."""

import ast
import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import astrok8s
from astrok8s.cli import app
from astrok8s.options import load_options
from astrok8s.provisioning import offered_options

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
READMES = [*ROOT.glob("*/README.md"), *ROOT.glob("images/*/README.md")]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *READMES, *DOCS.rglob("*.md")])
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


class Html(HTMLParser):
    """What a page has: its anchors, where its links lead, and what a browser loads for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if "href" in given:
            (self.links if tag == "a" else self.loads).append(given["href"])
        if "src" in given:
            self.loads.append(given["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Html]:
    folder = tmp_path_factory.mktemp("site")
    sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--builder", "html"]
    run = subprocess.run([*sphinx, DOCS, folder], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    return {path: Html(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}


def test_the_site_builds_and_its_links_lead_somewhere(site: dict[Path, Html]) -> None:
    def leads(page: Path, link: str) -> bool:
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        return target.exists() and (not anchor or anchor in site[target].anchors)

    inner = [(page, link) for page, html in site.items() for link in html.links if ":" not in link]
    assert len(inner) > 500
    assert [(page.name, link) for page, link in inner if not leads(page, link)] == []


def test_the_site_loads_nothing_from_elsewhere(site: dict[Path, Html]) -> None:
    loads = [(page, link.partition("?")[0]) for page, html in site.items() for link in html.loads]
    elsewhere = [(page.name, link) for page, link in loads if "//" in link or not (page.parent / link).exists()]
    assert [entry for entry in elsewhere if not entry[1].startswith(("#", "data:"))] == []


def test_the_reference_has_all_of_it(site: dict[Path, Html]) -> None:
    anchors = {page.stem: html.anchors for page, html in site.items() if page.parent.name == "reference"}
    assert {f"astrok8s.{name}" for name in astrok8s.__all__} <= anchors["python"]
    assert {f"roleoption-{name}" for name in load_options()} <= anchors["roles"]
    assert {f"command-{'-'.join(command)}" for command in commands()} <= anchors["commands"]
    modules = ROOT.glob("collections/ansible_collections/astrok8s/magnum/plugins/modules/*.py")
    assert {f"astrok8s-magnum-{path.stem.replace('_', '-')}" for path in modules} <= anchors["modules"]


def test_names_in_pages_are_links_into_the_reference(site: dict[Path, Html]) -> None:
    links = {link for page, html in site.items() if page.parent.name == "guides" for link in html.links}
    for anchor in (
        "roles.html#roleoption-cvmfs_driver",
        "commands.html#command-astrok8s-pack",
        "python.html#astrok8s.attach",
    ):
        assert f"../reference/{anchor}" in links


def test_every_error_is_in_troubleshooting() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    errors = [name for name in astrok8s.__all__ if name.endswith("Error") and name != "AstroK8sError"]
    assert [name for name in errors if f"`{name}`" not in text] == []


def commands(command: Any = None, words: tuple[str, ...] = ("astrok8s",)) -> Iterator[tuple[str, ...]]:
    command = command or typer.main.get_command(app)
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(page: Path) -> Iterator[list[str]]:
    """The commands of a page's blocks, in words: without variables before them, and without a folder of programs."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield [words[0].rpartition("/")[2], *words[1:]]


def code(page: Path) -> list[str]:
    """The code in a page's sentences."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]


def parse(words: list[str]) -> None:
    """Parses a command as it would be when it is run, and runs nothing."""
    command: Any = typer.main.get_command(app)
    context = None
    while True:
        context = command.make_context(words[0], list(words[1:]), parent=context)
        if not hasattr(command, "commands"):
            return
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        words = [name, *rest]


@each_page
def test_commands_in_blocks_can_be_run(page: Path) -> None:
    for words in lines(page):
        if words[0] == "astrok8s":
            parse(words)
        elif words[0] == "make":
            assert not set(words[1:]) - targets()
        elif words[0] == "ansible-playbook":
            check_playbook(words[1:], made={copy[-1] for copy in lines(page) if copy[0] == "cp"})


@each_page
def test_commands_in_sentences_exist(page: Path) -> None:
    known = set(commands())
    for text in code(page):
        words = tuple(re.match(r"[a-z0-9 ]*", text)[0].split())  # type: ignore[index]
        if words[:1] == ("astrok8s",) and len(text.split()) > 1:
            assert words[:2] in known, text
        if words[:1] == ("make",) and len(words) > 1:
            assert words[1] in targets(), text


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def check_playbook(arguments: list[str], made: set[str]) -> None:
    """Checks that the files are there, and that the variables are some that a role or the playbook has."""
    given = iter(arguments)
    for argument in given:
        if argument == "-e":
            value = next(given)
            if not value.startswith("@"):
                names = yaml.safe_load(value).keys() if value.startswith("{") else [value.partition("=")[0]]
                assert set(names) <= variables()
        elif argument == "-i":
            inventory = next(given)
            assert inventory in made or (ROOT / inventory).exists()
        elif argument.endswith(".yml"):
            assert (ROOT / argument).exists()


@cache
def variables() -> set[str]:
    """The options of roles, their short names, and the variables of playbooks."""
    options = load_options()
    short = {found[1] for each in options.values() if (found := re.match(r"{{ (\w+) \|", str(each.default)))}
    plays = [play for path in (ROOT / "playbooks").glob("*.yml") for play in yaml.safe_load(path.read_text())]
    return set(options) | short | {name for play in plays for name in play.get("vars", {})}


@each_page
def test_options_of_roles_exist(page: Path) -> None:
    roles = "|".join(path.name for path in (ROOT / "roles").iterdir())
    named = re.findall(rf"\b(?<![-/.])((?:{roles})_[a-z_]+)\b(?![/.(])", page.read_text(encoding="utf-8"))
    assert set(named) - variables() == set()


OBJECTS = {"astrok8s": astrok8s, "cluster": astrok8s.Cluster}


def check_call(call: ast.Call) -> None:
    """Checks that what is called on `astrok8s` and on a `cluster` exists, and takes the keywords."""
    path = ast.unparse(call.func).split(".")
    target: Any = OBJECTS.get(path[0])
    if target is None or len(path) == 1:
        return
    for name in path[1:]:
        target = getattr(target, name)
    keywords = {keyword.arg for keyword in call.keywords if keyword.arg}
    parameters = inspect.signature(target).parameters
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    beyond = keywords - parameters.keys()
    assert not beyond or free, ast.unparse(call)
    if path[-1] == "provision":
        assert beyond <= offered_options(), ast.unparse(call)
    if path[-1] in ("attach", "grant", "history"):  # of a cluster: they hand on what they are given
        module = {"attach": "attaching", "grant": "granting", "history": "history"}[path[-1]]
        function = "applications" if path[-1] == "history" else path[-1]
        known = inspect.signature(getattr(sys.modules[f"astrok8s.{module}"], function)).parameters.keys()
        assert keywords <= known | set(load_options()), ast.unparse(call)


@each_page
def test_python_in_blocks_compiles_and_calls_what_there_is(page: Path) -> None:
    import astrok8s.granting
    import astrok8s.lifetimes
    import astrok8s.orphans  # noqa: F401  pages name them after an import

    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Call):
                check_call(node)


@each_page
def test_links_of_pages_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def messages() -> Iterator[str]:
    """What the sources may tell, with an ellipsis for each value."""
    for folder in ("astrok8s", "collections", "localcloud/localcloud", "roles"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
        for path in (ROOT / folder).glob("*/tasks/*.yml"):
            yield re.sub(r"{{.*?}}", "…", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_messages_in_troubleshooting_are_told_so() -> None:
    known = "\n".join(re.sub(r"…[….]*", "…", " ".join(text.split())) for text in messages())
    titles = re.findall(r"^### (.*)$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(titles) > 30
    assert [title for title in titles if re.sub(r"…[….]*", "…", title).rstrip(" …") not in known] == []


def test_the_picture_has_the_roles_as_they_run() -> None:
    (play,) = yaml.safe_load((ROOT / "site.yml").read_text(encoding="utf-8"))
    drawn = re.findall(r'class="code"[^>]*>(\w+)<', (DOCS / "provision.svg").read_text(encoding="utf-8"))
    assert [name for name in drawn if (ROOT / "roles" / name).is_dir()] == [role["role"] for role in play["roles"]]
