# Copyright: astrok8s contributors
# Apache-2.0
"""The option that every module shares."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation of the option O(cloud)."""

    DOCUMENTATION = r"""
options:
  cloud:
    description: Name of the entry in clouds.yaml.
    type: str
    required: true
requirements:
  - openstacksdk
"""
