import json
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.cloud import configuration, databases, object_storage

# In a process of its own, since Swift's library changes sockets and threads.
LOOK_UP = """
import json
import sys
from pathlib import Path
from localcloud.cloud import swift_server
from swift.common.utils import set_swift_dir

swift_server.FOLDER = Path(sys.argv[1])
swift_server.write_ring("object", 6200)
set_swift_dir(sys.argv[1])
from swift.common.ring import Ring

ring = Ring(sys.argv[1], ring_name="object")
found = [ring.get_nodes("AUTH_1", "bucket", name)[1] for name in "abc"]
print(json.dumps([[node["ip"], node["port"], node["device"]] for nodes in found for node in nodes]))
"""


def test_the_ring_has_one_copy_of_everything_on_the_one_disk(tmp_path: Path) -> None:
    conf = "[swift-hash]\nswift_hash_path_prefix = localcloud\n"
    (tmp_path / "swift.conf").write_text(conf)
    command = [sys.executable, "-W", "ignore", "-c", LOOK_UP, str(tmp_path)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found == [["127.0.0.1", 6200, object_storage.DISK]] * 3


def test_a_new_cloud_has_the_disk() -> None:
    assert configuration.STATE / "swift/disk" == object_storage.DEVICES / object_storage.DISK
    assert "swift/disk" in databases._FOLDERS


def test_the_probe_of_the_file_system_leaves_nothing(tmp_path: Path) -> None:
    object_storage.check_file_system(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_not_called_a_bad_file_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        object_storage.check_file_system(tmp_path / "none")
