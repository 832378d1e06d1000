"""All combinations of the chart's switches: switches.py NAMESPACE ONE TWO prints what they render for a release in
NAMESPACE, which serves either all namespaces or ONE and TWO."""

import itertools
import json
import sys
from concurrent.futures import ThreadPoolExecutor

from support import render

# Each switch with its positions. All combinations are rendered, so a switch costs a factor.
SWITCHES = [
    ["crds.create=true", "crds.create=false"],
    ["nats.enabled=false", "nats.enabled=true", "nats={\"enabled\":true,\"replicas\":3}", "nats.url=nats://nats.example:4222"],
    ["networkPolicy.enabled=false", "networkPolicy.enabled=true"],
    ["serviceMonitor.enabled=false", "serviceMonitor.enabled=true"],
    ["podMonitor.enabled=false", "podMonitor.enabled=true"],
    ["replicas=1", "replicas=2"],
    ["rbac={\"create\":true,\"aggregate\":true}", "rbac={\"create\":false,\"aggregate\":false}"],
]


def combinations(served=("one", "two")):
    """The settings of each."""
    return list(itertools.product(["watchNamespaces=[]", "watchNamespaces=" + json.dumps(served)], *SWITCHES))


def unlike(namespace="linnet-system", served=("one", "two")):
    """The objects that they render, as texts. Most are the same in many combinations; each is here once."""
    with ThreadPoolExecutor() as workers:
        rendered = workers.map(lambda settings: render(*settings, release="other", namespace=namespace), combinations(served))
        return sorted({part for text in rendered for part in text.split("\n---\n")})


if __name__ == "__main__":
    print("\n---\n".join(unlike(sys.argv[1], sys.argv[2:])))
