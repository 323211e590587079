#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Tell about clusters."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Kubernetes clusters of OpenStack Magnum
version_added: 0.1.0
description:
  - Tells the details of one cluster or of all, with their node groups.
author:
  - astrok8s (@astrok8s)
extends_documentation_fragment:
  - astrok8s.magnum.cloud
options:
  name:
    description: Name or UUID of the cluster; all clusters of the project if left out.
    type: str
"""

EXAMPLES = r"""
- name: What is there
  astrok8s.magnum.cluster_info:
    cloud: local
  register: found
"""

RETURN = r"""
clusters:
  description: The clusters as Magnum's API shows them, each with its RV(clusters[].node_groups).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.magnum import Magnum, MagnumError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"cloud": {"type": "str", "required": True}, "name": {"type": "str"}}, supports_check_mode=True
    )
    name = module.params["name"]
    try:
        api = Magnum(connect(module.params["cloud"]))
        names = [name] if name else [cluster["uuid"] for cluster in api.list()]
        found = [cluster for cluster in map(api.find, names) if cluster]
        clusters = [{**cluster, "node_groups": api.node_groups(cluster["uuid"])} for cluster in found]
    except MagnumError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, clusters=clusters)


if __name__ == "__main__":
    main()
