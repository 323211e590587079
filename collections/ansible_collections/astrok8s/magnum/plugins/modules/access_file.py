#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Write a kubeconfig with a token of a service account."""

DOCUMENTATION = r"""
module: access_file
short_description: A kubeconfig that acts as a service account
version_added: 0.1.0
description:
  - Has Kubernetes make a token of a service account, and writes it with the address of the cluster into a file, which
    only its owner reads.
  - Each time it is another token; those before are valid until they end.
attributes:
  check_mode:
    description: Says that it would write it.
    support: full
options:
  kubeconfig:
    description: The kubeconfig of who may have tokens made, as M(astrok8s.magnum.kubeconfig) returns it.
    type: dict
    required: true
  cluster:
    description: The name of the cluster in the file.
    type: str
    required: true
  namespace:
    description: The namespace of the service account, which the file names as the one to work in.
    type: str
    required: true
  service_account:
    description: The service account.
    type: str
    required: true
  until:
    description: When the token ends, as C(2026-12-24T18:00); without a zone, in that of this machine.
    type: str
    default: ""
  hours:
    description: For how many hours it is valid, where no end is given.
    type: int
    default: 24
  path:
    description: The file.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: A file for Maria
  astrok8s.magnum.access_file:
    kubeconfig: "{{ admin.kubeconfig }}"
    cluster: hyades
    namespace: user-maria
    service_account: spark
    until: 2026-12-24T18:00
    path: maria.kubeconfig
"""

RETURN = r"""
until:
  description: When the token ends, as Kubernetes says.
  returned: when it was written
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.access import granted, lifetime, token, write
from ..module_utils.errors import MagnumError


def main() -> None:
    """Runs the module."""
    texts = {name: {"type": "str", "required": True} for name in ("cluster", "namespace", "service_account")}
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "dict", "required": True, "no_log": True},
            "path": {"type": "path", "required": True},
            "until": {"type": "str", "default": ""},
            "hours": {"type": "int", "default": 24},
            **texts,
        },
        supports_check_mode=True,
    )
    wanted = module.params
    account = (wanted["namespace"], wanted["service_account"])
    try:
        seconds = lifetime(wanted["until"], wanted["hours"])
        if module.check_mode:
            module.exit_json(changed=True)
        made = token(wanted["kubeconfig"], *account, seconds)
        write(Path(wanted["path"]), granted(wanted["kubeconfig"], wanted["cluster"], wanted["namespace"], made.token))
    except MagnumError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{wanted['path']} cannot be written: {error}.")
    except Exception as error:  # Kubernetes's client has a tree of its own
        module.fail_json(msg=f"The cluster makes no token of {'/'.join(account)}: {error}")
    module.exit_json(changed=True, until=str(made.expiration_timestamp))


if __name__ == "__main__":
    main()
