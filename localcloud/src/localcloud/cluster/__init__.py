"""Kubernetes clusters of localcloud: what Magnum asked for, kept running node by node."""
