"""What an operator would look at first, for the report of a test that failed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

NODES = "custom-columns=NODE:.metadata.name,TAINTS:.spec.taints[*].key"


def scene() -> str:
    """Return the state of the tests' cloud: disk, doctor, and each cluster's taints, pods that do not run, warnings."""
    home = Path(os.environ["LOCALCLOUD_HOME"])
    said = [_said("df", "-h", str(home)), _said("localcloud", "doctor")]
    for config in sorted(home.glob("clusters/*/pki/localcloud.kubeconfig")):
        kubectl = ("kubectl", f"--kubeconfig={config}", "--request-timeout=5s", "get")
        said.append(_said(*kubectl, "nodes", "-o", NODES))
        said.append(_said(*kubectl, "pods", "-A", "-o", "wide", "--field-selector=status.phase!=Running"))
        said.append(_said(*kubectl, "events", "-A", "--field-selector=type=Warning", "--sort-by=.lastTimestamp"))
    return "\n".join(said)


def _said(*command: str) -> str:
    """Return the last lines that a command said, whether or not it did well."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not answer within 60 s"
    return "\n".join((done.stdout + done.stderr).splitlines()[-30:])
