"""CVMFS repositories: what publishes them, and the stratum and the proxy that serve them in the box."""
