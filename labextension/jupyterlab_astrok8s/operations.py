"""Long work, in processes that outlive the request and Jupyter's server.

An operation is a folder: `request.json` says what it is to do, `events.jsonl` what it did, an event a line, and `lock`
is held by its process while that lives. The server starts processes and reads their folders, so that it can be
restarted in the middle. Nothing in there is needed to find a cluster again: that is the cloud's to know.
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

Verb = Literal["provision", "resize", "destroy", "grant", "revoke"]

_CANCELLED = "cancelled"
_LOG_BYTES = 100_000


@dataclass(frozen=True)
class Operation:
    """One piece of long work.

    Attributes:
        folder: Its folder, whose name is its identity.
    """

    folder: Path

    @property
    def id(self) -> str:
        """Its identity; those of later ones come later in the order of text."""
        return self.folder.name

    @property
    def request(self) -> dict[str, Any]:
        """What it is to do: `verb`, `cluster`, `arguments`, `started` (ISO 8601, UTC)."""
        request: dict[str, Any] = json.loads((self.folder / "request.json").read_text(encoding="utf-8"))
        return request

    def describe(self) -> dict[str, Any]:
        """Returns what is known of it, as the schema `Operation` of openapi.yaml says."""
        alive = self._is_alive()  # asked first: all that it wrote before its end is read then
        events = self._events()
        end = next((event for event in events if event["kind"] == "end"), None)
        steps = [{"title": event["title"], "began": event["at"]} for event in events if event["kind"] == "step"]
        told: dict[str, Any] = {"id": self.id, **self.request, "steps": steps}
        if end:
            return told | {"state": end["state"], "ended": end["at"], "error": end["error"]}
        if alive:
            return told | {"state": "running", "ended": None, "error": None}
        return told | {"state": "lost", "ended": self._last_sign(), "error": self._lost(told)}

    def log(self) -> str:
        """Returns the end of what it printed, 100 kB at most; after a failure, all of Ansible's output is in it."""
        with (self.folder / "log").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_BYTES))
            return file.read().decode(errors="replace")

    def cancel(self) -> None:
        """Interrupts it, as Ctrl-C does; it takes a moment to end."""
        # It looks for this file after it has written which process it is: one of the two is always seen.
        (self.folder / _CANCELLED).touch()
        process = next((event["process"] for event in self._events() if event["kind"] == "begin"), None)
        if process is None:
            return
        with suppress(OSError):  # it has ended; the kernel has several words for what its number means since
            descriptor = os.pidfd_open(process)
            try:
                if self._is_alive():  # then it is still this process that the descriptor means
                    signal.pidfd_send_signal(descriptor, signal.SIGINT)
            finally:
                os.close(descriptor)

    def go_on(self) -> str:
        """Returns what to do where it was ended before its time."""
        return {
            "provision": "Make it again under the same name to finish it, or destroy it.",
            "resize": "Resize it again to finish that.",
            "destroy": "Destroy it again to finish that.",
            "grant": "Grant it again.",
            "revoke": "Revoke it again to finish that.",
        }[self.request["verb"]]

    def is_cancelled(self) -> bool:
        """Whether somebody has asked for its end."""
        return (self.folder / _CANCELLED).exists()

    def is_running(self) -> bool:
        """Whether it goes on; its process may take a moment more to end."""
        return bool(self.describe()["state"] == "running")

    def write(self, kind: str, **event: Any) -> None:
        """Writes an event; for its own process."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, "at": at, **event}) + "\n")

    def _events(self) -> list[dict[str, Any]]:
        try:
            whole = (self.folder / "events.jsonl").read_bytes().split(b"\n")[:-1]  # the last line may be on its way
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in whole]

    def _is_alive(self) -> bool:
        with (self.folder / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def _last_sign(self) -> str:
        written = max(path.stat().st_mtime for path in self.folder.iterdir())
        return datetime.fromtimestamp(written, UTC).isoformat(timespec="milliseconds")

    def _lost(self, told: Mapping[str, Any]) -> dict[str, str]:
        fact = f"The process that was to {told['verb']} was killed; {told['cluster']} was left as it was then."
        return {"fact": fact, "remedy": self.go_on()}


class Operations:
    """The operations of one user.

    Args:
        folder: Where they are kept.
        keep: For how long, after their end.
    """

    def __init__(self, folder: Path, keep: timedelta) -> None:
        self._folder = folder
        self._keep = keep
        self._ended: dict[str, dict[str, Any]] = {}  # these change no more

    def describe(self) -> list[dict[str, Any]]:
        """Returns what is known of each, the oldest first. Those that have ended long ago go."""
        oldest = (datetime.now(UTC) - self._keep).isoformat()
        found = []
        for operation in self._all():
            with suppress(FileNotFoundError):  # removed meanwhile
                told = self._ended.get(operation.id) or operation.describe()
                if told["state"] != "running":
                    self._ended[operation.id] = told
                if told["ended"] and told["ended"] < oldest:
                    self.remove(operation)
                else:
                    found.append(told)
        return found

    def get(self, identity: str) -> Operation | None:
        """Finds one by its identity."""
        return next((operation for operation in self._all() if operation.id == identity), None)

    def running(self, cluster: str) -> Operation | None:
        """Finds the one that works on a cluster."""
        at_work = (operation for operation in self._all() if operation.is_running())
        return next((operation for operation in at_work if operation.request["cluster"] == cluster), None)

    def remove(self, operation: Operation) -> None:
        """Forgets one that has ended."""
        shutil.rmtree(operation.folder)
        self._ended.pop(operation.id, None)

    def start(self, verb: Verb, cluster: str, arguments: Mapping[str, Any]) -> Operation:
        """Starts one.

        Args:
            verb: What is done to the cluster.
            cluster: Its name.
            arguments: Those of the function of that name, beside the cluster.

        Returns:
            The operation, which runs.
        """
        now = datetime.now(UTC)
        request = {"verb": verb, "cluster": cluster, "arguments": dict(arguments)}
        request["started"] = now.isoformat(timespec="milliseconds")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        operation = Operation(self._folder / f"{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}")
        new = self._folder / f".{operation.id}"
        new.mkdir(mode=0o700)
        (new / "request.json").write_text(json.dumps(request), encoding="utf-8")
        with (new / "lock").open("w") as lock, (new / "log").open("w") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the process inherits it with the open file, and holds it until it ends
            new.rename(operation.folder)
            # setsid --fork, so that init reaps it and not the server, which may be gone by then.
            subprocess.run(
                ["setsid", "--fork", sys.executable, "-m", "jupyterlab_astrok8s.work", operation.folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock.fileno()],
                check=True,
            )
        return operation

    def _all(self) -> Iterator[Operation]:
        found = (path for path in sorted(self._folder.glob("[0-9]*")) if (path / "lock").exists())
        return (Operation(path) for path in found)
