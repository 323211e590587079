"""A cluster's Kubernetes API, as far as the controller needs it."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any


class Api:
    """The API server of one cluster, under localcloud's own administrator certificate.

    Reading is a plain HTTPS request, since it happens often; writing is left to kubectl,
    whose apply and drain are the reference for what these words mean.

    Args:
        server: URL of the API server.
        pki: The cluster's folder of certificates.
        kubectl: The command.
    """

    def __init__(self, server: str, pki: Path, kubectl: Path) -> None:
        self.server = server
        # its cache in the cluster's folder, not in the user's ~/.kube
        self._kubectl = [str(kubectl), f"--kubeconfig={pki / 'localcloud.kubeconfig'}", f"--cache-dir={pki / 'cache'}"]
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        # Magnum's CA lacks extensions that strict checking (Python 3.13) wants
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_cert_chain(pki / "localcloud.crt", pki / "localcloud.key")
        handlers = (urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str) -> Any:
        """Return the JSON at a path of the API.

        Raises:
            OSError: No answer, or an error status.
        """
        with self._opener.open(self.server + path, timeout=5) as answer:
            return json.load(answer)

    def ready(self) -> str:
        """Return why the API server is not ready; empty if it is."""
        try:
            with self._opener.open(f"{self.server}/readyz", timeout=5) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            return f"the API server answers {error.code}"
        except OSError as error:
            return f"the API server does not answer ({getattr(error, 'reason', error)})"
        return ""

    def nodes(self) -> dict[str, str]:
        """Return, by node name, why it is not Ready; empty text if it is."""
        result = {}
        for node in self.get("/api/v1/nodes")["items"]:
            ready = [c for c in node["status"].get("conditions", []) if c["type"] == "Ready"]
            reason = "" if ready and ready[0]["status"] == "True" else "the kubelet has not reported yet"
            if ready and ready[0]["status"] != "True":
                reason = ready[0].get("message") or ready[0].get("reason", "not ready")
            result[node["metadata"]["name"]] = reason
        return result

    def available(self, namespace: str, deployment: str) -> bool:
        """Return whether a Deployment has all the replicas it wants."""
        status = self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}").get("status", {})
        return bool(status.get("replicas")) and status.get("availableReplicas") == status["replicas"]

    def kubectl(self, *arguments: str, text: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl and return what it prints.

        Raises:
            RuntimeError: It failed; with its own message.
        """
        command = [*self._kubectl, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout
