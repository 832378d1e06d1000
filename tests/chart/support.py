"""Renders the chart, as `helm install` would, and reads what comes out."""

import os
import pathlib
import subprocess

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "linnet"


class Refused(Exception):
    """Helm did not render the chart; the text says why."""


def render(*settings, release="linnet", namespace="linnet-system"):
    """The manifests as text, for values such as `nats.enabled=true`; a value that starts with `{` or `[` is JSON."""
    command = ["helm", "template", release, str(CHART), "--namespace", namespace]
    for setting in settings:
        _, value = setting.split("=", 1)
        command += ["--set-json" if value[:1] in "{[" else "--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def objects(*settings, **names):
    """The rendered objects."""
    return [part for part in yaml.safe_load_all(render(*settings, **names)) if part]


def only(parts, kind, name=None):
    """The one object of that kind, and name if it is given."""
    found = [part for part in parts if part["kind"] == kind and name in (None, part["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects {kind} {name or ''}: {[part['metadata']['name'] for part in found]}"
    return found[0]


def kinds(parts):
    """The kinds of the objects."""
    return {part["kind"] for part in parts}


def arguments(parts):
    """The operator's arguments."""
    return only(parts, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]


def kubeconform(text):
    """What is wrong with manifests, as kubeconform says it; empty if nothing is."""
    command = ["kubeconform", "-strict", "-schema-location", os.environ["LINNET_SCHEMAS"] + "/{{.ResourceKind}}{{.KindSuffix}}.json"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""
