# Copyright: astrok8s contributors
# Apache-2.0
"""What the modules tell when something is wrong."""


class MagnumError(Exception):
    """Something that a user can mend.

    Args:
        fact: What is so, with the values; a full sentence.
        remedy: What to do about it; a full sentence.
    """

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(f"{fact} {remedy}")
        self.fact = fact
        self.remedy = remedy
