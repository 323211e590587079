"""CVMFS: a publisher of signed repositories, the stratum that serves them, and a proxy in front.

What is written is what the official C++ client reads: catalogs of schema 2.5, objects that are named by the
SHA-1 of their zlib stream, and letters (manifest, whitelist) in CernVM-FS's own formats.
`prepare` writes what the servers need, and publishes the demo repository; `programs` says how they are run,
`facts` what clients need to know, and `check` whether all is well. `publish` makes a revision of a folder.
"""

from __future__ import annotations

from localcloud.cvmfs.programs import programs
from localcloud.cvmfs.publish import publish
from localcloud.cvmfs.report import check, facts, prepare

__all__ = ["check", "facts", "prepare", "programs", "publish"]
