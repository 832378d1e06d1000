"""The NATS of a release."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from support import kinds, objects, only

ONE = ["nats.enabled=true"]
THREE = [*ONE, "nats.replicas=3"]


def configuration(*settings):
    """What the servers are configured with."""
    return only(objects(*settings), "ConfigMap")["data"]["nats.conf"]


class Nats(unittest.TestCase):
    def test_a_network_policy_lets_in_gateways_the_operator_and_who_is_named(self):
        def clients(*settings):
            policy = only(objects(*ONE, "networkPolicy.enabled=true", *settings), "NetworkPolicy", "linnet-nats")
            [rule] = [rule for rule in policy["spec"]["ingress"] if rule["ports"][0]["port"] == 4222]
            return rule["from"]

        worker = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "counter"}}}
        self.assertEqual(len(clients()), 2)
        named = clients("networkPolicy.natsFrom=" + json.dumps([worker]))
        self.assertEqual(named, [*clients(), worker])

    def test_nats_server_takes_the_configuration(self):
        for settings in [ONE, THREE, [*ONE, "nats.storage.size=1Ti", "nats.maxPayload=64Mi"]]:
            with self.subTest(settings=settings), tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder) / "nats.conf"
                file.write_text(configuration(*settings))
                command = ["nats-server", "-t", "--config", str(file)]
                done = subprocess.run(command, env=os.environ | {"POD_NAME": "nats-0"}, capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_one_server_writes_before_it_acknowledges_and_three_need_not(self):
        self.assertIn("sync_interval: always", configuration(*ONE))
        self.assertNotIn("sync_interval", configuration(*THREE))

    def test_three_servers_know_each_other_by_names_that_their_service_gives(self):
        parts = objects(*THREE)
        stateful, text = only(parts, "StatefulSet"), configuration(*THREE)
        service = only(parts, "Service", stateful["spec"]["serviceName"])
        self.assertEqual(service["spec"]["clusterIP"], "None")
        for server in range(3):
            self.assertIn(f"nats://{stateful['metadata']['name']}-{server}.{service['metadata']['name']}:6222", text)

    def test_three_servers_lose_one_at_a_time_and_one_may_always_go(self):
        budget = only(objects(*THREE), "PodDisruptionBudget", "linnet-nats")
        self.assertEqual(budget["spec"]["maxUnavailable"], 1)
        self.assertEqual([p["metadata"]["name"] for p in objects(*ONE) if p["kind"] == "PodDisruptionBudget"], ["linnet-operator"])

    def test_streams_fill_less_than_the_disk(self):
        self.assertIn("max_file_store: 9216MiB", configuration(*ONE, "nats.storage.size=10Gi"))

    def test_a_new_version_of_the_chart_alone_does_not_roll_the_servers(self):
        labels = only(objects(*ONE), "StatefulSet")["spec"]["template"]["metadata"]["labels"]
        self.assertNotIn("helm.sh/chart", labels)
        self.assertNotIn("app.kubernetes.io/version", labels)

    def test_without_it_nothing_of_it_is_there(self):
        self.assertFalse({"StatefulSet", "ConfigMap"} & kinds(objects()))


if __name__ == "__main__":
    unittest.main()
