"""A process that localcloud's supervisord keeps running."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Program:
    """One supervised process.

    Attributes:
        name: Its name in ``localcloud status`` and of its log file.
        command: Program and arguments.
        environment: Variables added to supervisord's own.
        priority: Lower ones start first and stop last.
        stop_seconds: Grace between the stop signal and SIGKILL.
        start_seconds: It counts as started when it has run this long.
        stop_signal: Signal that ends it in an orderly way.
        autostart: Whether it starts with supervisord; otherwise somebody starts it when its time has come.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    priority: int = 100
    stop_seconds: int = 10
    start_seconds: int = 1
    stop_signal: str = "TERM"
    autostart: bool = True
