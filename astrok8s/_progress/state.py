"""What a long operation has done, does, and has still to do."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass
class Stage:
    """A part of an operation.

    Attributes:
        name: Its name.
        expected: How long it takes, as far as is known, in seconds; None where it is not.
        took: How long it has taken so far, in seconds, without what it has been at since it was begun last.
        began: When it was begun last, by the monotonic clock; None where it is not being done.
    """

    name: str
    expected: float | None = None
    took: float | None = None
    began: float | None = None

    def elapsed(self) -> float | None:
        """Returns how long it has taken, in seconds; None where it has not begun."""
        if self.began is None:
            return self.took
        return (self.took or 0) + time.monotonic() - self.began

    def words(self) -> str:
        """Returns how long it takes."""
        elapsed = self.elapsed()
        about = "" if self.expected is None else f"about {self.expected:.0f} s"
        if elapsed is None:
            return about
        if self.began is None:
            return f"{elapsed:.0f} s"
        return f"{elapsed:.0f} s of {about}" if about else f"{elapsed:.0f} s"


class State:
    """What an operation has done, does, and has still to do.

    Args:
        stages: The names of its stages, in their order, as far as they are known.
        expected: How long they take, in seconds, as far as is known.

    Attributes:
        stages: The stages.
        text: What is being done, or waited for.
        seen: What is seen of the cluster meanwhile; empty where nothing is.
    """

    def __init__(self, stages: Iterable[str] = (), expected: Mapping[str, float] | None = None) -> None:
        self.stages = [Stage(name, (expected or {}).get(name)) for name in stages]
        self.text = self.seen = ""
        self._start = time.monotonic()

    def elapsed(self) -> float:
        """Returns how long it has taken, in seconds."""
        return time.monotonic() - self._start

    @property
    def now(self) -> Stage | None:
        """The stage that is being done."""
        return next((stage for stage in self.stages if stage.began is not None), None)

    def begin(self, name: str) -> None:
        """Takes that a stage has begun, which ends the one before; one that was not known is added."""
        if self.now and self.now.name == name:
            return
        self.end()
        stage = next((stage for stage in self.stages if stage.name == name), None)
        if stage is None:
            self.stages.append(stage := Stage(name))
        stage.began = time.monotonic()

    def end(self) -> None:
        """Takes that the stage has ended which is being done."""
        if stage := self.now:
            stage.took, stage.began = stage.elapsed(), None

    def took(self) -> dict[str, float]:
        """Returns how long the stages took that are done, in seconds."""
        return {stage.name: stage.took for stage in self.stages if stage.took is not None and stage.began is None}
