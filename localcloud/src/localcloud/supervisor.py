"""supervisord: keeps every process of localcloud running, and is asked over its socket."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import Faults, SupervisorTransport

from localcloud.program import Program
from localcloud.settings import Settings

START_TIMEOUT = 15.0
"""Seconds for supervisord to answer on its socket."""

KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER")
"""Variables that supervisord and all of its programs keep."""

_HEAD = """\
[supervisord]
logfile = {logs}/supervisord.log
pidfile = {run}/supervisord.pid
directory = {home}
[unix_http_server]
file = {socket}
chmod = 0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{socket}
[include]
files = {groups}/*.conf
"""


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _section(program: Program, log: Path, name: str | None = None) -> str:
    environment = ",".join(f'{key}="{_escape(value)}"' for key, value in program.environment.items())
    command = " ".join("'" + _escape(word).replace("'", "'\\''") + "'" for word in program.command)
    lines = [
        f"[program:{name or program.name}]",
        f"command = {command}",
        f"priority = {program.priority}",
        f"startsecs = {program.start_seconds}",
        f"stopwaitsecs = {program.stop_seconds}",
        f"stopsignal = {program.stop_signal}",
        # a component waits for others by failing: never give it up
        "startretries = 1000000",
        f"autostart = {str(program.autostart).lower()}",
        "autorestart = true",
        "stopasgroup = true",
        "killasgroup = true",
        "redirect_stderr = true",
        f"stdout_logfile = {_escape(str(log))}",
        "stdout_logfile_maxbytes = 10MB",
        "stdout_logfile_backups = 1",
    ]
    if environment:
        lines.append(f"environment = {environment}")
    return "\n".join(lines) + "\n"


class Supervisor:
    """The supervisord of one localcloud.

    Args:
        settings: Of that localcloud.
    """

    _lock = threading.Lock()  # reloading and adding must not interleave

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._groups = settings.etc / "supervisor.d"

    def _rpc(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.settings.supervisor_socket}")
        return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor

    def running(self) -> bool:
        """Return whether supervisord answers."""
        try:
            self._rpc().getState()
        except (OSError, xmlrpc.client.Error):
            return False
        return True

    def start(self, programs: Iterable[Program]) -> None:
        """Start supervisord with these programs and every group that is kept on disk.

        Raises:
            RuntimeError: It does not answer in time.
        """
        settings = self.settings
        for folder in (settings.etc, settings.run, settings.logs, self._groups):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        head = _HEAD.format(
            home=settings.home,
            logs=settings.logs,
            run=settings.run,
            socket=settings.supervisor_socket,
            groups=self._groups,
        )
        # pdeathsig: nothing of ours outlives a killed supervisord, so the next `up` starts clean
        parts = [_section(_tied(program), settings.logs / f"{program.name}.log") for program in programs]
        configuration = settings.etc / "supervisord.conf"
        configuration.write_text(head + "".join(parts))
        configuration.chmod(0o600)
        command = [str(Path(sys.executable).parent / "supervisord"), "-c", str(configuration)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_clean_environment())
        if done.returncode:
            raise RuntimeError(f"supervisord did not start: {done.stdout}{done.stderr}")
        deadline = time.monotonic() + START_TIMEOUT
        while not self.running():
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"supervisord does not answer on {settings.supervisor_socket} after {START_TIMEOUT:.0f} s; "
                    f"see {settings.logs / 'supervisord.log'}"
                )
            time.sleep(0.05)

    def shutdown(self, timeout: float = 90.0) -> None:
        """Stop every program and supervisord itself; return when all are gone.

        Raises:
            RuntimeError: It is still there after ``timeout`` seconds.
        """
        pidfile = self.settings.run / "supervisord.pid"
        if not self.running():
            return
        pid = int(pidfile.read_text())
        self._rpc().shutdown()
        deadline = time.monotonic() + timeout
        while _alive(pid):
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"supervisord (PID {pid}) did not stop within {timeout:.0f} s; see `localcloud status`"
                )
            time.sleep(0.05)

    def processes(self) -> list[dict[str, Any]]:
        """Return what supervisord knows of each process (its getAllProcessInfo)."""
        return list(self._rpc().getAllProcessInfo())

    def groups(self) -> set[str]:
        """Return the names of the groups that run."""
        return {process["group"] for process in self.processes()}

    def programs(self, group: str) -> set[str]:
        """Return the names of a group's programs."""
        return {p["name"].removeprefix(f"{group}.") for p in self.processes() if p["group"] == group}

    def add_groups(self, groups: dict[str, list[Program]], logs: Path) -> None:
        """Start groups of programs, and keep them for the next start of supervisord.

        Args:
            groups: Programs by the group's name; a group that already runs is left as it is.
            logs: Folder of a folder of log files per group.
        """
        for name, programs in groups.items():
            (logs / name).mkdir(parents=True, exist_ok=True, mode=0o700)
            names = ",".join(f"{name}.{program.name}" for program in programs)
            sections = [_section(p, logs / name / f"{p.name}.log", f"{name}.{p.name}") for p in programs]
            temporary = self._groups / f".{name}.new"
            temporary.write_text(f"[group:{name}]\nprograms = {names}\n" + "".join(sections))
            os.replace(temporary, self._groups / f"{name}.conf")
        with self._lock:
            rpc = self._rpc()
            rpc.reloadConfig()
            for name in groups:
                try:
                    rpc.addProcessGroup(name)
                except xmlrpc.client.Fault as fault:
                    if fault.faultCode != Faults.ALREADY_ADDED:
                        raise

    def remove_group(self, name: str, first: str) -> None:
        """Stop a group, beginning with one program, and forget it.

        Args:
            name: The group.
            first: Program whose end takes the others along.
        """
        (self._groups / f"{name}.conf").unlink(missing_ok=True)
        with self._lock:
            rpc = self._rpc()
            if name not in self.groups():
                return
            _unless_stopped(rpc.stopProcess, f"{name}:{name}.{first}")
            rpc.stopProcessGroup(name)
            rpc.reloadConfig()
            rpc.removeProcessGroup(name)

    def restart(self, group: str, program: str) -> None:
        """Stop one program of a group, wait for its end, and start it again."""
        name = f"{group}:{group}.{program}"
        rpc = self._rpc()
        _unless_stopped(rpc.stopProcess, name)
        _unless_stopped(rpc.startProcess, name, False)  # do not wait

    def signal(self, group: str, program: str, action: str) -> None:
        """Start or stop one program of a group (``action``: ``start`` or ``stop``)."""
        rpc = self._rpc()
        arguments: tuple[Any, ...] = (f"{group}:{group}.{program}", False)  # do not wait
        _unless_stopped(rpc.startProcess if action == "start" else rpc.stopProcess, *arguments)


def _unless_stopped(call: Any, *arguments: Any) -> None:
    try:
        call(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode not in (Faults.NOT_RUNNING, Faults.ALREADY_STARTED, Faults.BAD_NAME):
            raise


def _tied(program: Program) -> Program:
    command = ["setpriv", "--pdeathsig", "KILL", *program.command]
    return Program(**{**vars(program), "command": command})


def _clean_environment() -> dict[str, str]:
    """Return the environment of a service: who calls us must not matter, nor what marks or secrets it carries."""
    return {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(("LC_", "XDG_"))}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
