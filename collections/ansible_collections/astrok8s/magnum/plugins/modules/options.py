#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Refuse misspelt options of roles: the documentation of the action plugin of this name."""

DOCUMENTATION = r"""
module: options
short_description: Refuse variables that look like an option of a role and are none
version_added: 0.1.0
description:
  - Ansible ignores a misspelt variable. This fails where a variable is named like an option of a role, which begins
    with the role's name, and the role's argument spec does not know it; and says which one is meant.
  - The same where a variable of C(--extra-vars) resembles an option or C(size), or is C(cloud) or C(name).
  - Runs in Ansible's own process.
author:
  - astrok8s (@astrok8s)
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
options:
  roles:
    description: The folder of the roles.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Refuse misspelt options
  astrok8s.magnum.options:
    roles: "{{ role_path }}/.."
"""

RETURN = r"""
{}
"""
