"""What every cluster has from the start: DNS, the default StorageClass, load balancers, rights of the policy engine."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from importlib import resources
from string import Template
from typing import Any

from ruamel.yaml import YAML

from localcloud.build import Artifacts
from localcloud.cluster.api import Api
from localcloud.settings import CLUSTER_DNS

MANIFESTS = resources.files("localcloud.cluster") / "manifests"

DEFINITIONS = "metallb/definitions.yaml"
"""Kinds of objects: they exist a moment after they were applied, and only then objects of them can be."""

LOAD_BALANCER = "metallb/metallb.yaml"


def manifests(artifacts: Artifacts) -> str:
    """Return the objects that a cluster is not complete without, as one multi-document YAML text."""
    names = sorted(file.name for file in MANIFESTS.iterdir() if file.name.endswith(".yaml"))
    images = {
        "coredns_image": artifacts.images["coredns"],
        "local_path_image": artifacts.images["local-path-provisioner"],
        "busybox_image": artifacts.images["busybox"],
    }
    return _text(names, {**images, "cluster_dns": str(CLUSTER_DNS)})


def definitions() -> str:
    """Return the kinds of objects that `load_balancer` needs."""
    return _text([DEFINITIONS], {})


def load_balancer(artifacts: Artifacts, pool: tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]) -> str:
    """Return the objects that give Services of type LoadBalancer their addresses.

    Args:
        artifacts: Have the images.
        pool: The first and the last address.
    """
    images = {f"metallb_{part}_image": artifacts.images[f"metallb-{part}"] for part in ("controller", "speaker")}
    return _text([LOAD_BALANCER], {**images, "load_balancers": "-".join(map(str, pool))})


def restart(api: Api, text: str) -> None:
    """Start add-ons' pods anew: they would go on trusting the authority that was there when they started.

    Args:
        api: Of the cluster.
        text: The add-ons' objects, as multi-document YAML; some may not be there yet.
    """

    def key(thing: Any) -> tuple[str, str, str]:
        return thing["kind"], thing["metadata"].get("namespace", ""), thing["metadata"]["name"]

    ours = {key(thing) for thing in YAML(typ="safe").load_all(text)}
    there = json.loads(api.kubectl("get", "deployments,daemonsets", "--all-namespaces", "-o", "json"))["items"]
    items = [thing for thing in there if key(thing) in ours]
    api.kubectl("rollout", "restart", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def _text(names: Iterable[str], values: dict[str, str]) -> str:
    return "\n---\n".join(Template((MANIFESTS / name).read_text()).substitute(values) for name in names)
