#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Tell about clusters."""

DOCUMENTATION = r"""
module: cluster_info
short_description: What Kubernetes clusters OpenStack Magnum has
version_added: 0.1.0
description:
  - Tells the details of one cluster, or of all of the project, with their node groups.
extends_documentation_fragment:
  - astrok8s.magnum.cloud
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
options:
  name:
    description: Name or UUID of the cluster; all clusters if left out.
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
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.errors import MagnumError
from ..module_utils.magnum import Magnum


def look(api: Magnum, name: str | None) -> list[dict[str, Any]]:
    """Returns the clusters.

    Args:
        api: The clusters of the project.
        name: Name or UUID of the one; None for all.
    """
    listed = [cluster for cluster in api.clusters() if name in (None, cluster["name"], cluster["uuid"])]
    found = [details for cluster in listed if (details := api.details(cluster["uuid"]))]
    return [{**cluster, "node_groups": api.node_groups(cluster["uuid"])} for cluster in found]


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={"cloud": {"type": "str", "required": True}, "name": {"type": "str"}}, supports_check_mode=True
    )
    try:
        clusters = look(Magnum(connect(module.params["cloud"])), module.params["name"])
    except MagnumError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, clusters=clusters)


if __name__ == "__main__":
    main()
