"""Makes the pages of the reference from what they are about, while Sphinx reads them.

A page of `reference/` has a head by hand; what follows it is made here from the argument specs of the roles, the
documentation of the modules, the parsers of the commands, and the description of the routes.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
_MARK = re.compile(r"\b[BCEIMOPUV]\(([^)]*)\)|\bRV\(([^)]*)\)")


def roles() -> str:
    """Returns the options of the roles, in Markdown."""
    return "\n\n".join(
        part
        for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))
        for part in _role(path.parent.parent.name, yaml.safe_load(path.read_text(encoding="utf-8")))
    )


def _role(name: str, document: Mapping[str, Any]) -> Iterator[str]:
    spec = document["argument_specs"]["main"]
    yield f"(role-{name})=\n## {name}"
    yield _text(spec["short_description"])
    yield from map(_text, spec.get("description", []))
    yield from (_described("roleoption", option, _option(entry)) for option, entry in spec["options"].items())


def modules() -> str:
    """Returns the modules of the collection, in Markdown, from their own documentation."""
    folder = ROOT / "collections/ansible_collections/astrok8s/magnum/plugins/modules"
    names = sorted(f"astrok8s.magnum.{path.stem}" for path in folder.glob("*.py"))
    return "\n\n".join(part for name, module in _documented(names).items() for part in _module(name, module))


def _documented(names: Iterable[str]) -> dict[str, Any]:
    """Asks Ansible, which knows what modules share."""
    beside = Path(sys.executable).with_name("ansible-doc")
    program = str(beside) if beside.exists() else shutil.which("ansible-doc") or "ansible-doc"
    run = subprocess.run(
        [program, "--json", "--type", "module", *names], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return dict(json.loads(run.stdout))


def _module(name: str, module: Mapping[str, Any]) -> Iterator[str]:
    doc = module["doc"]
    yield f"## {name}"
    yield f"{_text(doc['short_description'])}."
    yield from map(_text, doc["description"])
    yield from (_described("describe", option, _option(entry)) for option, entry in doc["options"].items())
    yield "**It returns**"
    yield from (_described("describe", key, _option(entry)) for key, entry in (module["return"] or {}).items())
    yield f"**Example**\n\n```yaml\n{module['examples'].strip()}\n```"


def commands() -> str:
    """Returns the commands, in Markdown, from their parsers."""
    from astrok8s.cli import app as astrok8s
    from localcloud.cli import app as localcloud

    apps = {"astrok8s": astrok8s, "localcloud": localcloud}
    return "\n\n".join(part for name, app in apps.items() for part in _command(name, typer.main.get_command(app)))


def _command(name: str, command: Any, parent: Any = None) -> Iterator[str]:
    context = type(command).context_class(command, info_name=name.rpartition(" ")[2], parent=parent)
    yield f"(command-{name.replace(' ', '-')})=\n## {name}"
    yield _text(command.help)
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    yield f"```{{program}} {name}\n```"
    records = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    yield from (_described("option", term, [_text(text)]) for term, text in records if term != "--help")
    for below, subcommand in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {below}", subcommand, context)


def routes() -> str:
    """Returns the routes of the server extension, in Markdown, from their description."""
    path = ROOT / "labextension/jupyterlab_astrok8s/openapi.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    methods = ("get", "put", "post", "patch", "delete")
    return "\n\n".join(
        [_text(document["info"]["description"])]
        + [
            _described("describe", f"{method.upper()} {route}", [_text(entry[method]["summary"])])
            for route, entry in document["paths"].items()
            for method in methods
            if method in entry
        ]
    )


def _option(entry: Mapping[str, Any]) -> list[str]:
    """Returns the paragraphs about an option, or a value that is returned, with those that it has in it."""
    facts = [entry.get("type", "str")]
    if "elements" in entry:
        facts[0] += f" of {entry['elements']}"
    if entry.get("choices"):
        facts.append("one of " + ", ".join(f"`{choice}`" for choice in entry["choices"]))
    if entry.get("required"):
        facts.append("required")
    if entry.get("default") not in (None, ""):
        facts.append(f"by default `{_default(entry['default'])}`")
    description = entry.get("description", [])
    texts = [description] if isinstance(description, str) else description
    within = (entry.get("options") or entry.get("contains") or {}).items()
    return [f"*{'; '.join(facts)}*", *map(_text, texts), *(_within(name, each) for name, each in within)]


def _default(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _within(name: str, entry: Mapping[str, Any]) -> str:
    facts, *texts = _option(entry)
    return f"- `{name}`, {facts}: {' '.join(texts)}"


def _described(directive: str, term: str, paragraphs: Iterable[str]) -> str:
    body = "\n\n".join(paragraphs)
    return f"````{{{directive}}} {term}\n{body}\n````"


def _text(text: str) -> str:
    """Returns a text with Ansible's markup as Markdown's."""
    plain = re.sub(r"([*<\[])", r"\\\1", " ".join(str(text).split()))
    return _MARK.sub(lambda found: f"`{(found[1] or found[2]).replace(chr(92), '')}`", plain)


MADE: dict[str, Callable[[], str]] = {
    "reference/roles": roles,
    "reference/modules": modules,
    "reference/commands": commands,
    "reference/routes": routes,
}
"""What is made, by the page that it belongs to."""


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    del app
    if page in MADE:
        source[0] += f"\n\n{MADE[page]()}\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Is called by Sphinx."""
    app.add_object_type("roleoption", "roleoption", objname="option of a role")
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
