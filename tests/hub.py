"""A JupyterHub for tests, whose users the machine does not have: it runs with a list of users of its own.

Each user's server is a process of that user, in a home that nobody else reads, as on any Hub on one machine.
"""

import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from boxes import ROOT, SITE_BIN, Box

PASSWORD = "dark-sky"  # noqa: S105  of a Hub that listens on the loopback device for minutes
CLOUD = "site"
OPERATOR = "operator"
"""The entry of the Hub's own clouds.yaml that has the cluster for guests."""
_NOTIFICATION = "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "astrok8s"

# What an installation has, and links to.
_INSTALLED = (ROOT, _CACHE, Path(sys.base_prefix))

# Homes are the Hub's own. That of whoever runs the tests is closed to others, but for what is installed there.
_ENTER = """
set -e
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/group /etc/group
mount --bind {folder}/home /home
mount -t tmpfs tmpfs /mnt
number=0
for path in {installed}; do
  number=$((number + 1)) && mkdir /mnt/$number && mount --bind "$path" /mnt/$number
done
mount -t tmpfs -o mode=755 tmpfs "$HOME"
number=0
for path in {installed}; do
  number=$((number + 1)) && mkdir -p "$path" && mount --bind /mnt/$number "$path"
done
cd /home
exec jupyterhub --config {folder}/jupyterhub_config.py
"""

_CONFIG = """
from jupyterhub.auth import DummyAuthenticator
from jupyterlab_astrok8s import hub


class WithCredentials(DummyAuthenticator):
    async def authenticate(self, handler, data):
        name = await super().authenticate(handler, data)
        return name and {{"name": name, "auth_state": {credentials!r}.get(name)}}


c.JupyterHub.authenticator_class = WithCredentials
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.Authenticator.enable_auth_state = True
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/hubs/"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.db_url = "sqlite:///{folder}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.services = [{{"name": "test", "api_token": {token!r}}}]
scopes = ["admin:users", "tokens", "admin:servers"]
c.JupyterHub.load_roles = [{{"name": "test", "scopes": scopes, "services": ["test"]}}]
c.Spawner.environment = {{"OS_CLOUD": {cloud!r}}}
c.Spawner.default_url = "/lab"
c.Spawner.auth_state_hook = hub.give_credential
give_access = hub.share({shared!r}, cloud={operator!r})


async def share(spawner):
    if spawner.user.name == {guest!r}:
        await give_access(spawner)


c.Spawner.pre_spawn_hook = share
"""


@dataclass
class Hub:
    """A Hub for the cloud of a box.

    Attributes:
        box: The box.
        users: Their names.
        credentials: What the authenticator knows of users: `{"bob": {"openstack": …}}`.
        guest: Whom it gives access to a cluster of the operator's, before the user's server starts.
        shared: That cluster.
        token: What lets the test do what an operator does.
        port: Where it listens, on the loopback device.
        process: Its process.
    """

    box: Box
    users: tuple[str, ...]
    credentials: Mapping[str, Any]
    guest: str
    shared: str
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Where its files are, and the homes of its users."""
        return self.box.folder / "hub"

    def home(self, user: str) -> Path:
        """A user's home, as seen from outside."""
        return self.folder / "home" / user

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._make_users()
        self.port, hub_port, proxy_port = _free_ports(3)
        told = {"folder": self.folder, "port": self.port, "hub_port": hub_port, "proxy_port": proxy_port}
        told |= {"shared": self.shared, "operator": OPERATOR, "guest": self.guest}
        told |= {"password": PASSWORD, "token": self.token, "cloud": CLOUD, "credentials": dict(self.credentials)}
        (self.folder / "jupyterhub_config.py").write_text(_CONFIG.format(**told))
        modules = ROOT / "labextension" / "node_modules" / ".bin"
        own = {"PATH": f"{SITE_BIN}:{modules}:{os.environ['PATH']}", "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32)}
        installed = " ".join(shlex.quote(str(path)) for path in _INSTALLED)
        enter = _ENTER.format(folder=self.folder, installed=installed)
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation=private", "sh", "-c", enter],
                env=self.box.environment | own,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 120
        while True:
            try:
                return self.ask("GET", "hub/api/", self.token).raise_for_status()
            except (requests.ConnectionError, requests.HTTPError):
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.2)

    def stop(self) -> None:
        """Ends it, with the servers of its users."""
        assert self.process
        self.process.terminate()
        self.process.wait()

    def ask(self, verb: str, path: str, token: str, **arguments: Any) -> requests.Response:
        """Asks the Hub, or a server behind it, as whoever has a token."""
        with requests.Session() as session:
            session.trust_env = False  # no proxy
            session.headers["Authorization"] = f"token {token}"
            url = f"http://127.0.0.1:{self.port}/hubs/{path}"
            return session.request(verb, url, timeout=120, allow_redirects=False, **arguments)

    def token_of(self, user: str) -> str:
        """Returns a token with which one does what a user does."""
        answer = self.ask("POST", f"hub/api/users/{user}/tokens", self.token, json={"note": "test"})
        answer.raise_for_status()
        return str(answer.json()["token"])

    def run_as(self, user: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command as a user of the Hub."""
        assert self.process
        enter = ["nsenter", "--mount", f"--target={self.process.pid}", "setpriv", f"--reuid={user}", f"--regid={user}"]
        return subprocess.run(
            [*enter, "--init-groups", *command], capture_output=True, text=True, timeout=60, check=False
        )

    def _make_users(self) -> None:
        self.folder.mkdir()
        for name in ("passwd", "group"):
            (self.folder / name).write_bytes(Path("/etc", name).read_bytes())
        (self.folder / "home").mkdir(mode=0o755)
        for number, user in enumerate(self.users, 45_000):
            with (self.folder / "passwd").open("a") as passwd, (self.folder / "group").open("a") as group:
                passwd.write(f"{user}:x:{number}:{number}::/home/{user}:/bin/sh\n")
                group.write(f"{user}:x:{number}:\n")
            # Else JupyterLab asks about news, and the network about updates.
            settings = self.home(user) / ".jupyter" / "lab" / "user-settings" / _NOTIFICATION
            settings.parent.mkdir(parents=True)
            settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
            for path in (self.home(user), *self.home(user).rglob("*")):
                os.chown(path, number, number)
            self.home(user).chmod(0o700)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
