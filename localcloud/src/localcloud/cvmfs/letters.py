"""Letters: the two signed files of a repository, its manifest and its whitelist.

Both are lines of text, a line ``--``, the SHA-1 of the text in hexadecimal, and a signature of those
40 characters. The manifest says which root catalog is the current one and is signed by the repository's
certificate; the whitelist says for a while which certificate that is and is signed by the master key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

VALID = timedelta(days=30)
"""How long a whitelist is valid."""

_MARK = b"--\n"
_TIME = "%Y%m%d%H%M%S"
_ROOT_PATH = hashlib.md5(b"", usedforsecurity=False).hexdigest()


class LetterError(ValueError):
    """A letter is not what somebody wrote."""


def seal(text: str, sign: Callable[[bytes], bytes]) -> bytes:
    """Return a letter.

    Args:
        text: Its lines, each with its end.
        sign: Returns the signature of some bytes.
    """
    digest = _digest(text.encode())
    return b"".join((text.encode(), _MARK, digest, b"\n", sign(digest)))


@dataclass(frozen=True)
class Letter:
    """A letter that arrived whole; who signed it is for the holder of a key to check.

    Attributes:
        fields: Values by the letters that the lines of a manifest start with.
        lines: Its lines.
        digest: What is signed.
        signature: Of the digest.
    """

    fields: dict[str, str]
    lines: list[str]
    digest: bytes
    signature: bytes

    @classmethod
    def open(cls, sealed: bytes) -> Letter:
        """Read a letter.

        Raises:
            LetterError: Its text is not what was signed.
        """
        text, mark, rest = sealed.partition(b"\n" + _MARK)
        digest, end, signature = rest.partition(b"\n")
        text += b"\n"
        if not mark or not end or _digest(text) != digest:
            raise LetterError("its text does not have the SHA-1 that is in it")
        lines = text.decode().splitlines()
        return cls({line[0]: line[1:] for line in lines if line}, lines, digest, signature)


@dataclass(frozen=True)
class Manifest:
    """What a manifest says.

    Attributes:
        fqrn: Name of the repository.
        revision: Number of the revision, from 1.
        root: Hash of the root catalog, in hexadecimal as the others.
        root_size: Bytes of the root catalog's database.
        history: Hash of the database of tags.
        certificate: Hash of the certificate.
        ttl: Seconds after which clients look for a newer one.
        published: When, in seconds since 1970.
    """

    fqrn: str
    revision: int
    root: str
    root_size: int
    history: str
    certificate: str
    ttl: int
    published: int

    def text(self) -> str:
        """Return its lines; ``G`` and ``A`` are no garbage collection by others, and no alternative paths."""
        return (
            f"C{self.root}\nB{self.root_size}\nR{_ROOT_PATH}\nD{self.ttl}\nS{self.revision}\nGno\nAno\n"
            f"N{self.fqrn}\nX{self.certificate}\nH{self.history}\nT{self.published}\n"
        )

    @classmethod
    def read(cls, sealed: bytes) -> Manifest:
        """Read a manifest.

        Raises:
            LetterError: It is not whole, or a line is missing.
        """
        fields = Letter.open(sealed).fields
        try:
            numbers = {name: int(fields[key]) for name, key in _NUMBERS.items()}
            words = {name: fields[key] for name, key in _WORDS.items()}
        except (KeyError, ValueError) as error:
            raise LetterError(f"a line is missing or no number: {error}") from None
        return cls(**words, **numbers)  # type: ignore[arg-type]


_NUMBERS = {"revision": "S", "root_size": "B", "ttl": "D", "published": "T"}
_WORDS = {"fqrn": "N", "root": "C", "history": "H", "certificate": "X"}


def whitelist(fqrn: str, fingerprint: bytes, now: datetime) -> str:
    """Return the lines of a whitelist.

    Args:
        fqrn: Name of the repository.
        fingerprint: SHA-1 of its certificate.
        now: From when it is valid, in UTC.
    """
    allowed = fingerprint.hex(":").upper()
    return f"{now:{_TIME}}\nE{now + VALID:{_TIME}}\nN{fqrn}\n{allowed}\n"


def written(sealed: bytes) -> datetime:
    """Return when a whitelist was written.

    Raises:
        LetterError: It is not whole, or does not say.
    """
    return _time(sealed, 0, "")


def expiry(sealed: bytes) -> datetime:
    """Return until when a whitelist is valid.

    Raises:
        LetterError: It is not whole, or does not say.
    """
    return _time(sealed, 1, "E")


def _digest(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def _time(sealed: bytes, line: int, before: str) -> datetime:
    """Return the time in a line of a whitelist, found by its place: a fingerprint can begin with any letter."""
    lines = Letter.open(sealed).lines
    try:
        return datetime.strptime(lines[line], before + _TIME).replace(tzinfo=UTC)
    except (IndexError, ValueError) as error:
        raise LetterError(f"it has no time where it must have one: {error}") from None
