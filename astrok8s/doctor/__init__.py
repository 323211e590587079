"""Whether all that astrok8s needs is there, from this machine to the nodes of clusters: each thing green or red."""

from astrok8s.doctor.examining import examine
from astrok8s.doctor.findings import GREEN, RED, WARNING, Finding
from astrok8s.doctor.reporting import report

__all__ = ["GREEN", "RED", "WARNING", "Finding", "examine", "report"]
