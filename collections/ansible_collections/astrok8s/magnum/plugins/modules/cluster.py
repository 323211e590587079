#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Create, resize and delete a cluster."""

DOCUMENTATION = r"""
module: cluster
short_description: A Kubernetes cluster of OpenStack Magnum
version_added: 0.1.0
description:
  - Creates, resizes or deletes a cluster, and waits until Magnum has done so.
  - A cluster that an interrupted run left in progress is waited for.
  - Two runs that create one name together end with one cluster.
extends_documentation_fragment:
  - astrok8s.magnum.cloud
attributes:
  check_mode:
    description: Tells what would change, and changes nothing.
    support: full
  diff_mode:
    description: Tells the size before and after.
    support: full
options:
  name:
    description: The name of the cluster, as Magnum allows it.
    type: str
    required: true
  state:
    description: Whether the cluster should be there.
    type: str
    choices: [present, absent]
    default: present
  size:
    description:
      - The number of worker nodes; a cluster of another size is resized.
      - If left out, a cluster that is there keeps its size, and a new one gets 2.
    type: int
  template:
    description: Name or UUID of the cluster template. Required when O(state=present).
    type: str
  keypair:
    description: The keypair of the nodes; the template's if left out.
    type: str
  flavor:
    description: The flavor of the workers; the template's if left out.
    type: str
  master_flavor:
    description: The flavor of the control plane; the template's if left out.
    type: str
  labels:
    description: Labels beside the template's.
    type: dict
  timeout:
    description: How long to wait for Magnum, in seconds.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Eight workers
  astrok8s.magnum.cluster:
    cloud: local
    name: hyades
    size: 8
    template: kubernetes

- name: No cluster
  astrok8s.magnum.cluster:
    cloud: local
    name: hyades
    state: absent
"""

RETURN = r"""
cluster:
  description: The cluster as Magnum's API shows it; empty where there is none.
  returned: success
  type: dict
created:
  description: Whether this run has made the cluster.
  returned: when O(state=present)
  type: bool
deleted:
  description: The clusters that this run has deleted, with C(name), C(uuid), C(size) and C(since).
  returned: when O(state=absent)
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.errors import MagnumError
from ..module_utils.magnum import Cluster, Magnum, check_name, check_size, describe, size_of

FIXED = {"keypair": "keypair", "flavor": "flavor_id", "master_flavor": "master_flavor_id"}
"""Options that Magnum can set only when it creates a cluster, with their names in its API."""


def complete(cluster: Cluster | None) -> bool:
    """Returns whether Magnum has done what it was asked for.

    Raises:
        MagnumError: It could not.
    """
    if cluster is None:
        raise MagnumError("The cluster was deleted while it was waited for.", "Run it again to create it.")
    if cluster["status"].endswith("_FAILED"):
        raise MagnumError(
            f"Magnum could not make cluster {cluster['name']}: {describe(cluster)}.",
            "Mend what it names; a cluster that was not created must be destroyed first. Then run it again.",
        )
    return bool(cluster["status"].endswith("_COMPLETE"))


def gone(cluster: Cluster | None) -> bool:
    """Returns whether a cluster is gone.

    Raises:
        MagnumError: Magnum could not delete it.
    """
    if cluster is not None and cluster["status"] == "DELETE_FAILED":
        raise MagnumError(
            f"Magnum could not delete cluster {cluster['name']}: {describe(cluster)}.",
            "Run it again; if it fails again, ask the cloud's operators.",
        )
    return cluster is None


def present(params: dict[str, Any], api: Magnum, *, check_mode: bool) -> dict[str, Any]:
    """Makes sure that the cluster is there, with its size.

    Returns:
        What the module returns.
    """
    name, timeout = params["name"], params["timeout"]
    before = api.find(name)
    if before and before["status"].startswith("DELETE"):
        if not check_mode:
            api.wait(before["uuid"], gone, f"the cluster {name} of before to be gone", timeout)
        before = None
    if before:
        check_fixed(params, before, api.template(params["template"]))
    size = size_of(params["size"], before)
    must_resize = before is not None and (before["node_count"] != size or before["status"] == "UPDATE_FAILED")
    diff = {"before": shown(before), "after": {"name": name, "size": size}}
    result = {"changed": before is None or must_resize, "diff": diff}
    if check_mode:
        return {**result, "created": False, "cluster": before or {}}
    cluster = before or create(params, size, api)
    if cluster["status"] != "UPDATE_FAILED":  # that one is mended by another resize
        cluster = wait_complete(api, cluster, timeout)
    if before is None:  # of two that were made in one second
        cluster = wait_complete(api, api.keep_oldest(name, cluster["uuid"]), timeout)
    if must_resize or cluster["node_count"] != size:
        cluster = resize(api, cluster, size, timeout)
    return {**result, "created": before is None, "cluster": cluster}


def wait_complete(api: Magnum, cluster: Cluster, timeout: float) -> Cluster:
    """Waits until Magnum has made a cluster."""
    return api.wait(cluster["uuid"], complete, f"cluster {cluster['name']} to be complete", timeout) or {}


def resize(api: Magnum, cluster: Cluster, size: int, timeout: float) -> Cluster:
    """Gives a cluster another size, and waits for it."""

    def resized(seen: Cluster | None) -> bool:
        return complete(seen) and seen is not None and seen["node_count"] == size

    api.resize(cluster["uuid"], size)
    wait_begun(api, cluster, timeout)
    return api.wait(cluster["uuid"], resized, f"cluster {cluster['name']} to have {size} workers", timeout) or {}


def wait_begun(api: Magnum, cluster: Cluster, timeout: float) -> None:
    """Waits until Magnum has begun: until then it shows the new size with the status of before, good or bad."""

    def begun(seen: Cluster | None) -> bool:
        return seen is None or seen["updated_at"] != cluster["updated_at"] or seen["status"].endswith("_IN_PROGRESS")

    api.wait(cluster["uuid"], begun, f"Magnum to begin with cluster {cluster['name']}", timeout)


def create(params: dict[str, Any], size: int, api: Magnum) -> Cluster:
    """Asks for the cluster."""
    attributes = {key: params[option] for option, key in FIXED.items()}
    if params["labels"]:
        attributes |= {"labels": params["labels"], "merge_labels": True}
    template = api.template(params["template"])["uuid"]
    return api.create(params["name"], size, template, **attributes)


def check_fixed(params: dict[str, Any], cluster: Cluster, template: dict[str, Any]) -> None:
    """Checks that nothing is asked for that Magnum cannot change.

    Raises:
        MagnumError: Something is.
    """
    wanted = {"cluster_template_id": template["uuid"]}
    wanted |= {key: params[option] for option, key in FIXED.items() if params[option]}
    has = {key: cluster.get(key) for key in wanted}
    labels = cluster.get("labels") or {}
    for label, value in (params["labels"] or {}).items():
        wanted[f"label {label}"], has[f"label {label}"] = str(value), labels.get(label)
    for key, value in wanted.items():
        if has[key] != value:
            raise MagnumError(
                f"The cluster {params['name']} has {key} {has[key]}, and {value} is asked for, which Magnum cannot "
                "change.",
                "Destroy the cluster first, or choose another name.",
            )


def absent(params: dict[str, Any], api: Magnum, *, check_mode: bool) -> dict[str, Any]:
    """Makes sure that there is no cluster of that name.

    Returns:
        What the module returns.
    """
    name, before = params["name"], api.find(params["name"])
    deleted: list[dict[str, Any]] = []
    result = {"changed": before is not None, "cluster": {}, "deleted": deleted}
    result["diff"] = {"before": shown(before), "after": {}}
    while before and not check_mode:  # Magnum allows several of a name
        if before["status"] != "DELETE_IN_PROGRESS":
            api.delete(before["uuid"])
            deleted.append(shown(before) | {"uuid": before["uuid"], "since": before["created_at"]})
            wait_begun(api, before, params["timeout"])
        api.wait(before["uuid"], gone, f"cluster {name} to be gone", params["timeout"])
        before = api.find(name)
    return result


def shown(cluster: Cluster | None) -> dict[str, Any]:
    """Returns what a diff shows of a cluster."""
    return {"name": cluster["name"], "size": cluster["node_count"]} if cluster else {}


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "cloud": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "size": {"type": "int"},
            "template": {"type": "str"},
            "keypair": {"type": "str", "no_log": False},
            "flavor": {"type": "str"},
            "master_flavor": {"type": "str"},
            "labels": {"type": "dict"},
            "timeout": {"type": "int", "default": 3600},
        },
        required_if=[("state", "present", ("template",))],
        supports_check_mode=True,
    )
    params = module.params
    converge = present if params["state"] == "present" else absent
    try:
        check_name(params["name"])
        if params["state"] == "present":
            check_size(params["size"])
        result = converge(params, Magnum(connect(params["cloud"])), check_mode=module.check_mode)
    except MagnumError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
