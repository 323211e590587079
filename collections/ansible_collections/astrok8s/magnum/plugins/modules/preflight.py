#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Check a cloud before anything is made."""

DOCUMENTATION = r"""
module: preflight
short_description: Whether a cloud can make a cluster of this size
version_added: 0.1.0
description:
  - Checks that the cloud answers and accepts the credentials, that it has the cluster template with its image, flavors,
    networks and keypair, or that they are defined, and that the quota allows the nodes that are not there yet, and the
    site its user so many.
  - Tells all that is wrong at once. Changes nothing.
  - It is one module, since most of what a task costs is the start of a module and its connection.
extends_documentation_fragment:
  - astrok8s.magnum.cloud
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
options:
  cluster:
    description: The cluster; only the cloud is checked if left out.
    type: dict
    suboptions:
      name:
        description: The name of the cluster.
        type: str
        required: true
      size:
        description: The number of workers; as O(astrok8s.magnum.cluster#module:size) if left out.
        type: int
      template:
        description: Name or UUID of the cluster template.
        type: str
        required: true
      definition:
        description: The template in the terms of M(openstack.cloud.coe_cluster_template), where the cloud may lack it.
        type: dict
        default: {}
      image:
        description: The image of the nodes in the terms of M(openstack.cloud.image), where the cloud may lack it.
        type: dict
        default: {}
      network:
        description: The network of the nodes, where the cloud may lack it.
        type: dict
        default: {}
      keypair:
        description: The keypair of the nodes; empty for the template's.
        type: str
        default: ""
      public_key:
        description: Its public key, where the cloud may lack it.
        type: str
        default: ""
      flavor:
        description: The flavor of the workers; empty for the template's.
        type: str
        default: ""
      master_flavor:
        description: The flavor of the control plane; empty for the template's.
        type: str
        default: ""
      ends:
        description: Whether it is to end by itself, for which it needs a credential of its own.
        type: bool
        default: false
      most_clusters:
        description: How many clusters the site allows a user; any number if left out.
        type: int
      most_workers:
        description: How many workers the site allows all clusters of a user; any number if left out.
        type: int
"""

EXAMPLES = r"""
- name: Check that there is room for eight workers
  astrok8s.magnum.preflight:
    cloud: local
    cluster:
      name: hyades
      size: 8
      template: kubernetes
"""

RETURN = r"""
checks:
  description: What was found, by the name of the check.
  returned: success
  type: dict
  sample: {"template": "is there", "quota": "instances: 3 used, 9 more, 52 of 64 left then"}
missing:
  description: What is defined and must be made; any of V(template), V(image), V(network), V(keypair).
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.errors import MagnumError
from ..module_utils.magnum import check_name, check_size
from ..module_utils.preflight import Preflight, Wanted

CLUSTER: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "size": {"type": "int"},
    "template": {"type": "str", "required": True},
    "definition": {"type": "dict", "default": {}},
    "image": {"type": "dict", "default": {}},
    "network": {"type": "dict", "default": {}},
    "keypair": {"type": "str", "default": "", "no_log": False},
    "public_key": {"type": "str", "default": "", "no_log": False},
    "flavor": {"type": "str", "default": ""},
    "master_flavor": {"type": "str", "default": ""},
    "ends": {"type": "bool", "default": False},
    "most_clusters": {"type": "int"},
    "most_workers": {"type": "int"},
}


def check(cloud: str, cluster: dict[str, Any] | None) -> dict[str, Any]:
    """Checks a cloud, and whether it can make a cluster.

    Returns:
        What the module returns.

    Raises:
        MagnumError: Something is wrong.
    """
    if cluster is None:
        connect(cloud)
        return {"checks": {}, "missing": []}
    check_name(cluster["name"])
    check_size(cluster["size"])
    preflight = Preflight(connect(cloud), Wanted(**cluster))
    preflight.run()
    if preflight.failed:
        raise MagnumError(" ".join(preflight.failed.values()), "Nothing was changed.")
    return {"checks": preflight.passed, "missing": preflight.missing}


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "cloud": {"type": "str", "required": True},
            "cluster": {"type": "dict", "options": CLUSTER},
        },
        supports_check_mode=True,
    )
    try:
        result = check(module.params["cloud"], module.params["cluster"])
    except MagnumError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
