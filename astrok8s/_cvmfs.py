"""CVMFS in Spark's pods: what the role cvmfs tells, and where pods see it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from astrok8s._errors import AttachError, OptionError
from astrok8s._storage import data

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

CVMFS = "cvmfs"
"""Config map that the role cvmfs makes, and the volume of pods."""

FOLDER = PurePosixPath("/cvmfs")
"""Above all repositories, on nodes and in pods."""

VARIABLE = "ASTROK8S_CVMFS"
"""Tells the image's entrypoint which repositories to wait for: their names, separated by commas."""

NODE = "ASTROK8S_NODE"
"""Has the name of a pod's node: all pods of a node share its cache."""


@dataclass(frozen=True)
class Cvmfs:
    """What a cluster tells of CVMFS.

    Attributes:
        repositories: Their names; none if the cluster has no CVMFS.
        volume: Where a node has them, as a pod's volume without its name.
    """

    repositories: tuple[str, ...] = ()
    volume: Mapping[str, Any] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        """Spark's, for executors: their node may be so new that it has not mounted the repositories yet."""
        return {f"spark.executorEnv.{VARIABLE}": ",".join(self.repositories)} if self.repositories else {}

    def mount(self, pod: dict[str, Any]) -> None:
        """Have the first container of a pod's manifest see the repositories, read-only, and know its node's name.

        The folder above them is mounted, and never one of them: then what a node mounts later, or anew, appears there.
        """
        if not self.repositories:
            return
        where = {
            "name": CVMFS,
            "mountPath": str(FOLDER),
            "readOnly": True,
            "mountPropagation": "HostToContainer",
        }
        container = pod["spec"]["containers"][0]
        container.setdefault("volumeMounts", []).append(where)
        container.setdefault("env", []).append(
            {"name": NODE, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
        )
        pod["spec"].setdefault("volumes", []).append({"name": CVMFS, **self.volume})

    def site(self, folder: PurePosixPath) -> str:
        """Return a folder of Python packages in one of the repositories, for executors' paths.

        Whether it is there, and for their Python, they say themselves when they start.

        Args:
            folder: As `folder_in` returns it.

        Raises:
            AttachError: The cluster has no CVMFS, or not that repository.
        """
        fqrn = folder.parts[2]
        if not self.repositories:
            raise AttachError(
                f"environment={str(folder)!r} is in CVMFS, and the cluster has none; provision it again with "
                f"cvmfs_repositories (and cvmfs_state present) that have {fqrn}, or attach without it"
            )
        if fqrn not in self.repositories:
            (near,) = difflib.get_close_matches(fqrn, self.repositories, n=1, cutoff=0.0)
            raise AttachError(
                f"environment={str(folder)!r} is in the repository {fqrn}, which is not among the cluster's "
                f"({', '.join(self.repositories)}); did you mean {FOLDER / near}? Or provision the cluster again with "
                "it in cvmfs_repositories"
            )
        return str(folder)


def folder_in(environment: str | Path) -> PurePosixPath | None:
    """Return the folder in CVMFS that an environment is; None if it is something else.

    Raises:
        OptionError: It is in CVMFS, and in no repository.
    """
    path = PurePosixPath(environment)
    if path.parts[:2] != FOLDER.parts:
        return None
    if len(path.parts) < 3 or ".." in path.parts:
        raise OptionError(
            f"environment={str(environment)!r} is in no repository; give a folder of one, such as "
            "/cvmfs/sw.astro.example/python"
        )
    return path


def cvmfs_of(api: CoreV1Api, namespace: str) -> Cvmfs:
    """Return what a namespace is told of CVMFS."""
    import yaml

    told = data(api.list_namespaced_config_map, namespace, CVMFS)
    names = tuple(name for name in told.get("repositories", "").split(",") if name)
    return Cvmfs(names, yaml.safe_load(told["volume"])) if names else Cvmfs()
