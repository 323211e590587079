# Copyright: astrok8s contributors
# Apache-2.0
"""What the documentation of every module has."""


class ModuleDocFragment:
    """The option `cloud`, and what the modules need."""

    DOCUMENTATION = r"""
options:
  cloud:
    description: The entry of clouds.yaml to work on.
    type: str
    required: true
requirements:
  - openstacksdk >= 4
author:
  - astrok8s (@astrok8s)
"""
