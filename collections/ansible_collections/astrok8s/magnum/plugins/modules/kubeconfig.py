#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Get an administrator's kubeconfig."""

DOCUMENTATION = r"""
module: kubeconfig
short_description: An administrator's kubeconfig of a cluster of OpenStack Magnum
version_added: 0.1.0
description:
  - Makes a key in memory, lets Magnum sign a client's certificate for it (group C(system:masters)), and returns a
    kubeconfig with both. Nothing is written. Register it with C(no_log), and let it stay in memory.
extends_documentation_fragment:
  - astrok8s.magnum.cloud
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
options:
  name:
    description: Name or UUID of the cluster.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Be the administrator
  astrok8s.magnum.kubeconfig:
    cloud: local
    name: hyades
  register: admin
  no_log: true
"""

RETURN = r"""
kubeconfig:
  description: What C(kubectl) would read from a file; empty where there is no such cluster, or it has no API yet.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.errors import MagnumError
from ..module_utils.magnum import Magnum


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={"cloud": {"type": "str", "required": True}, "name": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        api = Magnum(connect(module.params["cloud"]))
        cluster = api.find(module.params["name"])
        kubeconfig = api.kubeconfig(cluster) if cluster and cluster.get("api_address") else {}
    except MagnumError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, kubeconfig=kubeconfig)


if __name__ == "__main__":
    main()
