#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Wait until every node has every repository."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cvmfs_nodes
short_description: Wait until every node of a cluster has every repository of CVMFS
version_added: 0.1.0
description:
  - Looks, in a pod of no privileges on each worker that is Ready, whether every repository is mounted and lists, and
    reads a file of it. Waits until that is so everywhere. Changes nothing.
author:
  - astrok8s (@astrok8s)
requirements:
  - kubernetes
options:
  kubeconfig:
    description: An administrator's kubeconfig, as JSON text.
    type: str
    required: true
  namespace:
    description: Namespace of the clients' pods.
    type: str
    required: true
  name:
    description: Name of their DaemonSet.
    type: str
    default: astrok8s-cvmfs
  repositories:
    description: Names of the repositories.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds to wait at most.
    type: float
    default: 180
"""

EXAMPLES = r"""
- name: Every node has every repository
  astrok8s.magnum.cvmfs_nodes:
    kubeconfig: "{{ admin.kubeconfig | to_json }}"
    namespace: kube-system
    repositories: [sft.cern.ch]
"""

RETURN = r"""
nodes:
  description: The nodes, each with its repositories.
  returned: success
  type: dict
  sample: {"hyades-node-0": ["sft.cern.ch"]}
"""

import json

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cvmfs_nodes import CvmfsError, Nodes


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            # text: of a mapping, each value would be masked wherever it occurs
            "kubeconfig": {"type": "str", "required": True, "no_log": True},
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "default": "astrok8s-cvmfs"},
            "repositories": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "float", "default": 180.0},
        },
        supports_check_mode=True,
    )
    params = module.params
    nodes = Nodes(json.loads(params["kubeconfig"]), params["namespace"], params["name"], params["repositories"])
    try:
        found = nodes.wait(0.0 if module.check_mode else params["timeout"])
    except CvmfsError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, nodes={node: list(repositories) for node, repositories in found.items()})


if __name__ == "__main__":
    main()
