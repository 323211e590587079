"""What a check has found."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["green", "warning", "red"]

GREEN: Level = "green"
WARNING: Level = "warning"
RED: Level = "red"


@dataclass(frozen=True)
class Finding:
    """What a check has found.

    Attributes:
        check: What was looked at: `quota`, `API of hyades`, ….
        level: `green`; `warning`, where something is lacking that not everybody needs; `red`, where something fails.
        fact: What is so, as a sentence.
        remedy: What to do about it, as a sentence; empty where it is green.
    """

    check: str
    level: Level
    fact: str
    remedy: str = ""
