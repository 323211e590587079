"""The errors that astrok8s raises.

    AstroK8sError
    ├── OptionError (also ValueError)   an argument is wrong; nothing was run
    ├── CloudError                      the cloud is unknown, cannot be reached, or refuses
    │   └── ClusterNotFound             it has no cluster of this name
    ├── ProvisionError                  a task of the playbook failed
    ├── AttachError                     no Spark session on the cluster
    └── HistoryError                    the cluster's history server cannot be asked
    HistoryWarning (a UserWarning)      a session runs, but writes no history

Every message states the fact, the values and the remedy.
"""

from __future__ import annotations


class AstroK8sError(Exception):
    """Base class of every error of this package."""


class OptionError(AstroK8sError, ValueError):
    """An argument is unknown or has a wrong value; nothing was run."""


class CloudError(AstroK8sError):
    """The cloud is unknown, cannot be reached, or refuses."""


class ClusterNotFound(CloudError):  # noqa: N818 - the name says what happened, as kr8s.NotFoundError does
    """The cloud has no cluster of this name."""


class ProvisionError(AstroK8sError):
    """A task of the playbook failed.

    Attributes:
        role: The role of the task; empty if the playbook did not come that far.
        task: The task's name.
        message: What the task said.
        remedy: What to do next.
        output: All that Ansible printed.
    """

    def __init__(self, message: str, *, role: str = "", task: str = "", remedy: str = "", output: str = "") -> None:
        self.role = role
        self.task = task
        self.message = message
        self.remedy = remedy
        self.output = output
        super().__init__(message)

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.role, self.task) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text}\n{self.remedy}" if self.remedy else text

    def __reduce__(self) -> tuple[object, ...]:
        return _provision_error, (self.message, self.role, self.task, self.remedy, self.output)


class AttachError(AstroK8sError):
    """There is no Spark session on the cluster."""


class HistoryError(AstroK8sError):
    """The history server of the cluster cannot be asked."""


class HistoryWarning(UserWarning):
    """A session runs, but writes no history."""


def _provision_error(message: str, role: str, task: str, remedy: str, output: str) -> ProvisionError:
    """Make one from its parts: exceptions are pickled by positional arguments."""
    return ProvisionError(message, role=role, task=task, remedy=remedy, output=output)
