"""The manifests and the values for Kubernetes: each field is one that Kubernetes, Dagster or the product knows.

Kubernetes' own Python client has the types of the API. Of the values of Dagster's chart, which is in no package, the
objects of Kubernetes are held to those, and the launcher's configuration to the schema that the launcher itself has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import validate_config
from dagster._config.field_utils import Shape
from dagster_k8s import K8sRunLauncher
from kubernetes import client

from activity_audit.settings.core import VARIABLES, load_settings

FOLDER = Path(__file__).parents[3] / "deploy/kubernetes"
MANIFESTS = list(yaml.safe_load_all((FOLDER / "audit.yaml").read_text()))
VALUES = yaml.safe_load((FOLDER / "values.yaml").read_text())
(DEPLOYMENT,) = VALUES["dagster-user-deployments"]["deployments"]
# Of a deployment of user code in the chart: the fields that are objects of Kubernetes, and the other ones used here.
OBJECTS = {
    "envConfigMaps": "list[V1ConfigMapEnvSource]",
    "envSecrets": "list[V1SecretEnvSource]",
    "volumes": "list[V1Volume]",
    "volumeMounts": "list[V1VolumeMount]",
    "resources": "V1ResourceRequirements",
}
OTHERS = {"name", "image", "dagsterApiGrpcArgs", "port", "includeConfigInLaunchedRuns"}
PLAIN: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "bool": bool, "object": object}


def wrong(value: Any, kind: str, path: str) -> Iterator[str]:
    """What is not as the API has it, with where it is."""
    if found := re.fullmatch(r"list\[(.+)\]", kind):
        if not isinstance(value, list):
            yield f"{path}: is not a list"
            return
        for place, one in enumerate(value):
            yield from wrong(one, found[1], f"{path}[{place}]")
    elif found := re.fullmatch(r"dict\[str, (.+)\]", kind):
        for name, one in value.items():
            yield from wrong(one, found[1], f"{path}.{name}")
    elif kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            yield f"{path}: is not of the type {kind}"
    else:
        model = getattr(client, kind)
        fields = {field: name for name, field in model.attribute_map.items()}
        for field, one in value.items():
            if field not in fields:
                yield f"{path}.{field}: is unknown"
            else:
                yield from wrong(one, model.openapi_types[fields[field]], f"{path}.{field}")
        try:
            model(**{fields[field]: one for field, one in value.items() if field in fields})
        except ValueError as error:
            yield f"{path}: {error}"


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: one["kind"])
def test_each_manifest_is_as_the_api_has_it(manifest: dict[str, Any]) -> None:
    assert manifest["apiVersion"] == "v1"
    assert list(wrong(manifest, f"V1{manifest['kind']}", manifest["kind"])) == []


def test_a_wrong_manifest_is_told() -> None:
    manifest = deepcopy(MANIFESTS[-1])
    manifest["spec"]["accesModes"] = manifest["spec"].pop("accessModes")
    manifest["spec"]["resources"] = {"requests": {"storage": 200}}
    assert list(wrong(manifest, "V1PersistentVolumeClaim", "claim")) == [
        "claim.spec.resources.requests.storage: is not of the type str",
        "claim.spec.accesModes: is unknown",
    ]
    (told,) = wrong([{"name": "home"}], OBJECTS["volumeMounts"], "mounts")
    assert "mount_path" in told


def test_the_values_are_as_kubernetes_and_the_launcher_have_them() -> None:
    assert DEPLOYMENT.keys() == OBJECTS.keys() | OTHERS
    for field, kind in OBJECTS.items():
        assert list(wrong(DEPLOYMENT[field], kind, field)) == []
    launcher = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
    # The chart writes its own names with small letters and underlines, and these itself.
    given = {re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name): one for name, one in launcher.items()}
    of_chart = ("service_account_name", "instance_config_map", "postgres_password_secret", "dagster_home")
    given |= dict.fromkeys(of_chart, "dagster")
    checked = validate_config(Shape(K8sRunLauncher.config_type()), given)
    assert checked.success, checked.errors


def test_what_the_values_name_is_in_the_manifests() -> None:
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in MANIFESTS}
    (volume,) = DEPLOYMENT["volumes"]
    used = [("ConfigMap", one["name"]) for one in DEPLOYMENT["envConfigMaps"]]
    used += [("Secret", one["name"]) for one in DEPLOYMENT["envSecrets"]]
    used += [("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])]
    assert set(used) == names
    assert [one["name"] for one in DEPLOYMENT["volumeMounts"]] == [volume["name"]]
    (settings,) = (manifest["data"] for manifest in MANIFESTS if manifest["kind"] == "ConfigMap")
    assert DEPLOYMENT["volumeMounts"][0]["mountPath"] == settings["AUDIT_HOME"]


def test_the_settings_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    (settings,) = (manifest["data"] for manifest in MANIFESTS if manifest["kind"] == "ConfigMap")
    assert settings.keys() <= VARIABLES.keys()
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert load_settings().executor == "kubernetes"
