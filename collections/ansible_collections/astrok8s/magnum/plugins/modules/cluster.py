#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Create, resize and delete a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: A Kubernetes cluster of OpenStack Magnum
version_added: 0.1.0
description:
  - Creates, resizes or deletes a cluster, and waits until Magnum has done so.
  - A cluster that an interrupted run left in progress is waited for. Two runs that create the same name together
    end with one cluster.
author:
  - astrok8s (@astrok8s)
extends_documentation_fragment:
  - astrok8s.magnum.cloud
options:
  name:
    description: Name of the cluster, as Magnum allows it.
    type: str
    required: true
  state:
    description: Whether the cluster is to be there.
    type: str
    choices: [present, absent]
    default: present
  size:
    description: Number of worker nodes. Required when O(state=present).
    type: int
  template:
    description: Name or UUID of the cluster template. Required when O(state=present).
    type: str
  keypair:
    description: Name of the keypair for the nodes.
    type: str
  flavor:
    description: Flavor of the workers, instead of the template's.
    type: str
  master_flavor:
    description: Flavor of the control plane, instead of the template's.
    type: str
  labels:
    description: Labels that are added to the template's.
    type: dict
  timeout:
    description: Seconds to wait for Magnum.
    type: int
    default: 3600
"""

EXAMPLES = r"""
- name: Eight workers
  astrok8s.magnum.cluster:
    cloud: local
    name: hyades
    size: 8
    template: kubernetes-v1.34

- name: None
  astrok8s.magnum.cluster:
    cloud: local
    name: hyades
    state: absent
"""

RETURN = r"""
cluster:
  description: The cluster as Magnum's API shows it; empty when it is not there.
  returned: always
  type: dict
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.magnum import NAME, Magnum, MagnumError, describe

CREATION_ONLY = {"keypair": "keypair", "flavor": "flavor_id", "master_flavor": "master_flavor_id"}


def _facts(cluster: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a diff shows of a cluster."""
    if not cluster:
        return {}
    return {"name": cluster["name"], "size": cluster.get("node_count"), "status": cluster.get("status")}


def _check_input(params: dict[str, Any]) -> None:
    if not re.match(NAME, params["name"]):
        raise MagnumError(
            f"{params['name']!r} cannot be a cluster's name: Magnum wants a letter first, then letters, digits, "
            "dots, hyphens or underscores; choose another name"
        )
    if params["state"] == "present" and params["size"] < 1:
        raise MagnumError(f"a cluster of size {params['size']} cannot be: give at least 1 worker")


def _check_unchangeable(params: dict[str, Any], cluster: dict[str, Any], template: dict[str, Any]) -> None:
    wanted = {"cluster_template_id": template["uuid"]}
    wanted |= {key: params[option] for option, key in CREATION_ONLY.items() if params[option]}
    for key, value in wanted.items():
        if cluster.get(key) not in (value, None):
            raise MagnumError(
                f"cluster {params['name']} has {key} {cluster[key]}, and {value} is asked for; Magnum cannot change "
                "it. Destroy the cluster first, or choose another name"
            )


def _complete(cluster: dict[str, Any] | None) -> bool:
    if cluster is None:
        raise MagnumError("the cluster was deleted behind our back; run it again to create it")
    if cluster["status"].endswith("_FAILED"):
        raise MagnumError(f"cluster {cluster['name']}: {describe(cluster)}; destroy it, then run it again")
    return bool(cluster["status"].endswith("_COMPLETE"))


def _present(module: AnsibleModule, api: Magnum) -> dict[str, Any]:
    params = module.params
    timeout, name, size = params["timeout"], params["name"], params["size"]
    before = api.find(name)
    # predicting a new cluster, the template may be one that an earlier task would make
    template = {} if module.check_mode and not before else api.template(params["template"])
    if before and before["status"].startswith("DELETE") and not module.check_mode:
        api.wait(before["uuid"], lambda cluster: cluster is None, f"the former cluster {name} to go", timeout)
        before = None
    if before:
        _check_unchangeable(params, before, template)
    result: dict[str, Any] = {"changed": before is None or before["node_count"] != size}
    after = {**_facts(before), "name": name, "size": size, "status": (before or {}).get("status", "CREATE_COMPLETE")}
    result["diff"] = {"before": _facts(before), "after": after}
    if module.check_mode:
        return {**result, "cluster": before or {}}
    cluster = before or api.create(
        name,
        size,
        template["uuid"],
        keypair=params["keypair"],
        flavor_id=params["flavor"],
        master_flavor_id=params["master_flavor"],
        labels=params["labels"] or None,
        merge_labels=True if params["labels"] else None,
    )
    uuid = cluster["uuid"]
    reached = api.wait(uuid, _complete, f"cluster {name} to be complete", timeout) or {}
    if reached["node_count"] != size:
        api.resize(uuid, size)
        resized = lambda c: _complete(c) and c["node_count"] == size  # noqa: E731
        reached = api.wait(uuid, resized, f"cluster {name} to have {size} workers", timeout) or {}
    return {**result, "cluster": reached}


def _absent(module: AnsibleModule, api: Magnum) -> dict[str, Any]:
    name = module.params["name"]
    before = api.find(name)
    result = {"changed": before is not None, "cluster": {}, "diff": {"before": _facts(before), "after": {}}}
    if before and not module.check_mode:
        if not before["status"].startswith("DELETE_IN"):
            api.delete(before["uuid"])
        api.wait(before["uuid"], _gone, f"cluster {name} to go", module.params["timeout"])
    return result


def _gone(cluster: dict[str, Any] | None) -> bool:
    if cluster and cluster["status"] == "DELETE_FAILED":
        raise MagnumError(
            f"cluster {cluster['name']}: {describe(cluster)}; ask the cloud's operators, then run it again"
        )
    return cluster is None


def main() -> None:
    """Run the module."""
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
        required_if=[("state", "present", ("size", "template"))],
        supports_check_mode=True,
    )
    try:
        _check_input(module.params)
        api = Magnum(connect(module.params["cloud"]))
        result = (_present if module.params["state"] == "present" else _absent)(module, api)
    except MagnumError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
