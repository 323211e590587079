"""Shows what a long operation is doing: its stages with their times, and what is waited for now."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from astrok8s._progress import durations
from astrok8s._progress.state import State
from astrok8s._progress.views import view_of

__all__ = ["Progress"]


class Progress:
    """The progress of an operation, alive on a terminal and in a notebook, by lines elsewhere.

    Args:
        quiet: Show nothing.
        stages: The names of its stages, in their order.
        operation: What it is, by which the times of its stages are remembered; empty where they are not.

    Attributes:
        state: What it has done, does, and has still to do.
    """

    def __init__(self, *, quiet: bool = False, stages: Iterable[str] = (), operation: str = "") -> None:
        self._operation = operation
        self.state = State(stages, durations.expected(operation) if operation else None)
        self._view = view_of(self.state, quiet=quiet)

    def __enter__(self) -> Self:
        self._view.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.state.end()
            self.state.seen = ""
            if self._operation:
                durations.keep(self._operation, self.state.took())
        self._view.stop()

    def begin(self, stage: str) -> None:
        """Takes that a stage has begun."""
        self.state.begin(stage)

    def say(self, text: str) -> None:
        """Says what is being done now; the same text again is no news."""
        if text != self.state.text:
            self.state.text = text
            self._view.said()

    def see(self, text: str) -> None:
        """Says what is seen of the cluster meanwhile; the same text again is no news."""
        if text != self.state.seen:
            self.state.seen = text
            self._view.saw()
