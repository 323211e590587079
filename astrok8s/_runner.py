"""Runs a playbook for one cluster, and turns its failure into a typed error."""

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ansible_runner
import psutil
import yaml

from astrok8s import _private
from astrok8s._content import content_dir
from astrok8s.errors import ProvisionError

Event = Mapping[str, Any]
Say = Callable[[str], None]

# The environment of a playbook. ansible-runner writes it into a file, so nothing like OS_PASSWORD is in it.
_KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "OS_CLIENT_CONFIG_FILE")
_KEPT_FAMILIES = ("LC_", "XDG_", "SSL_CERT_", "REQUESTS_CA_")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")
# The module that makes clusters.
_MAKER = "astrok8s.magnum.cluster"
# All roles check first what they were given.
_CHECK = "/tasks/check.yml:"
# Marks the processes of a run.
_MARK = "ASTROK8S_RUN"


def run(playbook: str, name: str, variables: Mapping[str, Any], say: Say, begin: Say = lambda _: None) -> set[str]:
    """Runs a playbook on an inventory of one cluster.

    Args:
        playbook: Its path in the Ansible content.
        name: The cluster's name, which is the inventory host.
        variables: Variables that win over all others; they keep their types.
        say: Takes what is being done.
        begin: Takes the name of each role that begins, but for what it only checks.

    Returns:
        The UUIDs of the clusters that the playbook has made.

    Raises:
        ProvisionError: A task failed, or the playbook could not be run.
        KeyboardInterrupt: Ctrl-C; the playbook and its modules have been ended.
    """
    failures: list[Event] = []
    made: set[str] = set()
    news = _News(say)
    mark = secrets.token_hex(8)
    with _private.temporary() as path, _interrupt() as interrupted:
        folder = str(path)
        runner = ansible_runner.interface.init_runner(
            private_data_dir=folder,
            playbook=str(content_dir() / playbook),
            inventory=_inventory(name),
            extravars=dict(variables),
            event_handler=_handler(failures, made, news, begin),
            cancel_callback=interrupted.is_set,
            settings={"pexpect_timeout": 1},  # how soon it looks whether it is cancelled, in seconds
            quiet=True,
        )
        # What modules are unpacked into goes with the folder, however they end.
        temporary = dict.fromkeys(("TMPDIR", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP"), folder)
        runner.config.env = environment(runner.config.env) | temporary | {_MARK: mark}
        try:
            runner.run()
            with runner.stdout as stream:
                output = stream.read()
        finally:
            news.end()
            _end_processes(mark)
    if interrupted.is_set():
        raise KeyboardInterrupt
    if runner.status != "successful":
        raise error_from(failures, output, runner.status)
    return made


def environment(prepared: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a playbook: what it needs, and no secret.

    Args:
        prepared: What ansible-runner prepared, this process's own among it.
    """
    kept = {
        key: value
        for key, value in prepared.items()
        if key in _KEPT
        or key.startswith(_KEPT_FAMILIES)
        or key.lower() in _PROXIES
        or (key.startswith(("ANSIBLE_", "AWX_", "RUNNER_")) and key not in os.environ)  # ansible-runner's own
    }
    programs = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return kept | {"PATH": programs, "ANSIBLE_CONFIG": str(content_dir() / "ansible.cfg")}


def error_from(failures: list[Event], output: str, status: str) -> ProvisionError:
    """Returns the error of a run.

    Args:
        failures: The events of tasks that failed, in their order.
        output: All that Ansible printed.
        status: The run's status.
    """
    for event in reversed(failures):
        data = event["event_data"]
        if not data.get("ignore_errors"):
            message = message_of(data.get("res") or {})
            return ProvisionError(message, role=data.get("role", ""), task=data.get("task", ""), output=output)
    tail = "\n".join(line for line in output.splitlines() if line.strip())[-2000:]
    return ProvisionError(tail or f"ansible-playbook ended with status {status}, and printed nothing.", output=output)


def message_of(result: Mapping[str, Any]) -> str:
    """Returns what the result of a task says went wrong."""
    if result.get("censored"):
        return "The task failed; its result holds credentials and is kept secret."
    failed = [item for item in result.get("results", []) if item.get("failed") or item.get("unreachable")]
    if failed:
        return " ".join(dict.fromkeys(message_of(item) for item in failed))
    said = (result.get(key) for key in ("msg", "stderr", "module_stderr"))
    # A command says why on its standard error, and Ansible only that it failed.
    if "cmd" in result and result.get("stderr"):
        return str(result["stderr"]).strip()
    return next((str(text).strip() for text in said if text), "The task failed without a message.")


def _inventory(name: str) -> dict[str, Any]:
    """Returns an inventory of one cluster, with the variables of inventory/local."""
    local = yaml.safe_load((content_dir() / "inventory/local/hosts.yml").read_text(encoding="utf-8"))
    return {"clusters": {"hosts": {name: None}, "vars": local["clusters"]["vars"]}}


class _News:
    """Says what is being done, once it takes a moment: quick tasks are no news.

    Args:
        say: Takes the text, from another thread.
    """

    MOMENT_S = 0.5

    def __init__(self, say: Say) -> None:
        self._say = say
        self._timer = threading.Timer(0, say)

    def begin(self, text: str) -> None:
        """Takes what has begun."""
        self.end()
        self._timer = threading.Timer(self.MOMENT_S, self._say, [text])
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Ends what has begun."""
        self._timer.cancel()


def _handler(failures: list[Event], made: set[str], news: _News, begin: Say) -> Callable[[Event], bool]:
    """Returns an event handler that tells each task, and keeps the failures and the UUIDs of clusters that are made."""

    def handle(event: Event) -> bool:
        kind, data = event["event"], event.get("event_data", {})
        if kind == "playbook_on_task_start":
            if data.get("role") and _CHECK not in data.get("task_path", ""):
                begin(data["role"])
            news.begin(": ".join(part for part in (data.get("role"), data["task"]) if part))
        elif kind in ("runner_on_failed", "runner_on_unreachable"):
            failures.append(event)
        elif kind == "runner_on_ok" and data.get("task_action") == _MAKER and data["res"].get("created"):
            made.add(data["res"]["cluster"]["uuid"])
        return False  # keep no file of it

    return handle


@contextmanager
def _interrupt() -> Iterator[threading.Event]:
    """Turns Ctrl-C into an event; only the main thread gets one."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.signal(signal.SIGINT, lambda *_: event.set())
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)


def _end_processes(mark: str) -> None:
    """Ends what a cancelled run left: the process of a module is not in the playbook's group."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(_MARK) == mark:
                process.kill()
