"""Makes JSON schemas for kubeconform: schemas.py FOLDER SWAGGER.json DEFINITIONS.yaml…

Objects get `additionalProperties: false` wherever the API server would drop or refuse a field that it does not know, so
that a typo in a template is found.
"""

import json
import pathlib
import sys

import yaml

GROUP_VERSION_KIND = "x-kubernetes-group-version-kind"
PREFIX = "#/definitions/"
# Types that are strings in the document, and more than that in manifests.
WIDER = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
}


def closed(schema):
    """The schema, refusing fields that it does not name."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    out = {
        key: {name: closed(part) for name, part in value.items()} if key == "properties" else closed(value)
        for key, value in schema.items()
    }
    if out.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    open_to_all = out.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in out and not open_to_all:
        out["additionalProperties"] = False
    return out


def write(folder, group, version, kind, schema):
    """One file, named as kubeconform's {{.ResourceKind}}{{.KindSuffix}} names it."""
    parts = [kind, *([group.split(".")[0]] if group else []), version]
    (folder / ("-".join(parts).lower() + ".json")).write_text(json.dumps(schema))


def built_in(folder, document):
    """Schemas of the API server's own kinds."""
    definitions = {name: closed(WIDER.get(name, schema)) for name, schema in document["definitions"].items()}
    (folder / "definitions.json").write_text(json.dumps({"definitions": definitions}).replace(PREFIX, "definitions.json" + PREFIX))
    for name, schema in document["definitions"].items():
        for kind in schema.get(GROUP_VERSION_KIND, []):
            if kind["kind"] == "DeleteOptions" or kind["kind"] == "WatchEvent":
                continue
            write(folder, kind["group"], kind["version"], kind["kind"], {"$ref": f"definitions.json{PREFIX}{name}"})


def custom(folder, definition):
    """Schemas of a CustomResourceDefinition's versions."""
    spec = definition["spec"]
    for version in spec["versions"]:
        schema = closed(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"$ref": "definitions.json" + PREFIX + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
        write(folder, spec["group"], version["name"], spec["names"]["kind"], schema)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    built_in(folder, json.loads(pathlib.Path(sys.argv[2]).read_text()))
    for file in sys.argv[3:]:
        for definition in yaml.safe_load_all(pathlib.Path(file).read_text()):
            if definition and definition["kind"] == "CustomResourceDefinition":
                custom(folder, definition)


if __name__ == "__main__":
    main()
