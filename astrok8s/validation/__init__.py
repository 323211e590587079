"""Runs notebooks as tests of what astrok8s promises, and reports.

`validating` tells the story: a cluster is made for the notebooks that are chosen (`notebooks`), each runs in a process
of its own (`executing`), the cluster is taken away, what came out is written (`results`, `records`, `reporting`), and
whoever wants to know of changes is told (`telling`).
"""

from astrok8s.validation.notebooks import Notebook, choose, find, seconds_of
from astrok8s.validation.results import Failure, Result, Run
from astrok8s.validation.telling import Listeners
from astrok8s.validation.validating import Plan, validate

__all__ = ["Failure", "Listeners", "Notebook", "Plan", "Result", "Run", "choose", "find", "seconds_of", "validate"]
