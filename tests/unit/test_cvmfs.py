"""CVMFS without a cluster: what is refused, what clients read, what pods see, what the image's programs say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path, PurePosixPath

import nbformat
import pytest
import yaml
from ansible_collections.astrok8s.magnum.plugins.module_utils.cvmfs import problems
from ansible_collections.astrok8s.magnum.plugins.module_utils.cvmfs_nodes import BEFORE, LOOK, describe, missing
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import astrok8s
from astrok8s._cvmfs import Cvmfs, folder_in
from astrok8s._environment import check, properties
from astrok8s._errors import AttachError, OptionError
from astrok8s._shuffle import Shuffle
from astrok8s._storage import Storage
from astrok8s._template import IN_SERVER, PROPERTY, executor_template, here, in_server

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "images/spark"


def pem(key) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


KEY = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
ASTRO = {
    "fqrn": "sw.astro.example",
    "server_urls": ["http://10.0.0.1:80/cvmfs/@fqrn@", "http://b.example/cvmfs/@fqrn@"],
    "public_key": KEY,
}
HEP = {"fqrn": "hep-1.cern.example", "server_urls": ["https://c.example/cvmfs/@org@"], "public_key": KEY}
HERE = Cvmfs(("sw.astro.example", "hep-1.cern.example"), {"hostPath": {"path": "/cvmfs"}})


def test_what_can_be_is_taken():
    assert problems([ASTRO, HEP], ["http://squid:3128|http://[fd00::1]:3128", "DIRECT"]) == []
    assert problems([], []) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fqrn": "nodots"}, "repository nodots: fqrn 'nodots' is no fully qualified repository name"),
        ({"fqrn": "../etc.passwd"}, "is no fully qualified repository name"),
        ({"fqrn": None}, "repository 1: fqrn '' is no"),
        ({"server_urls": []}, "repository sw.astro.example: it has no server URL"),
        ({"server_urls": "http://a/cvmfs"}, "server_urls is the text"),
        ({"server_urls": ["ftp://a/cvmfs"]}, "server URL 'ftp://a/cvmfs' is none"),
        ({"server_urls": ['http://a/"; x']}, "is none"),
        ({"server_urls": ["http://a:port/"]}, "is none"),
        ({"public_key": ""}, "public_key is not given"),
        ({"public_key": "/etc/key.pub"}, "public_key cannot be read (it begins '/etc/key.pub')"),
        ({"public_key": KEY[:200]}, "public_key cannot be read"),
        ({"public_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "is of another kind (ECPublicKey)"),
        ({"server_url": "http://a"}, "it has a key server_url, which is none of fqrn, server_urls, public_key"),
    ],
)
def test_a_repository_that_cannot_be_is_told(change, says):
    found = problems([{**ASTRO, **change}], [])
    assert len(found) == 1
    assert says in found[0]


def test_everything_is_told_together():
    found = "; ".join(problems([ASTRO, {**HEP, "public_key": "x"}, ASTRO, "text"], ["squid:3128", "DIRECT|http://"]))
    for word in (
        "repository hep-1.cern.example: public_key cannot be read",
        "repository sw.astro.example: it is listed twice",
        "repository 4, 'text', is no mapping",
        "proxy 'squid:3128' is neither a URL nor DIRECT",
        "proxy 'http://' is neither",
    ):
        assert word in found


RENDER = """
import json, sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([])
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
role, asked = sys.argv[1], json.loads(sys.argv[2])
loader = DataLoader()
fixed = {"spark_base_namespace": "spark", "spark_base_image": "spark:1", "ansible_search_path": [role]}
for part in ("defaults", "vars"):
    fixed |= loader.load_from_file(f"{role}/{part}/main.yml", trusted_as_template=True)
source = trust_as_template("{{ lookup('ansible.builtin.template', 'cvmfs.yaml.j2') | from_yaml_all | list }}")
print(json.dumps([Templar(loader, variables={**fixed, **options}).template(source) for options in asked]))
"""
"""Renders the role's objects as the role does, by Ansible itself."""

ASKED = [
    {"cvmfs_repositories": [ASTRO, HEP], "cvmfs_proxies": ["http://s:1|http://t:1", "DIRECT"], "cvmfs_ttl": 5},
    {"__cloud_cvmfs": {"repositories": [ASTRO], "proxies": ["http://10.0.0.1:3128"]}},
    {"cvmfs_repositories": [ASTRO], "cvmfs_driver": "csi"},
    {},
    {"cvmfs_repositories": [ASTRO], "cvmfs_quota": 500},
    {"cvmfs_repositories": [ASTRO], "cvmfs_image": "docker.io/cvmfs/service:latest"},
    {"cvmfs_repositories": [ASTRO]},
]


@pytest.fixture(scope="module")
def rendered():
    """What the role would apply, or delete, for each of what is asked."""
    command = [sys.executable, "-c", RENDER, str(ROOT / "roles/cvmfs"), json.dumps(ASKED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def one(objects, kind, namespace="kube-system"):
    (found,) = (item for item in objects if item["kind"] == kind and item["metadata"].get("namespace") == namespace)
    return found


def test_clients_read_the_official_files(rendered):
    files = one(rendered[0], "ConfigMap")["data"]
    assert files["default.local"].splitlines() == [
        "CVMFS_REPOSITORIES=sw.astro.example,hep-1.cern.example",
        'CVMFS_HTTP_PROXY="http://s:1|http://t:1;DIRECT"',
        "CVMFS_QUOTA_LIMIT=4000",
        "CVMFS_CACHE_BASE=/var/lib/cvmfs",
        "CVMFS_MAX_TTL=5",
    ]
    lines = [line for line in files["sw.astro.example.local"].splitlines() if not line.startswith("#")]
    assert lines == [
        'CVMFS_SERVER_URL="http://10.0.0.1:80/cvmfs/@fqrn@;http://b.example/cvmfs/@fqrn@"',
        "CVMFS_KEYS_DIR=/etc/cvmfs/keys/sw.astro.example",
    ]
    assert files["sw.astro.example.pub"] == KEY
    client, _ = one(rendered[0], "DaemonSet")["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"]: mount["subPath"] for mount in client["volumeMounts"] if "subPath" in mount}
    assert set(mounted.values()) == set(files)
    assert mounted["/etc/cvmfs/config.d/hep-1.cern.example.local"] == "hep-1.cern.example.local"
    assert mounted["/etc/cvmfs/keys/hep-1.cern.example/hep-1.cern.example.pub"] == "hep-1.cern.example.pub"


def test_mounts_go_out_of_the_client_and_into_spark(rendered):
    pod = one(rendered[0], "DaemonSet")["spec"]["template"]["spec"]
    client, reader = pod["containers"]
    assert client["securityContext"] == {"privileged": True}
    assert client["volumeMounts"][0]["mountPropagation"] == "Bidirectional"
    assert reader["volumeMounts"] == [
        {"name": "cvmfs", "mountPath": "/cvmfs", "readOnly": True, "mountPropagation": "HostToContainer"}
    ]
    assert pod["volumes"][0]["hostPath"]["path"] == "/cvmfs"
    told = one(rendered[0], "ConfigMap", "spark")["data"]
    assert told["repositories"] == "sw.astro.example,hep-1.cern.example"
    assert yaml.safe_load(told["volume"]) == {"hostPath": pod["volumes"][0]["hostPath"]}


def test_no_repository_can_have_the_client_restarted(rendered):
    for container in one(rendered[0], "DaemonSet")["spec"]["template"]["spec"]["containers"]:
        assert "livenessProbe" not in container


def test_what_the_cloud_tells_is_the_default(rendered):
    text = one(rendered[1], "ConfigMap")["data"]["default.local"]
    assert "CVMFS_REPOSITORIES=sw.astro.example\n" in text
    assert 'CVMFS_HTTP_PROXY="http://10.0.0.1:3128;DIRECT"\n' in text
    assert "CVMFS_MAX_TTL" not in text


def test_csi_has_claims_and_no_client(rendered):
    assert one(rendered[2], "StorageClass", None)["provisioner"] == "cvmfs.csi.cern.ch"
    names = {one(rendered[2], "PersistentVolumeClaim", place)["metadata"]["name"] for place in ("kube-system", "spark")}
    assert names == {"astrok8s-cvmfs"}
    (reader,) = one(rendered[2], "DaemonSet")["spec"]["template"]["spec"]["containers"]
    assert reader["name"] == "reader"
    volume = yaml.safe_load(one(rendered[2], "ConfigMap", "spark")["data"]["volume"])
    assert volume["persistentVolumeClaim"]["claimName"] == "astrok8s-cvmfs"


def test_without_repositories_all_of_both_drivers_is_named(rendered):
    def names(objects):
        return {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects}

    assert names(rendered[3]) == names(rendered[0]) | names(rendered[2])


def test_clients_are_rolled_when_what_they_read_changes(rendered):
    def configuration(objects):
        return one(objects, "DaemonSet")["spec"]["template"]["metadata"]["annotations"]["astrok8s/configuration"]

    found = [configuration(rendered[number]) for number in (0, 1, 2, 4, 5, 6)]
    assert len(set(found)) == len(found)
    assert all(len(word) == 12 for word in found)


def test_executors_see_all_repositories_read_only():
    pod = yaml.safe_load(executor_template(Shuffle(), HERE))
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "spark-kubernetes-executor"
    (mount,) = container["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"], mount["mountPropagation"]) == ("/cvmfs", True, "HostToContainer")
    assert [variable["name"] for variable in container["env"]] == ["ASTROK8S_NODE"]
    assert pod["spec"]["volumes"] == [{"name": mount["name"], "hostPath": {"path": "/cvmfs"}}]
    assert HERE.properties == {"spark.executorEnv.ASTROK8S_CVMFS": "sw.astro.example,hep-1.cern.example"}


def test_the_template_is_a_file_where_the_driver_is():
    template = executor_template(Shuffle(), HERE)
    assert Path(here(template)[PROPERTY]).read_text() == template
    assert in_server(template) == {PROPERTY: IN_SERVER}
    manifest = (ROOT / "roles/spark_connect/templates/connect.yaml.j2").read_text()
    assert f"mountPath: {PurePosixPath(IN_SERVER).parent}," in manifest


def test_both_reasons_for_a_template_are_in_it():
    external = Shuffle({"spark.shuffle.service.enabled": "true"}, "spec: {hostNetwork: true}")
    pod = yaml.safe_load(executor_template(external, HERE))
    assert pod["spec"]["hostNetwork"] is True
    assert pod["spec"]["volumes"]


def test_a_cluster_without_cvmfs_has_no_template():
    assert executor_template(Shuffle(), Cvmfs()) == ""
    assert here("") == in_server("") == Cvmfs().properties == {}
    pod = {"spec": {"containers": [{"name": "server"}]}}
    Cvmfs().mount(pod)
    assert pod == {"spec": {"containers": [{"name": "server"}]}}


@pytest.mark.parametrize("path", ["/cvmfs/sw.astro.example/python", PurePosixPath("/cvmfs/sw.astro.example/python/")])
def test_a_folder_in_cvmfs_is_an_environment(path):
    check(str(path))
    found = properties(str(path), Storage(), HERE, print)
    assert found == {"spark.executorEnv.ASTROK8S_ENVIRONMENT": "/cvmfs/sw.astro.example/python"}


@pytest.mark.parametrize("path", ["/cvmfs", "/cvmfs/", "/cvmfs/a.b/../c.d"])
def test_a_path_in_no_repository_is_refused_first(path):
    with pytest.raises(OptionError, match="is in no repository; give a folder of one"):
        astrok8s.attach("x", environment=path)


def test_other_paths_are_no_folders_in_cvmfs():
    assert folder_in("here") is None
    assert folder_in("cvmfs/sw.astro.example") is None
    assert folder_in("/cvmfs2/sw.astro.example") is None


def test_a_repository_that_the_cluster_lacks_is_told():
    path = "/cvmfs/sw.astro.exmaple/python"
    with pytest.raises(AttachError, match=r"(?s)not among the cluster's .*did you mean /cvmfs/sw\.astro\.example\?"):
        properties(path, Storage(), HERE, print)
    with pytest.raises(AttachError, match="the cluster has none; provision it again with cvmfs_repositories"):
        properties(path, Storage(), Cvmfs(), print)


@pytest.fixture(scope="module")
def program():
    """The program of the image that looks at a folder of packages."""
    spec = importlib.util.spec_from_file_location("cvmfs_program", IMAGE / "cvmfs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def distribution(folder: Path, name: str, tag: str) -> None:
    wheel = folder / f"{name}-1.dist-info/WHEEL"
    wheel.parent.mkdir(parents=True)
    wheel.write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")


def test_packages_of_another_python_are_refused(program, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "CVMFS", tmp_path)
    ours = f"cp3{sys.version_info.minor}"
    for name, tag in (("a", "py3-none-any"), ("b", "cp36-abi3-linux_x86_64"), ("c", f"{ours}-{ours}-linux_x86_64")):
        distribution(tmp_path / "good", name, tag)
    assert program.main(str(tmp_path / "good")) == 0
    distribution(tmp_path / "bad", "healpy", "cp39-cp39-linux_x86_64")
    assert program.main(str(tmp_path / "bad")) == 1
    assert "healpy-1 in" in (said := capsys.readouterr().err)
    assert f"is for Python 3.9, and executors have Python 3.{sys.version_info.minor}" in said


def test_a_folder_that_is_not_there_is_told_with_what_is(program, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(program, "CVMFS", tmp_path)
    (tmp_path / "sw.astro.example/python").mkdir(parents=True)
    assert program.main(str(tmp_path / "sw.astro.example/pyhton")) == 1
    assert "is no folder of its repository, which has: python; correct the path" in capsys.readouterr().err
    assert program.main(str(tmp_path / "nowhere.example/python")) == 1
    assert "cannot be read (No such file or directory)" in capsys.readouterr().err


def test_the_notebook_is_valid_and_has_no_outputs():
    notebook = nbformat.read(ROOT / "notebooks/cvmfs.ipynb", as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert [cell.execution_count for cell in code] == [None] * len(code)
    for cell in code:
        compile(cell.source, cell.id, "exec")
    (parameters,) = (cell for cell in code if "parameters" in cell.metadata.get("tags", []))
    values: dict[str, object] = {}
    exec(parameters.source, values)  # as papermill does
    assert {"cluster", "cloud", "output"} <= values.keys()


def test_every_published_value_is_cited():
    notebook = nbformat.read(ROOT / "notebooks/cvmfs.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for citation in ("A&A 474, 653", "ApJ 622, 759", "192.85948", "27.12825", "eq. 1.5.10", "van Leeuwen 2007"):
        assert citation in " ".join(text.split())


def test_a_pod_says_which_repositories_it_misses():
    command = [str(IMAGE / "cvmfs.sh"), "0", "one.nowhere.example", "two.nowhere.example"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("not mounted one.nowhere.example two.nowhere.example")
    assert subprocess.run([str(IMAGE / "cvmfs.sh"), "0"], check=False).returncode == 0


def test_a_node_says_what_is_wrong_with_each_repository():
    command = [sys.executable, "-c", LOOK, "one.nowhere.example", "two.nowhere.example"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = dict(line.split("\t") for line in done.stdout.splitlines())
    assert told == {f"{name}.nowhere.example": "it is not mounted" for name in ("one", "two")}


def test_nodes_that_lack_the_same_are_told_together():
    found = {
        "b": {"x.y": "it is not mounted", "v.w": ""},
        "a": {"x.y": "it is not mounted", "v.w": "it is not mounted"},
        "c": {"x.y": "", "v.w": ""},
    }
    assert missing(found) == {
        ("x.y", "it is not mounted"): ["a", "b"],
        ("v.w", "it is not mounted"): ["a"],
    }


def test_nodes_whose_turn_has_not_come_are_told_apart():
    found = {
        "a": {"x.y": "it is not mounted", "v.w": ""},
        "b": {"x.y": BEFORE, "v.w": BEFORE},
        "c": {"x.y": BEFORE, "v.w": BEFORE},
    }
    assert describe(found, lambda node, fqrn: f"{fqrn} on {node}") == (
        "repository x.y on node a: it is not mounted (x.y on a). "
        "node b, c: it has the configuration before, until the new one works elsewhere"
    )
