"""`deploy/kubernetes`: what can be checked of it without a cluster."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from kallback.cli.app import app
from kallback.protocol import Keyring
from kallback.settings import VARIABLES

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [each for name in KUSTOMIZATION["resources"] for each in yaml.safe_load_all((FOLDER / name).read_text())]
WORKLOADS = [each for each in OBJECTS if "template" in each.get("spec", {})]


def named(each: Any) -> str:
    """The name of an object's test."""
    return f"{each['kind']}-{each['metadata']['name']}"


def containers(workload: Any) -> list[Any]:
    """Its containers; each has one."""
    found: list[Any] = workload["spec"]["template"]["spec"]["containers"]
    return found


def test_every_file_is_listed() -> None:
    """What kustomize does not list it does not apply."""
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


@pytest.mark.parametrize("each", OBJECTS, ids=named)
def test_every_object_says_what_it_is(each: Any) -> None:
    """Kind, version and name."""
    assert {"apiVersion", "kind", "metadata"} <= set(each)


@pytest.mark.parametrize("workload", WORKLOADS, ids=named)
def test_a_selector_finds_its_pods(workload: Any) -> None:
    """Kubernetes refuses a workload whose selector does not match; a Job makes its own."""
    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert workload["spec"].get("selector", {"matchLabels": labels})["matchLabels"] == labels


@pytest.mark.parametrize("workload", WORKLOADS, ids=named)
def test_the_command_takes_its_options(workload: Any) -> None:
    """Roles and options are those of the `kallback` command."""
    for container in containers(workload):
        role, options = container["args"][0], [each for each in container["args"] if each.startswith("--")]
        told = CliRunner().invoke(app, [role, *(["create"] if role == "topics" else []), "--help"])
        assert told.exit_code == 0, told.output
        assert [option for option in options if option not in told.output] == []


def mounted(workload: Any, container: Any, volume: str) -> set[str]:
    """The files of a Secret that a container finds."""
    folders = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == volume]
    items = [
        item["path"]
        for each in workload["spec"]["template"]["spec"]["volumes"]
        if each["name"] == volume
        for item in each["secret"]["items"]
    ]
    return {f"{folder}/{item}" for folder in folders for item in items}


@pytest.mark.parametrize("workload", WORKLOADS, ids=named)
def test_every_variable_is_a_setting(workload: Any) -> None:
    """From the shared map or its own; secrets come from the Secret, in variables or in files that are mounted."""
    known = {each.name: each for each in VARIABLES}
    files = {f"{name}_FILE" for name, each in known.items() if each.is_secret}
    shared = [line.partition("=")[0] for line in KUSTOMIZATION["configMapGenerator"][0]["literals"]]
    for container in containers(workload):
        own = {each["name"]: each for each in container["env"]}
        assert {*shared, *own} <= {*known, *files}
        assert [
            name
            for name, each in own.items()
            if name not in files and known[name].is_secret and "valueFrom" not in each
        ] == []
        assert {own[name]["value"] for name in own.keys() & files} == mounted(workload, container, "secrets")


@pytest.mark.parametrize("workload", [each for each in WORKLOADS if each["kind"] != "Job"], ids=named)
def test_what_runs_for_long_is_probed(workload: Any) -> None:
    """On a port that the container names."""
    for container in containers(workload):
        ports = {each["name"] for each in container["ports"]}
        for probe in (container["livenessProbe"], container["readinessProbe"]):
            assert (probe.get("httpGet") or probe["tcpSocket"])["port"] in ports


@pytest.mark.parametrize("workload", WORKLOADS, ids=named)
def test_no_container_may_more_than_it_must(workload: Any) -> None:
    """As the namespace's policy `restricted` wants it."""
    assert workload["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    for container in containers(workload):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"]


WITH_KUBECTL = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


@WITH_KUBECTL
def test_kustomize_builds_the_base() -> None:
    """Each object is in the namespace, and the containers read the map whose name kustomize makes."""
    done = subprocess.run(["kubectl", "kustomize", str(FOLDER)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    [settings] = [each["metadata"]["name"] for each in built if each["kind"] == "ConfigMap"]
    assert {named(each) for each in OBJECTS} | {f"ConfigMap-{settings}"} == {named(each) for each in built}
    namespaces = {each["metadata"].get("namespace") for each in built if each["kind"] != "Namespace"}
    assert namespaces == {KUSTOMIZATION["namespace"]}
    sources = [
        source["configMapRef"]["name"]
        for each in built
        if "template" in each.get("spec", {})
        for container in containers(each)
        for source in container["envFrom"]
    ]
    assert set(sources) == {settings}


@WITH_KUBECTL
def test_the_command_makes_the_secret_that_the_pods_read(tmp_path: Path) -> None:
    """With all of its keys: a pod waits for a key that is missing."""
    text = (FOLDER / "kustomization.yaml").read_text()
    [printed] = re.findall(r"^#   (kubectl .* create secret [^\\\n]*(?:\\\n#     [^\\\n]*)*)", text, re.MULTILINE)
    command = printed.replace("\\\n#", "") + " --dry-run=client --output=yaml"
    (tmp_path / "ca.pem").write_text("a certificate")
    done = subprocess.run(["sh", "-euc", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    secret = yaml.safe_load(done.stdout)
    wanted = {
        item["key"]
        for workload in WORKLOADS
        for volume in workload["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
        for item in volume["secret"]["items"]
    } | {
        each["valueFrom"]["secretKeyRef"]["key"]
        for workload in WORKLOADS
        for container in containers(workload)
        for each in container["env"]
        if "valueFrom" in each
    }
    assert wanted == set(secret["data"])
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == ("kallback", KUSTOMIZATION["namespace"])
    assert Keyring.parse(base64.b64decode(secret["data"]["keys"]).decode()).key_ids == ("k1",)
