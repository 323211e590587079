"""How long clusters live."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.astrok8s.magnum.plugins.filter.lifetime import lifetime_seconds
from ansible_collections.astrok8s.magnum.plugins.module_utils import lifetime
from ansible_collections.astrok8s.magnum.plugins.module_utils.endings import Ending
from ansible_collections.astrok8s.magnum.plugins.module_utils.errors import MagnumError
from ansible_collections.astrok8s.magnum.plugins.module_utils.lifetime import Lifetime
from openstack.config.cloud_region import CloudRegion

from astrok8s import OptionError
from astrok8s.provisioning import check

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KNOWN = Lifetime(NOON, "12h", NOON + timedelta(hours=16), "7d", "60m")  # it was extended


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("1.5d", 129_600)])
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert lifetime.duration(text).total_seconds() == seconds
    assert lifetime_seconds(text, "7d") == seconds


WRONG = [
    ("forever", "'forever' is no duration"),
    (" ", "' ' is no duration"),
    ("12", "'12' is no duration"),
    ("-1h", "'-1h' is no duration"),
    ("2026-12-24", "is no duration"),
    ("0s", "A cluster cannot live for 0s. Give a minute at least."),
    ("8d", "A cluster cannot live for 8d: this site allows 7d."),
    ("999999999d", "A cluster cannot live for 999999999d: this site allows 7d."),
    ("9999999999d", "'9999999999d' is no duration"),
]


@pytest.mark.parametrize(("ttl", "message"), WRONG)
def test_what_cannot_be_is_refused(ttl: str, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        lifetime_seconds(ttl, "7d")
    with pytest.raises(OptionError, match=message):
        check("one", lifecycle_ttl=ttl)


def test_the_site_says_how_long_one_may_live() -> None:
    with pytest.raises(AnsibleFilterError, match="A cluster cannot live for 12h: this site allows 4h"):
        lifetime_seconds(None, "4h")
    assert check("one", lifecycle_ttl="8d", lifecycle_longest="30d")["lifecycle_ttl"] == "8d"


def test_it_counts_from_when_it_was_declared_first() -> None:
    first = lifetime.declared("12h", "7d", None, NOON)
    assert first == Lifetime(NOON, "12h", NOON + timedelta(hours=12), "7d", "60m")
    assert Lifetime.read(first.tell()) == first
    later = NOON + timedelta(hours=3)
    assert lifetime.declared("4h", "7d", first, later).end == NOON + timedelta(hours=4)


def test_what_is_declared_again_stays_extended() -> None:
    assert lifetime.declared("12h", "7d", KNOWN, NOON + timedelta(hours=3)) == KNOWN
    assert lifetime.declared("12h", "9d", KNOWN, NOON) == replace(KNOWN, longest="9d")


def test_where_nothing_is_said_it_stays_as_it_is() -> None:
    assert lifetime.declared(None, "7d", KNOWN, NOON + timedelta(hours=13)) == KNOWN
    assert lifetime.declared(None, "7d", None, NOON).end == NOON + timedelta(hours=12)


def test_a_ttl_that_is_over_is_refused() -> None:
    with pytest.raises(MagnumError, match="With ttl=2h the cluster would end at once: it lives since 2026-01-01 12:00"):
        lifetime.declared("2h", "7d", KNOWN, NOON + timedelta(hours=3))


def test_it_is_extended_as_far_as_the_site_allows() -> None:
    assert lifetime.extended("4h", KNOWN).end == NOON + timedelta(hours=20)
    with pytest.raises(
        MagnumError, match="cannot live 7d longer than 2026-01-02 04:00 UTC: this site allows 7d, until 2026-01-08"
    ):
        lifetime.extended("7d", KNOWN)


RULES = [{"service": "container-infra", "method": "GET", "path": "/v1/clusters/1"}]


@pytest.mark.parametrize(
    ("expires", "good"),
    [
        (None, True),
        ("2026-01-02T12:00:00.000000", True),
        ("2026-01-02T00:00:00.000000", True),
        ("2026-01-01T23:00:00", False),
    ],
)
def test_a_credential_outlives_the_cluster(expires: str | None, good: bool) -> None:
    shown = {"expires_at": expires, "access_rules": [rule | {"id": "1"} for rule in RULES]}
    assert lifetime.is_good(shown, NOON, RULES) == good


@pytest.mark.parametrize("has", [None, [], [RULES[0] | {"method": "DELETE"}], [*RULES, RULES[0] | {"method": "PUT"}]])
def test_a_credential_that_may_do_something_else_is_not_good(has: list[dict[str, str]] | None) -> None:
    assert not lifetime.is_good({"expires_at": None, "access_rules": has}, NOON, RULES)


def test_an_ending_is_a_sentence() -> None:
    over = NOON + timedelta(hours=12)
    itself = Ending(
        cluster="hyades", uuid="1", size=2, since=NOON, ended=over, why="its time of 12h was over", by="itself"
    )
    assert itself.sentence() == "The cluster hyades ended at 2026-01-02 00:00 UTC: its time of 12h was over."
    destroyed = replace(itself, why="it was destroyed", by="maria")
    assert destroyed.sentence().endswith(": it was destroyed by maria.")
    assert Ending.read(json.loads(json.dumps(destroyed.tell()))) == destroyed


def test_a_credential_says_of_which_cluster_it_is() -> None:
    uuid = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
    assert lifetime.cluster_of(f"astrok8s-RegionOne-{uuid}-20260101T120000") == (uuid, NOON)


def test_an_authority_of_the_cloud_s_own_goes_along(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----")
    own, public = ({"verify": True, "cacert": str(file)}, {"verify": True, "cacert": None})
    assert lifetime.authority(CloudRegion("own", "here", own)) == {"ca.crt": "-----BEGIN CERTIFICATE-----"}
    assert lifetime.authority(CloudRegion("public", "here", public)) == {}


def test_how_long_it_may_be_idle_stays_until_something_else_is_said() -> None:
    assert lifetime.declared(None, "7d", KNOWN, NOON).idle == "60m"
    other = lifetime.declared(None, "7d", KNOWN, NOON, "2h")
    assert other == replace(KNOWN, idle="2h")
    assert lifetime.declared(None, "7d", other, NOON).idle == "2h"
    assert other.tell()["idle_s"] == "7200"
    assert lifetime.declared("90s", "7d", None, NOON).idle == "60m"  # its time is over first


IDLE = [
    ("0s", None, "A cluster cannot end when it was idle for 0s"),
    ("soon", None, "'soon' is no duration"),
    ("2h", "1h", "A cluster that lives for 1h is not idle for 2h"),
    ("8d", None, "A cluster that lives for 7d is not idle for 8d"),
]


@pytest.mark.parametrize(("idle", "ttl", "message"), IDLE)
def test_how_long_it_cannot_be_idle(idle: str, ttl: str | None, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        lifetime_seconds(ttl, "7d", idle)
    with pytest.raises(MagnumError, match=message):
        lifetime.declared(ttl, "7d", None, NOON, idle)
    with pytest.raises(OptionError, match=message) as told:
        check("one", lifecycle_ttl=ttl, lifecycle_idle=idle)
    assert told.value.name == "idle"


def test_a_site_that_allows_less_than_what_lives_says_so() -> None:
    with pytest.raises(MagnumError, match="lives until 2026-01-02 04:00 UTC: that is longer than 8h, which this"):
        lifetime.declared(None, "8h", KNOWN, NOON)
    assert lifetime.declared("8h", "8h", KNOWN, NOON).end == NOON + timedelta(hours=8)
