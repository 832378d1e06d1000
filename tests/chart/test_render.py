"""Whatever is switched on or off, the chart renders objects that an API server takes."""

import subprocess
import unittest

import yaml

from support import CHART, Refused, kubeconform, render
from switches import combinations, unlike

# Everything that takes free text or YAML, once.
FILLED = [
    "fullnameOverride=realtime",
    'commonLabels={"team":"chat"}',
    "image.digest=sha256:" + "0" * 64,
    'image.pullSecrets=[{"name":"registry"}]',
    "gateway.image.tag=1.2.3",
    'env=[{"name":"RUST_LOG","value":"debug"}]',
    'podAnnotations={"a":"b"}',
    'podLabels={"a":"b"}',
    'nodeSelector={"kubernetes.io/os":"linux"}',
    'tolerations=[{"key":"a","operator":"Exists"}]',
    'affinity={"nodeAffinity":{}}',
    "priorityClassName=system-cluster-critical",
    'serviceAccount={"create":true,"name":"me","annotations":{"a":"b"}}',
    'nats={"enabled":true,"image":{"repository":"nats","digest":"sha256:' + "1" * 64 + '"},"storage":{"size":"1Ti","className":"fast"},'
    '"nodeSelector":{"a":"b"},"tolerations":[{"operator":"Exists"}]}',
    'networkPolicy={"enabled":true,"metricsFrom":[{"namespaceSelector":{"matchLabels":{"a":"b"}}}],'
    '"natsFrom":[{"podSelector":{"matchLabels":{"app":"counter"}}}]}',
    'serviceMonitor={"enabled":true,"labels":{"release":"prometheus"}}',
    'podMonitor={"enabled":true,"labels":{"release":"prometheus"}}',
    'prometheusRule={"enabled":true,"labels":{"release":"prometheus"},"runbooks":"https://example.com/"}',
    'dashboards={"enabled":true,"labels":{"a":"b"},"annotations":{"grafana_folder":"Linnet"}}',
]


class Rendering(unittest.TestCase):
    def test_every_combination_of_switches_gives_objects_that_kubernetes_knows(self):
        self.assertGreater(len(combinations()), 500)
        self.assertEqual(kubeconform("\n---\n".join(unlike())), "")

    def test_every_value_may_be_set(self):
        text = render(*FILLED)
        self.assertEqual(kubeconform(text), "")
        self.assertNotIn("app.kubernetes.io/name: linnet\n", text)

    def test_helm_lint_is_content(self):
        done = subprocess.run(["helm", "lint", "--strict", str(CHART)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_field_that_kubernetes_does_not_know_is_found(self):
        policy = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"}}
        self.assertEqual(kubeconform(yaml.dump(policy | {"spec": {"maxUnavailable": 1}})), "")
        self.assertIn("maxUnavailabel", kubeconform(yaml.dump(policy | {"spec": {"maxUnavailabel": 1}})))

    def test_no_two_objects_have_the_same_name(self):
        seen = set()
        for part in yaml.safe_load_all(render('watchNamespaces=["one","two"]', "nats.enabled=true", "networkPolicy.enabled=true")):
            key = (part["kind"], part["metadata"].get("namespace"), part["metadata"]["name"])
            self.assertNotIn(key, seen)
            seen.add(key)


class Values(unittest.TestCase):
    def refused(self, *settings):
        with self.assertRaises(Refused) as caught:
            render(*settings)
        return str(caught.exception)

    def test_a_misspelt_value_is_refused_by_name(self):
        for setting in ["replica=3", "nats.enable=true", "image.tags=x", "gateway.image.pullpolicy=Never", "nats.storage.sizes=1Gi"]:
            with self.subTest(setting=setting):
                self.assertIn(setting.split("=")[0].split(".")[-1], self.refused(setting))

    def test_a_value_of_the_wrong_kind_is_refused(self):
        for setting in ["replicas=many", "nats.replicas=2", "watchNamespaces=default", "nats.storage.size=10G", "image.digest=latest"]:
            with self.subTest(setting=setting):
                self.refused(setting)

    def test_two_nats_are_one_too_many(self):
        self.assertIn("not both", self.refused("nats.enabled=true", "nats.url=nats://elsewhere:4222"))

    def test_a_disk_too_small_for_nats_is_refused(self):
        self.assertIn("at least 100Mi", self.refused("nats.enabled=true", "nats.storage.size=50Mi"))


if __name__ == "__main__":
    unittest.main()
