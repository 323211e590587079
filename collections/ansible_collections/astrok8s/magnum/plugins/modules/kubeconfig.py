#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Get an administrator's kubeconfig."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: An administrator's kubeconfig of a Magnum cluster
version_added: 0.1.0
description:
  - Makes a key in memory, lets Magnum sign a client certificate for it (group C(system:masters)), and returns a
    kubeconfig with both. Nothing is written; register it with C(no_log) and keep it in memory.
author:
  - astrok8s (@astrok8s)
extends_documentation_fragment:
  - astrok8s.magnum.cloud
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
  description: What C(kubectl) would read from a file; empty when there is no such cluster.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.magnum import Magnum, MagnumError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"cloud": {"type": "str", "required": True}, "name": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    try:
        api = Magnum(connect(module.params["cloud"]))
        cluster = api.find(module.params["name"])
        kubeconfig = api.kubeconfig(cluster["uuid"]) if cluster and cluster.get("api_address") else {}
    except MagnumError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, kubeconfig=kubeconfig)


if __name__ == "__main__":
    main()
