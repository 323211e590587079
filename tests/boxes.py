"""Boxes for tests: the command as a user types it, with a home, a clouds.yaml and a name of the test's own."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCALCLOUD_BIN = ROOT / "localcloud" / ".venv" / "bin"
KUBECTL = ROOT / "localcloud" / ".venv" / "builds" / "kubernetes" / "kubectl"
SITE_BIN = ROOT / ".venv" / "bin"

# The variables of every inventory: all is done through APIs, from where Ansible runs.
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}

# The repository of tests.
FQRN = "sw.example.org"


@dataclass(frozen=True)
class Box:
    """A box of a test.

    Attributes:
        name: Its name, which ends with the process of the test run; the developer's own cloud has another.
        folder: The test's folder, which holds its home and its clouds.yaml.
    """

    name: str
    folder: Path

    @property
    def home(self) -> Path:
        """The home of the box."""
        return self.folder / "state" / "astrok8s" / self.name

    @property
    def clouds(self) -> Path:
        """The clouds.yaml that the clients read."""
        return self.folder / "clouds.yaml"

    @property
    def network(self) -> str:
        """The network of the box, once it was started."""
        return (self.home / "network").read_text().strip()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command that sees the box's home and clouds.yaml, and nothing of the user's own."""
        # The caller's environment decides nothing else: CI's is almost empty, a developer's names clouds of his own.
        own = {key: value for key in ("PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR") if (value := os.environ.get(key))}
        own |= {"XDG_STATE_HOME": str(self.folder / "state"), "OS_CLIENT_CONFIG_FILE": str(self.clouds)}
        own |= {"SHELL": "/bin/sh"}  # `openstack coe cluster config` fails without one
        return own | {"LANG": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "COLUMNS": "200"}

    def run(self, *command: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the box's environment, with what is given beside it."""
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment | environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def localcloud(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `localcloud` on this box."""
        return self.run(str(LOCALCLOUD_BIN / "localcloud"), *arguments, "--name", self.name)

    def publish(self, fqrn: str, tree: Path) -> dict[str, str]:
        """Publishes a folder as a CVMFS repository, and returns what the command tells of it."""
        run = self.localcloud("cvmfs", "publish", fqrn, str(tree), "--ttl", "5")
        assert run.returncode == 0, run.stderr
        return dict(re.split(r": +", line, maxsplit=1) for line in run.stdout.splitlines()[1:])

    def openstack(self, *arguments: str, cloud: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the unmodified `openstack` client as the cloud's user."""
        return self.run(str(LOCALCLOUD_BIN / "openstack"), "--os-cloud", cloud or self.name, *arguments)

    def playbook(
        self, playbook: str, *arguments: str, clusters: Sequence[str], **variables: object
    ) -> subprocess.CompletedProcess[str]:
        """Runs a playbook as an operator does, with an inventory of clusters in this box.

        Args:
            playbook: Its path in the repository.
            arguments: Of `ansible-playbook`.
            clusters: The hosts of the inventory.
            variables: Of all of them.
        """
        return self.run(*self.playbook_command(playbook, *arguments, clusters=clusters, **variables))

    def playbook_command(
        self, playbook: str, *arguments: str, clusters: Sequence[str], **variables: object
    ) -> list[str]:
        """Returns the command of `playbook`."""
        values = LOCAL | {"cloud_name": self.name, "cloud_localcloud": True} | variables
        inventory = self.folder / f"{'-'.join(clusters)}.json"
        inventory.write_text(json.dumps({"clusters": {"hosts": dict.fromkeys(clusters), "vars": values}}))
        return [str(SITE_BIN / "ansible-playbook"), f"--inventory={inventory}", playbook, *arguments]

    def cluster_status(self, cluster: str) -> subprocess.CompletedProcess[str]:
        """Asks the unmodified client for a cluster's status, and the reason for it."""
        columns = ("-c", "status", "-c", "status_reason")
        return self.openstack("coe", "cluster", "show", cluster, "-f", "value", *columns)

    def wait_for_cluster(self, cluster: str, status: str) -> None:
        """Waits until Magnum says that a cluster has a status; a failure ends the wait."""
        answer = until(
            lambda: self.cluster_status(cluster),
            lambda run: run.stdout.startswith(status) or "_FAILED" in run.stdout,
            timeout_s=300,
        )
        assert answer.stdout.startswith(status), answer.stdout + self.localcloud("logs", "rack").stdout

    def delete_cluster(self, cluster: str) -> None:
        """Deletes a cluster, and waits until Magnum does not list it any more."""
        run = self.openstack("coe", "cluster", "delete", cluster)
        assert run.returncode == 0, run.stderr
        until(
            lambda: self.openstack("coe", "cluster", "list", "-f", "value", "-c", "name"),
            # While it is being deleted, Magnum may refuse the whole list.
            lambda run: run.returncode == 0 and cluster not in run.stdout.split(),
        )

    def kubectl(self, cluster: str, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs kubectl with the kubeconfig that the unmodified `openstack` client writes."""
        folder = self.folder / f"{self.name}-{cluster}"
        if not folder.exists():
            folder.mkdir()
            written = self.openstack("coe", "cluster", "config", cluster, "--dir", str(folder))
            assert written.returncode == 0, written.stderr
        return self.run(str(KUBECTL), f"--kubeconfig={folder / 'config'}", *arguments, stdin=stdin)

    def nodes(self, cluster: str) -> dict[str, dict[str, Any]]:
        """Returns the nodes of a cluster that are Ready, by name."""
        run = self.kubectl(cluster, "get", "nodes", "--output=json")
        assert run.returncode == 0, run.stderr
        ready = {"type": "Ready", "status": "True"}.items()
        return {
            node["metadata"]["name"]: node
            for node in json.loads(run.stdout)["items"]
            if any(ready <= condition.items() for condition in node["status"]["conditions"])
        }

    def holder(self) -> int | None:
        """Returns the process that holds the box, None where there is none."""
        return next((process for process, home in _holders() if home == self.home), None)


def _holders() -> Iterator[tuple[int, Path]]:
    """Yields the process and the home of every box on this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_text(errors="replace").rstrip("\0").split("\0")
        except OSError:
            continue
        if command[0] == "unshare" and "localcloud.inside" in command:
            yield int(path.parent.name), Path(command[-1])


def left_over() -> list[Box]:
    """Returns the boxes of test runs that were killed: they lie in a folder of pytest's, and their run has ended."""
    found = []
    for _, home in _holders():
        run = re.search(r"\d+$", home.name)
        of_a_test = any(part.startswith("pytest-of-") for part in home.parts)
        if run and of_a_test and not Path("/proc", run.group()).exists():
            found.append(Box(home.name, home.parents[2]))
    return found


def until(
    ask: Callable[[], subprocess.CompletedProcess[str]],
    predicate: Callable[[subprocess.CompletedProcess[str]], bool],
    timeout_s: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Asks a command again until its answer is as wanted.

    Args:
        ask: Runs the command.
        predicate: Whether an answer is as wanted.
        timeout_s: The deadline, in seconds from now.

    Returns:
        The answer.
    """
    deadline = time.monotonic() + timeout_s
    while not predicate(answer := ask()):
        assert time.monotonic() < deadline, f"still after {timeout_s} s: {answer.stdout} {answer.stderr}"
        time.sleep(0.1)
    return answer


# Kernel settings that Kubernetes would change.
MACHINE_SETTINGS = ("net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")

# A pod that writes into a volume of the default StorageClass, and ends.
VOLUME = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: volume}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Mi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  restartPolicy: Never
  containers:
    - name: writer
      image: localcloud/busybox:1
      command: [sh, -c, "echo kept > /volume/file && cat /volume/file"]
      volumeMounts: [{name: volume, mountPath: /volume}]
  volumes:
    - name: volume
      persistentVolumeClaim: {claimName: volume}
"""

# A web server on every worker that says which pod it is, and keeps a mark in a folder of its node.
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: web}}
      containers:
        - name: web
          image: localcloud/busybox:1
          command: [sh, -c, "hostname | tee /tmp/index.html >>/mark/pods; exec httpd -f -p 80 -h /tmp"]
          readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 1}
          volumeMounts: [{name: mark, mountPath: /mark}]
      volumes:
        - name: mark
          hostPath: {path: /srv/mark, type: DirectoryOrCreate}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80}]
"""


def traces(box: Box, network: str) -> list[str]:
    """Returns what the machine still has of a box that should be gone.

    Args:
        box: The box.
        network: The network that it had.
    """
    prefix = ".".join(network.split(".")[:2]) + "."
    found = [f"process {box.holder()}"] if box.holder() else []
    for command in ("ip -o link show", "ip -o address show", "ip route show table all", "iptables-save"):
        lines = subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout.splitlines()
        pattern = re.compile(rf"\blc-{box.name}\b|\b{re.escape(prefix)}")
        found += [f"{command}: {line}" for line in lines if pattern.search(line)]
    found += [f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if str(box.folder) in line]
    found += [f"socket or namespace file {path}" for path in Path("/run/netns").glob("*") if box.name in path.name]
    found += [f"cgroup {path}" for path, _, _ in os.walk("/sys/fs/cgroup") if Path(path).name == f"lc-{box.name}"]
    found += [f"file {box.home}"] if box.home.exists() else []
    return found


def machine_state() -> dict[str, str]:
    """Returns what a box must leave as it was on the machine: firewall rules, kernel settings and so on."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return {
        "iptables": re.sub(r"^#.*\n|\[\d+:\d+\]", "", rules, flags=re.M),  # without times and counters
        **{name: Path("/proc/sys", name).read_text() for name in MACHINE_SETTINGS},
        "shared memory": str(sorted(path.name for path in Path("/dev", "shm").glob("squid-*"))),
        "namespaces": subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout,
    }


# Where each row was made, and what its executor reads in the repository.
_READ = """
import astrok8s
spark = astrok8s.attach("one", mode={mode!r}, quiet=True)
def read(batches):
    import pathlib, socket, time
    time.sleep(2)  # long enough for two executors to share the work
    for batch in batches:
        content = pathlib.Path("/cvmfs/{fqrn}/hip/main.csv").read_text()
        yield batch.assign(host=socket.gethostname(), content=content)
found = spark.range(0, 8, 1, 8).mapInPandas(read, "id long, host string, content string").toPandas()
print(len(set(found.host)), set(found.content))
spark.stop()
"""


def read_on_executors(box: Box, mode: str) -> subprocess.CompletedProcess[str]:
    """Reads the repository of tests on two executors of cluster `one`; tells how many they were, and what they read."""
    return box.run(sys.executable, "-c", _READ.format(mode=mode, fqrn=FQRN), OS_CLOUD=box.name)
