"""What a build raises."""

from __future__ import annotations


class BuildError(RuntimeError):
    """A build cannot go on: the text has the fact, the values and the remedy."""
