from __future__ import annotations

import http.server
import json
import sqlite3
import threading
from pathlib import Path

import pytest
from localcloud.openstack import clouds_yaml, config, credentials, database, ready
from localcloud.settings import Settings

OTHERS = """\
# my clouds
clouds:
  virtualdata:  # the real one
    auth: {auth_url: 'https://keystone.example.org/v3'}
    region_name: lal
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path / "a home $5", 7)
    for folder in (settings.home, settings.etc, settings.state, settings.logs):
        folder.mkdir()
    return settings


@pytest.fixture
def clouds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".config/openstack/clouds.yaml"


def make_databases(settings: Settings) -> None:
    for path in database.files(settings):
        path.parent.mkdir(exist_ok=True)
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE t (x)")
            connection.executemany("INSERT INTO t VALUES (?)", [("x" * 3000,)] * 20)
        connection.close()
    credentials.databases_marker(settings).touch()


def test_clouds_yaml_comes_and_goes(settings, clouds):
    clouds_yaml.write(settings)
    assert clouds.stat().st_mode & 0o777 == 0o600
    clouds_yaml.remove(settings)
    assert not clouds.parent.exists()
    clouds_yaml.remove(settings)


def test_clouds_yaml_keeps_what_is_not_ours(settings, clouds):
    clouds.parent.mkdir(parents=True)
    clouds.write_text(OTHERS)
    clouds_yaml.write(settings)
    first = clouds.read_text()
    assert first.startswith(OTHERS)
    assert "local7-admin:" in first
    before = clouds.stat()
    clouds_yaml.write(settings)
    assert clouds.stat().st_mtime_ns == before.st_mtime_ns
    clouds_yaml.remove(settings)
    assert clouds.read_text() == OTHERS


def test_clouds_yaml_does_not_hide_clouds_yml(settings, clouds):
    clouds.parent.mkdir(parents=True)
    yml = clouds.with_suffix(".yml")
    yml.write_text(OTHERS)
    clouds_yaml.write(settings)
    assert not clouds.exists()
    assert "local7:" in yml.read_text()


@pytest.mark.parametrize(
    "content", ["clouds: [", "clouds: [a]\n", "- a\n", "clouds:\n  local7: {auth: {auth_url: 'https://x'}}\n"]
)
def test_clouds_yaml_that_is_not_ours_to_change(settings, clouds, content):
    clouds.parent.mkdir(parents=True)
    clouds.write_text(content)
    with pytest.raises(RuntimeError, match=r"clouds\.y"):
        clouds_yaml.write(settings)
    assert clouds.read_text() == content


def test_clouds_yaml_through_a_link(settings, clouds, tmp_path):
    target = tmp_path / "dotfiles.yaml"
    target.write_text(OTHERS)
    clouds.parent.mkdir(parents=True)
    clouds.symlink_to(target)
    clouds_yaml.write(settings)
    assert clouds.is_symlink()
    assert "local7:" in target.read_text()


def test_passwords_are_made_once_and_private(settings):
    first = credentials.passwords(settings)
    assert credentials.passwords(settings) == first
    assert (settings.state / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert credentials.key_pair(settings) == credentials.key_pair(settings)
    assert credentials.private_key(settings).stat().st_mode & 0o777 == 0o600


def test_lost_passwords_are_told(settings):
    credentials.databases_marker(settings).touch()
    with pytest.raises(RuntimeError, match="hashes"):
        credentials.passwords(settings)


def test_a_new_services_password_is_added(settings):
    first = credentials.passwords(settings)
    credentials.databases_marker(settings).touch()
    older = {user: password for user, password in first.items() if user != "swift"}
    (settings.state / "secrets.json").write_text(json.dumps(older))
    later = credentials.passwords(settings)
    assert {**later, "swift": ""} == {**older, "swift": ""}
    assert later["swift"] not in ("", first["swift"])
    assert credentials.passwords(settings) == later


def test_configuration_escapes_dollars(settings):
    config.write(settings)
    text = config.file(settings, "magnum").read_text()
    assert "a home $$5/state/magnum" in text
    assert config.file(settings, "magnum").stat().st_mode & 0o777 == 0o600
    assert json.dumps("service_type = container-infra")[1:-1] in text


def test_whole_databases_pass(settings):
    make_databases(settings)
    database.forget_unfinished(settings)
    database.ensure(settings)


@pytest.mark.parametrize("damage", ["missing", "empty", "corrupt"])
def test_damaged_database_is_told_and_left(settings, damage):
    make_databases(settings)
    path = config.database(settings, "magnum")
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(path.read_bytes()[:4096] + b"?" * 40000)
    before = path.read_bytes() if path.exists() else None
    database.forget_unfinished(settings)
    with pytest.raises(RuntimeError, match=r"magnum\.db"):
        database.ensure(settings)
    assert (path.read_bytes() if path.exists() else None) == before


def test_unfinished_databases_go(settings):
    make_databases(settings)
    credentials.databases_marker(settings).unlink()
    database.forget_unfinished(settings)
    assert not any(path.exists() for path in database.files(settings))


def test_databases_in_use_never_count_as_unfinished(settings):
    make_databases(settings)
    credentials.databases_marker(settings).unlink()
    credentials.seed_marker(settings).touch()
    with pytest.raises(RuntimeError, match="in use"):
        database.forget_unfinished(settings)
    assert all(path.exists() for path in database.files(settings))


def test_another_programs_port(settings, monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(Settings, "port", lambda *_: server.server_port)
        monkeypatch.setattr(Settings, "address", lambda *_: "127.0.0.1")
        assert not any(ready.alive(settings).values())
        with pytest.raises(RuntimeError, match="another program answers"):
            ready.wait(settings, lambda _: None, timeout=5)
        server.shutdown()


def test_wait_names_who_is_missing(settings, monkeypatch):
    monkeypatch.setattr(Settings, "port", lambda *_: 1)
    monkeypatch.setattr(Settings, "address", lambda *_: "127.0.0.1")
    told: list[str] = []
    with pytest.raises(RuntimeError, match="magnum"):
        ready.wait(settings, told.append, timeout=0)
    assert told == ["waiting for keystone, glance, nova, neutron, magnum, swift, stratum, squid to answer"]


@pytest.mark.parametrize(("ours", "says"), [(True, "HTTP status 503"), (False, "another program answers")])
def test_a_proxy_tells_that_what_is_behind_it_is_missing(settings, monkeypatch, ours, says):
    """squid's own pages name squid as their server; only its Via tells whose it is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        server_version = "squid/5.7"

        def do_GET(self):
            asked.append(self.path)
            self.send_response(503)
            self.send_header("Via", f"1.1 {settings.host_name if ours else 'somebody'} (squid/5.7)")
            self.end_headers()

        def log_message(self, *_):
            pass

    asked: list[str] = []
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(Settings, "port", lambda *_: server.server_port)
        monkeypatch.setattr(Settings, "address", lambda *_: "127.0.0.1")
        assert ready._error(settings, "squid") == says
        assert asked == [f"{settings.url('stratum')}/"]
        server.shutdown()
