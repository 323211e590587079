# Copyright: astrok8s contributors
# Apache-2.0
"""How long a cluster lives, and the credential with which it ends."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import MagnumError
from .magnum import Cluster, Magnum

DEFAULT = "12h"
"""How long a new cluster lives, where nothing else is said."""

IDLE = "60m"
"""How long nobody may use a cluster before it ends, where nothing else is said."""

LEAST = timedelta(minutes=1)
"""A cluster lives at least as long, used or not."""

CATCH_UP = timedelta(days=1)
"""How long after a cluster's end its credential lives, so that it ends also after the cloud was down for a night."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_STAMP = "%Y%m%dT%H%M%S"
# A user has one list of credentials for all regions and projects of a cloud.
_NAME = re.compile(r"astrok8s-(?P<region>.*)-(?P<uuid>[0-9a-f-]{36})-(?P<made>\d{8}T\d{6})")


@dataclass(frozen=True)
class Lifetime:
    """From when until when a cluster lives.

    Attributes:
        since: From when it counts, UTC.
        ttl: How long was declared, as it was written.
        end: Until when, UTC.
        longest: How long the site allows it to live in all, as it was written.
        idle: How long nobody may use it before it ends, as it was written.
    """

    since: datetime
    ttl: str
    end: datetime
    longest: str
    idle: str

    @property
    def last(self) -> datetime:
        """Until when the site allows it to live, UTC."""
        return self.since + duration(self.longest)

    @classmethod
    def read(cls, told: Mapping[str, str]) -> "Lifetime":
        """Returns one from what `tell` has told."""
        since, end = (datetime.fromisoformat(told[name]) for name in ("since", "end"))
        return cls(since, told["ttl"], end, told["longest"], told.get("idle", ""))

    def tell(self) -> dict[str, str]:
        """Returns it as texts; times are of ISO 8601."""
        times = {"since": self.since.isoformat(), "end": self.end.isoformat(), "last": self.last.isoformat()}
        idle_s = f"{duration(self.idle).total_seconds():.0f}"  # for the watcher
        return times | {"ttl": self.ttl, "longest": self.longest, "idle": self.idle, "idle_s": idle_s}


def duration(text: str) -> timedelta:
    """Returns a duration.

    Args:
        text: A number and its unit: `90s`, `30m`, `12h`, `7d`.

    Raises:
        MagnumError: It is none.
    """
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d+)?)\s*([smhd])\s*", text)
    if not found:
        raise MagnumError(f"{text!r} is no duration.", "Give a number and s, m, h or d, such as 12h.")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def check(ttl: str, longest: str) -> None:
    """Checks how long a cluster is to live.

    Args:
        ttl: How long.
        longest: How long the site allows.

    Raises:
        MagnumError: It is no duration, too short, or longer than is allowed.
    """
    if duration(ttl) < LEAST:
        raise MagnumError(f"A cluster cannot live for {ttl}.", "Give a minute at least.")
    if duration(ttl) > duration(longest):
        raise MagnumError(f"A cluster cannot live for {ttl}: this site allows {longest}.", "Give less, and extend it.")


def check_idle(idle: str, ttl: str | None, longest: str) -> None:
    """Checks how long nobody may use a cluster.

    Args:
        idle: How long.
        ttl: How long it is to live; None where nothing is said, since one that is there may live longer than others.
        longest: How long the site allows.

    Raises:
        MagnumError: It is no duration, too short, or longer than the cluster lives.
    """
    ttl = ttl or longest
    if duration(idle) < LEAST:
        raise MagnumError(f"A cluster cannot end when it was idle for {idle}.", "Give a minute at least.")
    if duration(idle) > duration(ttl):
        raise MagnumError(f"A cluster that lives for {ttl} is not idle for {idle}.", "Give less, or a longer ttl.")


def declared(ttl: str | None, longest: str, known: Lifetime | None, now: datetime, idle: str | None = None) -> Lifetime:
    """Returns how long a cluster lives that is declared, perhaps again.

    Args:
        ttl: How long it is to live, from when it was declared first; None where nothing is said.
        longest: How long the site allows.
        known: How long it lives so far; None for a new cluster. It stays so while the same is declared, or nothing.
        now: The time, UTC.
        idle: How long nobody may use it before it ends; None for as long as so far, or an hour.

    Raises:
        MagnumError: It cannot live that long, or would end at once.
    """
    if idle is not None:
        check_idle(idle, ttl, longest)
    idle = idle or (known.idle if known else "") or IDLE
    if known and ttl in (None, known.ttl):
        lasting = replace(known, longest=longest, idle=idle)
        if lasting.end > lasting.last:
            raise MagnumError(
                f"The cluster lives until {known.end:%Y-%m-%d %H:%M} UTC: that is longer than {longest}, which this "
                f"site allows now, from {known.since:%Y-%m-%d %H:%M} UTC.",
                "Declare a shorter ttl, or destroy it.",
            )
        return lasting
    ttl = ttl or DEFAULT
    check(ttl, longest)
    if known is None:
        now = now.replace(microsecond=0)
        return Lifetime(now, ttl, now + duration(ttl), longest, idle)
    end = known.since + duration(ttl)
    if end < now + LEAST:
        raise MagnumError(
            f"With ttl={ttl} the cluster would end at once: it lives since {known.since:%Y-%m-%d %H:%M} UTC.",
            "Give more, or destroy it.",
        )
    return Lifetime(known.since, ttl, end, longest, idle)


def extended(by: str, known: Lifetime) -> Lifetime:
    """Returns how long a cluster lives that is extended.

    Args:
        by: By how much.
        known: How long it lives so far.

    Raises:
        MagnumError: The site does not allow that.
    """
    if duration(by) > known.last - known.end:
        raise MagnumError(
            f"The cluster cannot live {by} longer than {known.end:%Y-%m-%d %H:%M} UTC: this site allows "
            f"{known.longest}, until {known.last:%Y-%m-%d %H:%M} UTC.",
            "Extend it by less, or make another one.",
        )
    return replace(known, end=known.end + duration(by))


def make_credential(connection: Any, cluster: Cluster, end: datetime, record: str) -> dict[str, str]:
    """Has Keystone make a credential that may look at a cluster, delete it and say so, and nothing else.

    Access rules name a method and a path of one service
    (https://docs.openstack.org/keystone/latest/user/application_credentials.html#access-rules). Magnum's paths name a
    cluster by its UUID.

    Args:
        connection: An openstacksdk connection, authenticated by a user.
        cluster: The cluster.
        end: Until when it is used, UTC; it ends a day later.
        record: The URL of the record of the cluster's end; empty for none.

    Returns:
        Its `id` and `secret`, and what a client needs beside them: `auth_url`, `region`, `interface`, and where the
        cloud has an authority of its own, `ca.crt`.

    Raises:
        MagnumError: Keystone makes none.
    """
    from keystoneauth1.exceptions import ClientException

    uuid, config = cluster["uuid"], connection.config
    asked = {
        "name": f"astrok8s-{_region(connection)}-{uuid}-{now():{_STAMP}}",
        "description": f"Ends the cluster {cluster['name']}.",
        "access_rules": rules(connection, uuid, record),
        "expires_at": f"{end + CATCH_UP:%Y-%m-%dT%H:%M:%S.%f}",
        "unrestricted": False,
    }
    try:
        answer = connection.identity.post(_path(connection), json={"application_credential": asked}, raise_exc=True)
    except ClientException as error:
        raise MagnumError(
            f"Keystone gives no credential with which the cluster {cluster['name']} could end by itself: {error}.",
            "Ask for the right to make application credentials, or use an unrestricted one.",
        ) from error
    made = answer.json()["application_credential"]
    found = {"id": made["id"], "secret": made["secret"], "auth_url": connection.session.auth.auth_url}
    found |= {"region": _region(connection), "interface": config.get_interface() or "public"}
    return found | authority(config)


def authority(config: Any) -> dict[str, str]:
    """Returns the certificates of a cloud's own authority as `ca.crt`, where clouds.yaml names some (`cacert`).

    Args:
        config: Openstacksdk's configuration of the cloud.
    """
    verify, _ = config.get_requests_verify_args()
    return {"ca.crt": Path(verify).read_text(encoding="utf-8")} if isinstance(verify, str) else {}


def rules(connection: Any, uuid: str, record: str) -> list[dict[str, str]]:
    """Returns what a credential may do, as Keystone's access rules: look at a cluster, delete it, and write a record.

    Args:
        connection: An openstacksdk connection, authenticated.
        uuid: The cluster's.
        record: The URL of the record; empty for none.
    """
    # A service compares with the path that it is asked for; where it shares a host with others, that has a prefix.
    url = connection.container_infrastructure_management.get_endpoint() or ""
    prefix = urlsplit(url).path.rstrip("/").removesuffix("/v1")
    paths = sorted({f"{start}/v1/clusters/{uuid}" for start in ("", prefix)})
    own = [("container-infra", method, path) for path in paths for method in ("GET", "DELETE")]
    own += [("object-store", "PUT", urlsplit(record).path)] if record else []
    return [{"service": service, "method": method, "path": path} for service, method, path in own]


def credentials(connection: Any) -> list[dict[str, Any]]:
    """Returns the user's credentials with which clusters of the project end, as Keystone shows them.

    Args:
        connection: An openstacksdk connection, authenticated.
    """
    from keystoneauth1.exceptions import Forbidden

    try:
        listed = connection.identity.get(_path(connection), raise_exc=True).json()["application_credentials"]
    except Forbidden:
        return []  # of a user who has no right to any
    own = {"project": connection.current_project_id, "region": _region(connection)}
    return [
        entry
        for entry in listed
        if (found := _NAME.fullmatch(entry["name"]))
        and own == {"project": entry["project_id"], "region": found["region"]}
    ]


def is_good(credential: Mapping[str, Any], end: datetime, allowed: list[dict[str, str]]) -> bool:
    """Returns whether a credential lives as long as a cluster needs it, and may do what it is for, and no more.

    Args:
        credential: As Keystone shows it.
        end: Until when the cluster lives, UTC.
        allowed: What `rules` tells.
    """
    has, expires = credential["access_rules"] or [], credential.get("expires_at")
    if {tuple(sorted(rule.items())) for rule in allowed} != {
        tuple(sorted((key, rule[key]) for key in ("service", "method", "path"))) for rule in has
    }:
        return False
    return expires is None or datetime.fromisoformat(expires).replace(tzinfo=UTC) >= end + CATCH_UP / 2


def has_good(connection: Any, held: str, uuid: str, end: datetime, record: str) -> bool:
    """Returns whether the user has a credential that is good for a cluster.

    Args:
        connection: An openstacksdk connection, authenticated.
        held: The identity of the one that the cluster has; empty for none.
        uuid: The UUID of the cluster.
        end: Until when it lives, UTC.
        record: The URL of the record of its end; empty for none.
    """
    allowed = rules(connection, uuid, record)
    return any(entry["id"] == held and is_good(entry, end, allowed) for entry in credentials(connection))


def remove_credentials(connection: Any, held: str, uuid: str, spare: timedelta = timedelta(hours=1)) -> list[str]:
    """Removes the user's credentials that no cluster needs: those of clusters that are gone, and replaced ones.

    Args:
        connection: An openstacksdk connection, authenticated.
        held: The identity of the one that a cluster has; empty for none.
        uuid: The UUID of that cluster.
        spare: How old one is at least that was replaced: another run may just be giving the cluster a new one.

    Returns:
        The names of those that were removed.
    """
    from keystoneauth1.exceptions import Forbidden, NotFound

    magnum, removed = Magnum(connection), []
    for entry in credentials(connection):
        of, made = cluster_of(entry["name"])
        replaced = of == uuid and entry["id"] != held and made <= now() - spare
        if replaced or (of != uuid and magnum.details(of) is None):
            try:
                connection.identity.delete(f"{_path(connection)}/{entry['id']}", raise_exc=True)
            except (Forbidden, NotFound):  # one has no right to, or somebody was faster
                continue
            removed.append(entry["name"])
    return removed


def cluster_of(name: str) -> tuple[str, datetime]:
    """Returns the UUID of the cluster that a credential is of, and when it was made, by its name."""
    uuid, made = name[-52:-16], name[-15:]
    return uuid, datetime.strptime(made, _STAMP).replace(tzinfo=UTC)


def now() -> datetime:
    """Returns the time, UTC."""
    return datetime.now(UTC)


def _region(connection: Any) -> str:
    return connection.config.get_region_name() or ""


def _path(connection: Any) -> str:
    return f"/users/{connection.current_user_id}/application_credentials"
