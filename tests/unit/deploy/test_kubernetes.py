"""The Kubernetes files are valid, tell the services only settings that exist, and keep their promises.

What needs a cluster is not tested here; docs/operations.md says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kalla_chat.settings import ChatSettings
from kalla_common.s3 import S3Settings, take_s3_settings
from kalla_common.sites import HostNames, Sites
from kalla_gateway.settings import GatewaySettings
from kalla_runner.settings import RunnerSettings
from pydantic import TypeAdapter

BASE = Path(__file__).parents[3] / "deploy" / "k8s" / "base"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((BASE / "kustomization.yaml").read_text())
RESOURCES: list[dict[str, Any]] = [
    document
    for name in KUSTOMIZATION["resources"]
    for document in yaml.safe_load_all((BASE / name).read_text())
]
WORKLOADS = [resource for resource in RESOURCES if resource["kind"] in {"Deployment", "StatefulSet"}]
SETTINGS = {
    "kalla-gateway": GatewaySettings,
    "kalla-runner": RunnerSettings,
    "kalla-chat": ChatSettings,
}
EXPANDED = {"NAMESPACE": "books"}
"""Variables that only others name, as $(NAMESPACE)."""
HTTP = {"kalla-gateway", "kalla-runner"}
"""Services that say over HTTP how they are; the others say it over gRPC."""

STORE = {
    "region": "eu-north-1",
    "endpoint-url": "http://store.example:9000",
    "allow-http": "true",
    "upload-bucket": "kalla-uploads",
    "upload-endpoint": "https://store.example.com",
}
"""The keys of the ConfigMap kalla-s3, as the head of kustomization.yaml names them."""


def expanded(value: str) -> str:
    """The value as Kubernetes sets it."""
    return re.sub(r"\$\((\w+)\)", lambda found: EXPANDED.get(found[1], "kalla-runner-0"), value)


def name_of(resource: dict[str, Any]) -> str:
    return f"{resource['kind']}-{resource['metadata']['name']}"


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    containers = workload["spec"]["template"]["spec"]["containers"]
    assert len(containers) == 1
    return containers[0]


@pytest.mark.parametrize("resource", RESOURCES, ids=name_of)
@pytest.mark.parametrize("version", ["1.31", "1.34"])
def test_every_resource_fits_the_strict_schema(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_the_schema_check_finds_a_misspelt_field() -> None:
    wrong = {**WORKLOADS[0], "spec": {**WORKLOADS[0]["spec"], "replicsa": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_every_file_of_the_base_is_used() -> None:
    files = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


@pytest.mark.parametrize("resource", RESOURCES, ids=name_of)
def test_the_namespace_is_left_to_the_user(resource: dict[str, Any]) -> None:
    assert "namespace" not in resource["metadata"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_every_variable_is_a_setting_of_its_service(workload: dict[str, Any]) -> None:
    settings = SETTINGS[workload["metadata"]["name"]]
    prefix = str(settings.model_config.get("env_prefix"))
    names = [str(variable["name"]) for variable in container_of(workload)["env"]]
    for name in set(names) - set(EXPANDED):
        known = S3Settings if name.startswith("AWS_") else settings
        field = name.removeprefix("AWS_").removeprefix(prefix).lower()
        assert field in known.model_fields, f"{name} is no setting"


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_the_literal_values_are_accepted_by_the_service(
    workload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in container_of(workload)["env"]:
        monkeypatch.setenv(variable["name"], expanded(variable.get("value", "")))
        if "secretKeyRef" in variable.get("valueFrom", {}):
            monkeypatch.setenv(
                variable["name"],
                "postgresql://u:p@h:5432/d" if "DATABASE" in variable["name"] else "whsec_c2VjcmV0",
            )
        elif "configMapKeyRef" in variable.get("valueFrom", {}):
            monkeypatch.setenv(variable["name"], STORE[variable["valueFrom"]["configMapKeyRef"]["key"]])
        elif "valueFrom" in variable:
            monkeypatch.setenv(variable["name"], "kalla-runner-0")
    stored = any(variable["name"].startswith("AWS_") for variable in container_of(workload)["env"])
    assert take_s3_settings().configured == stored
    SETTINGS[workload["metadata"]["name"]]()  # pyright: ignore[reportCallIssue] - from the environment


@pytest.mark.parametrize("name", sorted(HTTP))
def test_http_answers_to_every_name_of_its_service_and_to_the_probes(name: str) -> None:
    workload = next(workload for workload in WORKLOADS if workload["metadata"]["name"] == name)
    value = {variable["name"]: variable.get("value", "") for variable in container_of(workload)["env"]}
    prefix = name.replace("-", "_").upper()
    listed = TypeAdapter[tuple[str, ...]](HostNames).validate_python(
        expanded(value[f"{prefix}_ALLOWED_HOSTS"])
    )
    sites = Sites.of(prefix, (value[f"{prefix}_HOST"],), listed, ())
    suffixes = ("", ".books", ".books.svc", ".books.svc.cluster.local")
    for host in [*(name + suffix for suffix in suffixes), "10.244.1.7"]:
        assert sites.refusal([(b"host", f"{host}:3001".encode())], "10.244.1.7") is None, host
    assert sites.refusal([(b"host", b"evil.example")], "10.244.1.7") is not None


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_pods_have_no_privileges_and_write_only_to_volumes(workload: dict[str, Any]) -> None:
    pod, container = workload["spec"]["template"]["spec"], container_of(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_service_links_do_not_overwrite_settings(workload: dict[str, Any]) -> None:
    """A service kalla-gateway would set KALLA_GATEWAY_PORT=tcp://10.0.0.1:3001 in every pod."""
    assert workload["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_probes_and_resources_are_set(workload: dict[str, Any]) -> None:
    container = container_of(workload)
    probes = [container[f"{name}Probe"] for name in ("liveness", "startup", "readiness")]
    if workload["metadata"]["name"] in HTTP:
        paths = ["/health", "/health", "/ready"]
        assert [p["httpGet"] for p in probes] == [{"path": path, "port": "http"} for path in paths]
    else:
        assert [p["grpc"] for p in probes] == [{"port": container["ports"][0]["containerPort"]}] * 3
    assert {"cpu", "memory"} == set(container["resources"]["requests"])
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("workload", WORKLOADS, ids=name_of)
def test_selectors_ports_and_volumes_fit_together(workload: dict[str, Any]) -> None:
    name = workload["metadata"]["name"]
    template, container = workload["spec"]["template"], container_of(workload)
    labels = template["metadata"]["labels"]
    service = next(r for r in RESOURCES if r["kind"] == "Service" and r["metadata"]["name"] == name)
    for selector in (workload["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= labels.items()
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == ports
    claims = workload["spec"].get("volumeClaimTemplates", [])
    volumes = {volume["name"] for volume in template["spec"]["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in claims}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_ports_are_those_the_services_listen_on() -> None:
    chat, gateway, runner = (container_of(workload) for workload in WORKLOADS)
    assert [port["containerPort"] for port in chat["ports"]] == [ChatSettings.model_fields["port"].default]
    fields = GatewaySettings.model_fields
    assert [p["containerPort"] for p in gateway["ports"]] == [
        fields["port"].default,
        fields["grpc_port"].default,
    ]
    fields = RunnerSettings.model_fields
    names = ("http_port", "grpc_port", "flight_port")
    assert [port["containerPort"] for port in runner["ports"]] == [fields[name].default for name in names]


def test_secrets_come_from_the_secret_alone() -> None:
    for workload in WORKLOADS:
        for variable in container_of(workload)["env"]:
            if any(word in variable["name"] for word in ("SECRET", "DATABASE", "ACCESS_KEY", "API_KEY")):
                assert variable["valueFrom"]["secretKeyRef"]["name"] == "kalla"
    assert not [resource for resource in RESOURCES if resource["kind"] == "Secret"]


def test_runners_keep_their_names_so_that_they_go_on_with_their_runs() -> None:
    runner = next(workload for workload in WORKLOADS if workload["metadata"]["name"] == "kalla-runner")
    assert runner["kind"] == "StatefulSet"
    executor = next(v for v in container_of(runner)["env"] if v["name"] == "KALLA_RUNNER_EXECUTOR_ID")
    assert executor["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


@pytest.mark.parametrize("name", ["kalla-gateway", "kalla-runner", "kalla-chat"])
def test_each_service_has_a_disruption_budget_and_a_network_policy(name: str) -> None:
    kinds = {resource["kind"] for resource in RESOURCES if resource["metadata"]["name"] == name}
    assert {"PodDisruptionBudget", "NetworkPolicy", "Service"} <= kinds


@pytest.mark.parametrize("name", ["kalla-runner", "kalla-chat"])
def test_runner_and_chat_hear_kalla_alone(name: str) -> None:
    policy = next(r for r in RESOURCES if name_of(r) == f"NetworkPolicy-{name}")
    for rule in policy["spec"]["ingress"]:
        assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "kalla"}}}]


def test_a_base_without_an_s3_store_starts_as_well() -> None:
    for workload in WORKLOADS:
        for variable in container_of(workload)["env"]:
            source: dict[str, Any] = variable.get("valueFrom", {})
            reference = source.get("configMapKeyRef") or source.get("secretKeyRef") or {}
            if variable["name"].startswith(("AWS_", "KALLA_GATEWAY_UPLOAD")):
                assert reference["optional"] is True, variable["name"]


def test_the_keys_that_the_kustomization_names_are_those_that_are_used() -> None:
    head = (BASE / "kustomization.yaml").read_text()
    for key in (*STORE, "s3-access-key-id", "s3-secret-access-key"):
        assert key in head
