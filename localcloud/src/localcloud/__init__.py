"""OpenStack Magnum with real Kubernetes clusters, on one machine."""
