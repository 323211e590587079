"""Tells people when notebooks begin to fail, and when they are well again; not each night."""

import json
import smtplib
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from astrok8s.errors import OptionError
from astrok8s.validation.results import Run

MAIL_SERVER = "localhost"
"""Who is given mails, as long as no other is named."""

_ANSWER_S = 30


@dataclass(frozen=True)
class Listeners:
    """Who is told, and how.

    Attributes:
        mails: The addresses of mails.
        hooks: URLs that get JSON, whose `text` is what Mattermost, Slack and others show.
        mail_server: Who is given the mails: HOST or HOST:PORT.
    """

    mails: tuple[str, ...] = ()
    hooks: tuple[str, ...] = field(default=(), repr=False)  # whoever knows one may write there
    mail_server: str = MAIL_SERVER

    @classmethod
    def read(cls, addresses: Iterable[str], mail_server: str = MAIL_SERVER) -> "Listeners":
        """Returns who is meant.

        Args:
            addresses: Each `mailto:ADDRESS`, or a URL of http or https.
            mail_server: As of the class.

        Raises:
            OptionError: One is neither.
        """
        mails, hooks = [], []
        for address in addresses:
            parts = urlsplit(address)
            if parts.scheme == "mailto" and "@" in parts.path and not set(parts.path) & {"\n", "\r"}:
                mails.append(unquote(parts.path))
            elif parts.scheme in ("http", "https") and parts.hostname:
                hooks.append(address)
            else:
                remedy = "Give mailto:NAME@SITE, or a URL that begins with https://."
                raise OptionError("tell", f"Nobody can be told at {address!r}.", remedy=remedy)
        if mails:
            _host_and_port(mail_server)
        return cls(tuple(mails), tuple(hooks), mail_server)

    def __bool__(self) -> bool:
        return bool(self.mails or self.hooks)


def _host_and_port(server: str) -> tuple[str, int]:
    """Returns the host of a server, and its port; 25 if it does not say.

    Raises:
        OptionError: There can be no such server.
    """
    try:
        parts = urlsplit(f"//{server}")
        host, port = parts.hostname, parts.port or smtplib.SMTP_PORT
    except ValueError:
        host, port = None, 0
    if not host:
        raise OptionError("smtp", f"{server!r} is no server of mail.", remedy="Give HOST or HOST:PORT.")
    return host, port


def tell(run: Run, listeners: Listeners, report: Path) -> list[str]:
    """Tells what has changed since somebody was told something, and notes in the run what they know then.

    Nobody is told that a first run is well. Where one of them cannot be reached, the next run tells it all again.

    Args:
        run: A run that has ended.
        listeners: Who is told.
        report: The page of it.

    Returns:
        Who could not be reached, and why; sentences.
    """
    wrong = run.wrong()
    if not listeners or run.status == "interrupted" or wrong == run.told:
        return []
    headline, text = _headline(run, wrong), _text(run, wrong, report)
    unreached = []
    if listeners.mails:
        unreached.append(_tried("mail", partial(_mail, listeners, headline, text, report)))
    for hook in listeners.hooks:
        # What follows the host says who may write there.
        where = f"the webhook at {urlsplit(hook).hostname}"
        unreached.append(_tried(where, partial(_post, hook, run, wrong, f"{headline}\n{text}")))
    found = [sentence for sentence in unreached if sentence]
    if not found:
        run.told = wrong
    return found


def _tried(where: str, send: Callable[[], None]) -> str:
    """Returns why something could not be sent; empty where it was."""
    try:
        send()
    except HTTPError as error:
        return f"Nobody was told by {where}: it answered {error.code}. The next run tries again."
    except (OSError, smtplib.SMTPException, HTTPException) as error:
        return f"Nobody was told by {where}: {error}. The next run tries again."
    return ""


def _headline(run: Run, wrong: list[str]) -> str:
    if not wrong:
        return f"astrok8s on {run.cloud} is well again"
    return f"astrok8s on {run.cloud}: {', '.join(wrong)} failed"


def _text(run: Run, wrong: list[str], report: Path) -> str:
    """Returns what is told below the headline."""
    causes = {result.name: result.failure.cause for result in run.results if result.failure}
    lines = [f"{name}: {causes[name]}" for name in wrong if name in causes]
    lines += [*run.problems, *run.left]
    well = sorted({*run.told} - {*wrong})
    if well and wrong:
        lines.append(f"Well again: {', '.join(well)}.")
    return "\n".join([*lines, f"Report: {report} on {socket.getfqdn()}"])


def _mail(listeners: Listeners, headline: str, text: str, report: Path) -> None:
    """Sends a mail with the report.

    Raises:
        OSError: The server is not reached.
        smtplib.SMTPException: It does not take the mail.
    """
    message = EmailMessage()
    message["Subject"] = headline
    message["From"] = f"astrok8s@{socket.getfqdn()}"
    message["To"] = ", ".join(listeners.mails)
    message.set_content(text + "\n")
    message.add_attachment(report.read_text(encoding="utf-8"), subtype="html", filename=report.name)
    host, port = _host_and_port(listeners.mail_server)
    with smtplib.SMTP(host, port, timeout=_ANSWER_S) as server:
        server.send_message(message)


def _post(hook: str, run: Run, wrong: list[str], text: str) -> None:
    """Sends what is told to a URL.

    Raises:
        OSError: It is not reached, or refuses.
    """
    told = {"text": text, "status": run.status, "cloud": run.cloud, "run": run.id, "wrong": wrong}
    # `Listeners.read` has looked at its scheme.
    request = Request(hook, json.dumps(told).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
        answer.read()
