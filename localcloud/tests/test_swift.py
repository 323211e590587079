from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from localcloud.openstack import swift_config, swift_guard
from localcloud.openstack.files import make_private
from localcloud.openstack.prepare import FOLDERS
from localcloud.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path / "100% mine $5", 7)
    for folder in (settings.home, settings.etc, settings.state, settings.state / "swift"):
        make_private(folder)
    for name in FOLDERS["swift"]:
        make_private(settings.state / "swift" / name)
    return settings


def swift(code: str, *arguments: object) -> Any:
    """Run code in a process of its own, since Swift's library changes sockets and threads; return what it prints."""
    command = [sys.executable, "-W", "ignore", "-c", f"import json, sys\n{code}", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


READ = """
from swift.common.wsgi import appconfig
print(json.dumps(dict(appconfig(sys.argv[1], name=sys.argv[2]))))
"""

LOOK_UP = """
from swift.common.utils import set_swift_dir
set_swift_dir(sys.argv[1])
from localcloud.openstack.swift_service import PARTITION_POWER, ring
from swift.common.ring import Ring
ring("object", 6789).save(f"{sys.argv[1]}/object.ring.gz")
made = Ring(sys.argv[1], ring_name="object")
found = [made.get_nodes("AUTH_1", "bucket", name)[1] for name in "abc"]
nodes = [[(node["ip"], node["port"], node["device"]) for node in nodes] for nodes in found]
print(json.dumps([made.replica_count, made.partition_count == 2**PARTITION_POWER, nodes]))
"""


def test_swift_reads_what_was_written(settings):
    swift_config.write(settings)
    folder = swift_config.folder(settings)
    assert swift(READ, folder / "proxy.conf", "proxy-server")["swift_dir"] == str(folder)
    devices = swift(READ, folder / "object.conf", "server")["devices"]
    assert Path(devices, swift_config.DISK) == swift_config.disk(settings)
    assert swift_config.disk(settings).is_dir()
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_only_the_signature_of_each_request_counts(settings):
    swift_config.write(settings)
    text = (swift_config.folder(settings) / "proxy.conf").read_text()
    assert "secret_cache_duration = 0\n" in text
    order = [swift_config.PIPELINE.index(name) for name in ("authtoken", "s3api", "s3token", "keystoneauth")]
    assert order == sorted(order)


def test_hash_prefix_is_made_once(settings):
    first = swift_config.hash_prefix(settings)
    assert swift_config.hash_prefix(settings) == first
    (settings.state / "swift/hash-prefix").unlink()
    assert swift_config.hash_prefix(settings) != first, "nothing was stored by the first one"


def test_lost_hash_prefix_is_told(settings):
    swift_config.write(settings)
    (swift_config.disk(settings) / "objects").mkdir()
    (settings.state / "swift/hash-prefix").unlink()
    with pytest.raises(RuntimeError, match="hash-prefix is missing"):
        swift_config.write(settings)


def test_a_disk_without_attributes_is_refused(settings, monkeypatch):
    swift_config.check_disk(settings)

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(RuntimeError, match=r"attributes of files.*not supported.*--home"):
        swift_config.check_disk(settings)
    assert not (settings.state / "swift/probe").exists()


def test_the_ring_leads_to_the_disk(settings):
    swift_config.write(settings)
    one_copy = [["127.0.0.1", 6789, swift_config.DISK]]
    assert swift(LOOK_UP, swift_config.folder(settings)) == [1, True, [one_copy] * 3]


def call(application, **environ):
    """Return status and headers of an application's answer."""
    said: list[object] = []
    application(environ, lambda status, headers, *_: said.extend((status, headers)))
    return said


def hello(environ, start_response):
    assert swift_guard.KEY.lower() not in {name[5:].replace("_", "-").lower() for name in environ}
    start_response("200 OK", [("Content-Length", "0")], None)
    return [b""]


def test_storage_answers_this_process_alone():
    application = swift_guard.guarded(hello, "right")
    assert call(application, HTTP_X_LOCALCLOUD_KEY="right")[0] == "200 OK"
    assert call(application, HTTP_X_LOCALCLOUD_KEY="wrong")[0] == "403 Forbidden"
    assert call(application, HTTP_X_LOCALCLOUD_KEY="é")[0] == "403 Forbidden"
    assert call(application)[0] == "403 Forbidden"


def test_answers_tell_whose_they_are():
    status, headers = call(swift_guard.named(hello, "localcloud/1"))
    assert status == "200 OK"
    assert headers == [("Content-Length", "0"), ("Server", "localcloud/1")]
