#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Check a cloud before anything is made."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Whether a cloud can make a cluster of this size
version_added: 0.1.0
description:
  - Checks that the cloud answers and accepts the credentials, that the cluster template with its image, flavors and
    network is there, and that the quota allows the nodes that are not there yet.
  - Tells all that fails at once. Changes nothing.
author:
  - astrok8s (@astrok8s)
extends_documentation_fragment:
  - astrok8s.magnum.cloud
options:
  name:
    description: Name of the cluster.
    type: str
    required: true
  size:
    description: Wanted number of workers.
    type: int
    required: true
  template:
    description: Name or UUID of the cluster template.
    type: str
    required: true
  definition:
    description: Attributes of the template as Magnum's API names them, if it is to be made; empty if the cloud has it.
    type: dict
    default: {}
  keypair:
    description: Name of the keypair for the nodes; empty for the template's.
    type: str
    default: ""
  public_key:
    description: Its public key, if it is to be made; empty if the cloud has it.
    type: str
    default: ""
  flavor:
    description: Flavor of the workers; empty for the template's.
    type: str
    default: ""
  master_flavor:
    description: Flavor of the control plane; empty for the template's.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Is there room for eight workers
  astrok8s.magnum.preflight:
    cloud: local
    name: hyades
    size: 8
    template: kubernetes-v1.34
"""

RETURN = r"""
checks:
  description: What was found, by check.
  returned: success
  type: dict
  sample: {"quota": "instances: 9 of 64"}
"""

import re

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.connection import connect
from ..module_utils.magnum import NAME, MagnumError
from ..module_utils.preflight import Preflight, Wanted


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "cloud": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
            "template": {"type": "str", "required": True},
            "definition": {"type": "dict", "default": {}},
            "keypair": {"type": "str", "default": "", "no_log": False},
            "public_key": {"type": "str", "default": "", "no_log": False},
            "flavor": {"type": "str", "default": ""},
            "master_flavor": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    if params["size"] < 1:
        module.fail_json(msg=f"a cluster of size {params['size']} cannot be: give at least 1 worker")
    if not re.match(NAME, params["name"]):
        module.fail_json(
            msg=f"{params['name']!r} cannot be a cluster's name: Magnum wants a letter first, then letters, digits, "
            "dots, hyphens or underscores; choose another name"
        )
    try:
        cloud = params.pop("cloud")
        preflight = Preflight(connect(cloud), Wanted(**params))
        preflight.run()
    except MagnumError as error:
        module.fail_json(msg=str(error))
    if preflight.failed:
        module.fail_json(msg="; ".join(f"{check}: {text}" for check, text in preflight.failed.items()))
    module.exit_json(changed=False, checks=preflight.passed)


if __name__ == "__main__":
    main()
