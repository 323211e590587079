"""Runs a playbook for one cluster, and turns its failure into a typed error."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ansible_runner
import psutil

from astrok8s._errors import ProvisionError
from astrok8s._paths import ansible_root, collections_path

Event = Mapping[str, Any]
Say = Callable[[str], None]

KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "OS_CLOUD", "OS_CLIENT_CONFIG_FILE")
"""The playbook's environment: ansible-runner writes it to a file, so no OS_PASSWORD and the like."""

KEPT_FAMILIES = ("ASTROK8S_", "LC_", "LOCALCLOUD_", "XDG_", "SSL_CERT_", "REQUESTS_CA_")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def run(playbook: str, name: str, variables: Mapping[str, Any], say: Say) -> dict[str, Any]:
    """Run a playbook on an inventory of one cluster.

    Args:
        playbook: Its path below the folder of the Ansible content.
        name: The cluster's name, which is the inventory host.
        variables: Extra variables; they keep their types.
        say: Called with what is being done.

    Returns:
        What the playbook set with set_stats.

    Raises:
        ProvisionError: A task failed, or the playbook could not be read.
        KeyboardInterrupt: Ctrl-C; the playbook and its modules have been ended.
    """
    events: list[Event] = []
    stage = _Stage(say)
    mark = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="astrok8s-") as folder, _interrupt() as interrupted:
        runner = ansible_runner.interface.init_runner(
            private_data_dir=folder,
            playbook=str(ansible_root() / playbook),
            inventory=_inventory(name, variables),
            extravars=dict(variables),
            event_handler=_handler(events, stage),
            cancel_callback=interrupted.is_set,
            settings={"pexpect_timeout": 1},
            quiet=True,
        )
        runner.config.env = environment(runner.config.env, mark)
        try:
            runner.run()
            with runner.stdout as stream:
                output = stream.read()
        finally:
            stage.end()
            _end_processes(mark)
        if interrupted.is_set():
            raise KeyboardInterrupt(f"interrupted; the next run finishes cluster {name}, destroy takes it away")
        if runner.status != "successful":
            raise error_from(events, output, runner.status)
    return _stats(events)


def environment(given: Mapping[str, str], mark: str) -> dict[str, str]:
    """Return the playbook's environment: what it needs, and no secrets.

    Args:
        given: The environment that ansible-runner prepared.
        mark: Marks the processes of this run.
    """
    env = {
        key: value
        for key, value in given.items()
        if key in KEPT or key.startswith(KEPT_FAMILIES) or key.lower() in PROXIES
        # ansible-runner's own, which were not in this process's environment.
        or (key not in os.environ and key.startswith(("ANSIBLE_", "AWX_", "RUNNER_")))
    }  # fmt: skip
    root = ansible_root()
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    env["ANSIBLE_CONFIG"] = str(root / "ansible.cfg")
    env["ANSIBLE_COLLECTIONS_PATH"] = str(collections_path())
    env["ANSIBLE_ROLES_PATH"] = str(root / "roles")
    env["ASTROK8S_RUN"] = mark
    return env


def error_from(events: list[Event], output: str, status: str = "failed") -> ProvisionError:
    """Return the error that a failed run's events tell of.

    Args:
        events: Those of ansible-runner, in order.
        output: All that Ansible printed.
        status: The run's status, for when no event says more.
    """
    for event in reversed(events):
        data = event.get("event_data", {})
        if event.get("event") in ("runner_on_failed", "runner_on_unreachable") and not data.get("ignore_errors"):
            return ProvisionError(
                _message(data.get("res") or {}),
                role=data.get("role", ""),
                task=data.get("task", ""),
                remedy="Set that right and run it again: it goes on where it stopped.",
                output=output,
            )
    tail = "\n".join(line for line in output.splitlines() if line.strip())[-2000:]
    return ProvisionError(tail or f"ansible-playbook ended with status {status} and printed nothing", output=output)


def _message(result: Mapping[str, Any]) -> str:
    """Return what a task's result says went wrong."""
    if result.get("censored"):
        return "the task failed, and its result is kept secret because it has credentials in it"
    if errors := result.get("argument_errors"):
        return "; ".join(map(str, errors))
    failed = [item for item in result.get("results", []) if item.get("failed") or item.get("unreachable")]
    if failed:
        return "; ".join(dict.fromkeys(_message(item) for item in failed))
    message = result.get("msg") or result.get("stderr") or result.get("module_stderr") or "it failed without a message"
    return str(message).strip()


def _inventory(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return an inventory of one cluster; like inventory/local it starts this machine's own cloud, where that is."""
    local = variables.get("cloud_name") == "local" and Path(sys.executable).with_name("localcloud").exists()
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "cloud_localcloud": local}
    return {"clusters": {"hosts": {name: host}}}


class _Stage:
    """Says what is being done, once it takes a moment: skipped tasks and quick ones are no news.

    Args:
        say: Called with the text, from another thread.
    """

    MOMENT = 0.5
    """Seconds."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._timer: threading.Timer | None = None

    def begin(self, text: str) -> None:
        self.end()
        self._timer = threading.Timer(self.MOMENT, self._say, [text])
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        if self._timer:
            self._timer.cancel()


def _handler(events: list[Event], stage: _Stage) -> Callable[[Event], bool]:
    """Return an event handler that keeps the failures and the statistics, and tells each task."""

    def handle(event: Event) -> bool:
        kind, data = event.get("event", ""), event.get("event_data", {})
        if kind == "playbook_on_task_start":
            stage.begin(": ".join(part for part in (data.get("role"), data["task"]) if part))
        elif kind in ("runner_on_failed", "runner_on_unreachable", "playbook_on_stats"):
            events.append(event)
        return False  # keep no file of it

    return handle


def _stats(events: list[Event]) -> dict[str, Any]:
    for event in reversed(events):
        if event.get("event") == "playbook_on_stats":
            return dict(event["event_data"].get("artifact_data") or {})
    return {}


@contextmanager
def _interrupt() -> Iterator[threading.Event]:
    """Turn Ctrl-C into an event; only the main thread may, others are not interrupted."""
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
    """End what a cancelled run left: a module's process is not in the playbook's group."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("ASTROK8S_RUN") == mark:
                process.kill()
