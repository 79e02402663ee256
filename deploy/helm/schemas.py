"""Writes the JSON schemas that kubeconform checks the chart with: python schemas.py KUBERNETES_VERSION crd.yaml folder

Those of Kubernetes come with the package kubernetes-validate, since kubeconform's own place for them is a server. That of a custom resource is
made from its definition; as in the others, a field that it does not know is an error.
"""

import json
import pathlib
import sys

import kubernetes_validate
import yaml


def strict(schema):
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_ended:
        schema["additionalProperties"] = False
    return schema


version, crd, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)

shipped = pathlib.Path(kubernetes_validate.__path__[0]) / "kubernetes-json-schema" / f"v{version}-local-strict"
for file in shipped.glob("*.json"):
    # An $id is an address on the network, which references are resolved against.
    text = file.read_text(encoding="utf-8").replace('"/api/_definitions.json#', '"_definitions.json#')
    schema = json.loads(text)
    schema.pop("$id", None)
    (folder / file.name).write_text(json.dumps(schema), encoding="utf-8")

definition = yaml.safe_load(crd.read_text(encoding="utf-8"))["spec"]
schema = definition["versions"][0]["schema"]["openAPIV3Schema"]
schema["properties"]["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
name = "-".join([definition["names"]["singular"], definition["group"].split(".")[0], definition["versions"][0]["name"]])
(folder / f"{name}.json").write_text(json.dumps(strict(schema)), encoding="utf-8")
