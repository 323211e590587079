"""Who is told of a validation, and when; and that what is in nightly/ calls what there is."""

import json
import re
import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from astrok8s.cli import app
from astrok8s.errors import OptionError
from astrok8s.validation import Failure, Result, Run
from astrok8s.validation.telling import Listeners, tell

NIGHTLY = Path(__file__).resolve().parents[2] / "nightly"


class Hook(HTTPServer):
    """A webhook: it notes what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, Any]] = []
        self.answer = 200

    @property
    def listeners(self) -> Listeners:
        return Listeners.read([f"http://127.0.0.1:{self.server_port}/secret"])


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text("<p>all of it</p>")
    return path


def run(told: list[str], **status: str) -> Run:
    results = [
        Result(name, name, status, failure=None if status == "passed" else Failure(f"{name} is wrong"))
        for name, status in status.items()
    ]
    return Run("20261224T180000-1f2e3d", "site", "failed", results=results, told=told)


def test_only_changes_are_told(hook: Hook, report: Path) -> None:
    def night(told: list[str], **status: str) -> list[str]:
        ended = run(told, **status)
        assert tell(ended, hook.listeners, report) == []
        return ended.told

    told = night([], stars="passed", sky="passed")  # a first night that is well
    assert hook.got == []
    told = night(told, stars="failed", sky="passed")
    told = night(told, stars="failed", sky="passed")
    assert [got["wrong"] for got in hook.got] == [["stars"]]
    assert "astrok8s on site: stars failed\nstars: stars is wrong\n" in hook.got[0]["text"]
    told = night(told, stars="passed", sky="timed out")
    assert "sky: sky is wrong\nWell again: stars." in hook.got[1]["text"]
    told = night(told, stars="passed", sky="passed")
    assert hook.got[2]["text"].startswith("astrok8s on site is well again\n")
    assert night(told, stars="passed", sky="skipped") == []
    assert len(hook.got) == 3


def test_what_was_not_told_is_told_the_next_night(hook: Hook, report: Path) -> None:
    hook.answer = 503
    first = run([], stars="failed")
    (sentence,) = tell(first, hook.listeners, report)
    assert sentence == "Nobody was told by the webhook at 127.0.0.1: it answered 503. The next run tries again."
    hook.answer = 200
    second = run(first.told, stars="failed")
    assert tell(second, hook.listeners, report) == []
    assert (len(hook.got), second.told) == (2, ["stars"])


def test_nobody_is_told_of_a_run_that_was_interrupted(hook: Hook, report: Path) -> None:
    ended = run([], stars="not run")
    ended.status = "interrupted"
    assert tell(ended, hook.listeners, report) == []
    assert (hook.got, ended.told) == ([], [])


def test_a_server_of_mail_that_is_not_there_is_told(report: Path) -> None:
    ended = run([], stars="failed")
    (sentence,) = tell(ended, Listeners.read(["mailto:ops@site.example"], "127.0.0.1:1"), report)
    assert sentence.startswith("Nobody was told by mail: ")
    assert ended.told == []


@pytest.mark.parametrize(
    ("address", "server", "fact"),
    [
        ("ops@site.example", "localhost", "Nobody can be told at 'ops@site.example'."),
        ("mailto:ops", "localhost", "Nobody can be told at 'mailto:ops'."),
        ("ftp://site.example/x", "localhost", "Nobody can be told at"),
        ("mailto:ops@site.example", "mail:of:us", "'mail:of:us' is no server of mail."),
    ],
)
def test_who_cannot_be_told_is_refused(address: str, server: str, fact: str) -> None:
    with pytest.raises(OptionError, match=re.escape(fact)):
        Listeners.read([address], server)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yields what files of nightly/ run of astrok8s."""
    for path in sorted(path for path in NIGHTLY.iterdir() if path.suffix != ".md"):
        for line in path.read_text().splitlines():
            found = re.search(r"astrok8s\W+notebooks\W+run\b([^#>\]]*)", line)
            if found and not line.lstrip().startswith("#"):
                yield path.name, shlex.split(found[1].replace(",", " ").replace("$ASTROK8S_ARGUMENTS", ""))


def test_what_is_in_nightly_calls_what_there_is(tmp_path: Path) -> None:
    found = dict(commands())
    assert {*found} == {
        "astrok8s-validate.service", "cronjob.yaml", "crontab", "github-actions.yml", "gitlab-ci.yml"
    }  # fmt: skip
    for name, arguments in found.items():
        # A folder without notebooks is refused, after all arguments were read.
        ran = CliRunner().invoke(app, ["notebooks", "run", *arguments, "--folder", str(tmp_path)])
        assert "There is no notebook in" in " ".join(ran.output.split()), f"{name}: {ran.output}"


@pytest.mark.parametrize("path", sorted(NIGHTLY.glob("*.y*ml")), ids=lambda path: path.name)
def test_what_is_in_nightly_is_yaml(path: Path) -> None:
    assert all(yaml.safe_load_all(path.read_text()))
