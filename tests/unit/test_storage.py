"""Object storage and history without a cloud: names, properties, keys that are not shown, storage that is down."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.astrok8s.magnum.plugins.module_utils.storage import Key, StorageError, place, probe
from jinja2 import Environment

from astrok8s import HistoryWarning
from astrok8s._errors import HistoryError
from astrok8s._history import Application, _Pages
from astrok8s._paths import ansible_root
from astrok8s._storage import Storage, parse, session

KEY = b"[default]\naws_access_key_id = AAA\naws_secret_access_key = very-secret\n"
DOWN = "http://127.0.0.1:1"
HISTORY = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": "s3a://spark-u-1/events"}


def connection(endpoint="http://10.0.0.1:8080/", user="Jane Ö. Doe", project="p"):
    """What `place` asks of a connection."""
    access = SimpleNamespace(username=user, user_id=f"id of {user}", project_id=project)
    return SimpleNamespace(
        endpoint_for=lambda *_, **__: endpoint,
        config=SimpleNamespace(get_interface=lambda _: None, get_region_name=lambda _: "RegionOne"),
        session=SimpleNamespace(auth=SimpleNamespace(get_access=lambda _: access)),
    )


def test_the_users_bucket_has_a_legal_name_of_its_own():
    found = place(connection())
    assert (found.endpoint, found.region) == ("http://10.0.0.1:8080", "RegionOne")
    assert found.bucket.startswith("spark-jane-doe-")
    assert len({place(connection(user=u, project=p)).bucket for u in ("a", "b", "ü") for p in ("p", "q")}) == 6
    assert len(place(connection(user="x" * 200)).bucket) <= 63
    assert place(connection(endpoint="")) is None


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "Upper", "under_score", "-first", "last-", "dots.in.it", "a b", "ü-ü-ü"]
)
def test_a_bucket_that_no_s3_takes_is_refused(name):
    with pytest.raises(StorageError, match="correct spark_storage_bucket"):
        place(connection(), bucket=name)


@pytest.mark.parametrize("endpoint", ["s3.example.org", "ftp://s3.example.org", "http://", "http://s3.example.org/v1"])
def test_an_endpoint_that_is_none_is_refused(endpoint):
    with pytest.raises(StorageError, match="correct spark_storage_endpoint"):
        place(connection(), endpoint=endpoint)


def test_an_endpoint_that_does_not_answer_is_refused():
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:1.* set spark_storage_endpoint"):
        probe(place(connection(), endpoint=DOWN))


def test_a_secret_is_not_shown():
    assert "very-secret" not in repr(Key("AAA", "very-secret"))
    assert "very-secret" not in repr(Storage(DOWN, credentials=KEY))


def test_properties_of_text():
    assert parse("# why\na.b  c d\n\n e f\n") == {"a.b": "c d", "e": "f"}


def test_without_object_storage_nothing_is_added():
    assert session(Storage(), {}) == ({}, {})


def test_no_property_holds_the_key():
    properties, environment = session(Storage(DOWN, "r", "spark-u-1", {"a": "b"}, {}, KEY), {})
    assert properties == {"a": "b"}
    with open(environment["AWS_SHARED_CREDENTIALS_FILE"], "rb") as file:
        assert file.read() == KEY


def test_storage_that_is_down_leaves_out_the_event_log_and_says_so():
    storage = Storage(DOWN, "r", "spark-u-1", {"a": "b"}, HISTORY, KEY)
    with pytest.warns(HistoryWarning, match=r"writes no history: .*127\.0\.0\.1:1"):
        assert session(storage, {})[0] == {"a": "b"}
    # who wants no event log, or another one, is not told about this one
    assert session(storage, {"spark.eventLog.enabled": "false"})[0] == {"a": "b"}
    assert session(storage, {"spark.eventLog.dir": "file:/tmp"})[0] == {"a": "b", **HISTORY}


@pytest.mark.parametrize("name", ["spark_base/templates/storage.yaml.j2", "spark_history/templates/history.yaml.j2"])
def test_templates_give_properties_that_are_read_back(name):
    environment = Environment(trim_blocks=True, autoescape=False)
    environment.filters |= {"b64encode": lambda text: b64encode(text.encode()).decode(), "hash": lambda text, _: text}
    defaults = {}
    for role in ("spark_base", "spark_history"):
        defaults |= yaml.safe_load((ansible_root() / "roles" / role / "defaults/main.yml").read_text())
    at = {"endpoint": "https://s3.example.org", "region": "r", "bucket": "spark-u-1"}
    told = yaml.safe_load((ansible_root() / "roles/spark_storage/vars/main.yml").read_text())
    variables = {
        **defaults,
        "__spark_storage_place": at,
        "__spark_storage_key": {"access": "AAA", "secret": "very-secret"},
    }
    for_all = environment.from_string(told["__spark_storage_properties"]).render(**variables)
    text = environment.from_string((ansible_root() / "roles" / name).read_text()).render(
        **variables, __spark_storage_properties=for_all
    )
    objects = {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(text)}
    data = next(found["data"] for (kind, _), found in objects.items() if kind == "ConfigMap")
    properties = parse(data["spark.properties"])
    if "base" in name:
        assert properties["spark.hadoop.fs.s3a.endpoint"] == at["endpoint"]
        assert properties["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "true"
        assert "very-secret" not in yaml.safe_dump(data)
    else:
        assert properties["spark.eventLog.dir"] == "s3a://spark-u-1/events"
        assert parse(data["server.properties"])["spark.history.fs.logDirectory"] == properties["spark.eventLog.dir"]


def test_an_application_of_the_servers_answer():
    attempt = {"startTimeEpoch": 1000, "endTimeEpoch": 3500, "lastUpdatedEpoch": 9000, "sparkUser": "jane"}
    body = {"id": "spark-1", "name": "stars", "attempts": [{**attempt, "completed": True}]}
    done = Application.from_api(body)
    assert (done.started, done.duration) == (datetime.fromtimestamp(1, UTC), timedelta(seconds=2.5))
    running = {**attempt, "completed": False, "endTimeEpoch": -1}
    assert Application.from_api({**body, "attempts": [running, attempt]}).duration == timedelta(seconds=8)


def test_pages_want_the_word():
    """Whoever else is on the machine can reach the port, but not what is behind it."""

    def port():
        raise HistoryError("reached")

    pages = _Pages(port, "the-word")
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    base = pages.url.split("?")[0]
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def status(url, opener) -> int:
        try:
            answer: HTTPResponse = opener.open(url, timeout=5)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        with answer:
            return answer.status

    try:
        for wrong in ("", "?word=", "?word=another", "?word=%C3%BC"):
            assert status(base + wrong, opener) == 403
        assert status(pages.url, opener) == 502  # let in; there is no history server behind it here
        assert status(base, opener) == 502  # by the cookie
        assert status(base, urllib.request.build_opener()) == 403
    finally:
        pages.shutdown()
        pages.server_close()
