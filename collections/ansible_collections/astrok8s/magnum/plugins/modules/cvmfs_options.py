#!/usr/bin/python
# Copyright: astrok8s contributors
# Apache-2.0
"""Refuse repositories of CVMFS that cannot be (documentation; the action plugin of the same name does it)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cvmfs_options
short_description: Refuse repositories and proxies of CVMFS that cannot be
version_added: 0.1.0
description:
  - Looks whether names of repositories, URLs of servers, public keys and proxies are what a client can work with, and
    whether a repository is listed twice. Tells all that is wrong at once. Runs in Ansible's own process.
author:
  - astrok8s (@astrok8s)
requirements:
  - cryptography
options:
  repositories:
    description: The repositories.
    type: list
    elements: dict
    default: []
    suboptions:
      fqrn:
        description: Fully qualified repository name.
        type: str
        required: true
      server_urls:
        description: Its servers, in the order in which they are tried; C(@fqrn@) and C(@org@) are replaced.
        type: list
        elements: str
        required: true
      public_key:
        description: The RSA public key that its whitelist is signed with, PEM.
        type: str
        required: true
  proxies:
    description: Groups of proxies that are tried one after the other; URLs separated by C(|), or C(DIRECT).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Repositories that can be
  astrok8s.magnum.cvmfs_options:
    repositories:
      - fqrn: sft.cern.ch
        server_urls: [http://cvmfs-stratum-one.cern.ch/cvmfs/@fqrn@]
        public_key: "{{ lookup('ansible.builtin.file', 'cern.ch.pub') }}"
    proxies: ["http://squid.example.org:3128", DIRECT]
"""

RETURN = r""" # """
