#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Refuse misspelt options of roles (documentation; the action plugin of the same name does it)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: options
short_description: Refuse variables that look like a role's option and are none
version_added: 0.1.0
description:
  - Ansible ignores a misspelt variable. This fails on variables that begin with a role's name and that the role's
    argument spec does not know, and names the nearest one that it knows. Runs in Ansible's own process.
author:
  - astrok8s (@astrok8s)
options:
  roles:
    description: Folder of the roles.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: No misspelt options
  astrok8s.magnum.options:
    roles: "{{ role_path }}/.."
"""

RETURN = r""" # """
