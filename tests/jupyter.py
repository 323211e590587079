"""A Jupyter server for tests, a process of its own, as whoever has installed the extension starts it."""

import secrets
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

import requests
from boxes import SITE_BIN, Box


@dataclass
class Jupyter:
    """A Jupyter server that uses the cloud of a box.

    Attributes:
        box: The box; files of the server are in its folder, and stay when it ends.
        base: The path below which it serves, as a hub's users have one; empty for none.
        token: What lets one in.
        port: Where it listens, on the loopback device.
    """

    box: Box
    base: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        if not self.port:  # started again, it is where it was
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        folder = self.box.folder / "jupyter"
        folder.mkdir(exist_ok=True)
        kinds = ("JUPYTER_CONFIG", "JUPYTER_DATA", "JUPYTER_RUNTIME", "JUPYTERLAB_SETTINGS", "JUPYTERLAB_WORKSPACES")
        own = {f"{kind}_DIR": str(folder / kind.split("_")[1].lower()) for kind in kinds}
        options = ["--no-browser", "--allow-root", "--ServerApp.port_retries=0", f"--ServerApp.port={self.port}"]
        options.append(f"--ServerApp.base_url={self.base}/")
        with (folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [str(SITE_BIN / "jupyter-server"), *options, f"--IdentityProvider.token={self.token}"],
                cwd=folder,
                env=self.box.environment | own | {"OS_CLOUD": self.box.name},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.get("/api/status").raise_for_status()
            except requests.ConnectionError:
                assert self.process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}{self.base}"

    def stop(self) -> None:
        """Ends it."""
        assert self.process
        self.process.terminate()
        self.process.wait()

    def ask(self, verb: str, path: str, **arguments: Any) -> requests.Response:
        """Asks it, as whoever has the token."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy
            session.headers["Authorization"] = f"token {self.token}"
            return session.request(verb, f"{self.url}{path}", timeout=60, **arguments)

    def get(self, path: str) -> requests.Response:
        """Asks it for something."""
        return self.ask("GET", path)
