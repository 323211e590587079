"""Who keeps a session's shuffle files: what the role spark_shuffle tells drivers."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from astrok8s._spark import write_secret
from astrok8s._storage import PROPERTIES, data, parse

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

SHUFFLE = "spark-shuffle"
"""Config map, and secret of the external service, made by the role spark_shuffle."""

SERVICE = "spark.shuffle.service.enabled"
SECRET = "spark.authenticate.secret.driver.file"  # noqa: S105 - a property's name
"""Where the driver finds what executors find in their environment."""


@dataclass(frozen=True)
class Shuffle:
    """What a cluster tells of shuffle files.

    Attributes:
        properties: Spark's, for a driver in the cluster.
        template: Of executors' pods with the external service.
        secret: Of the external service; empty if there is none.
    """

    properties: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    secret: bytes = field(default=b"", repr=False)

    @property
    def external(self) -> bool:
        """Whether there is a service on each node."""
        return self.properties.get(SERVICE) == "true"

    @property
    def executor_template(self) -> str:
        """What their pods' template says for it, as YAML; empty if nothing."""
        return self.template if self.external else ""

    def here(self) -> dict[str, str]:
        """Return the properties for a driver in this process: its secret is here."""
        ours = {SECRET: write_secret("shuffle", self.secret)} if self.external else {}
        return {**self.properties, **ours}


def shuffle_of(api: CoreV1Api, namespace: str) -> Shuffle:
    """Return what a namespace is told of shuffle files."""
    told = data(api.list_namespaced_config_map, namespace, SHUFFLE)
    if not told:
        return Shuffle()
    secret = data(api.list_namespaced_secret, namespace, SHUFFLE)
    return Shuffle(parse(told[PROPERTIES]), told["executor.yaml"], b64decode(secret.get("secret", "")))
