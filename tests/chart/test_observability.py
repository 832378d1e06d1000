"""The dashboards and alerts that the chart brings are whole, and lead somewhere.

That their metrics exist is tested where the metrics are: gateway/src/internal and operator/src/metrics.
"""

import json
import re
import unittest

from support import REPOSITORY, kubeconform, objects, only, render

BOTH = ["dashboards.enabled=true", "prometheusRule.enabled=true"]


class Observability(unittest.TestCase):
    def test_dashboards_and_alerts_are_there_when_asked_for_and_kubernetes_knows_them(self):
        self.assertNotIn("dashboard", render())
        self.assertEqual(kubeconform(render(*BOTH)), "")

    def test_a_dashboard_has_a_title_an_id_of_its_own_and_panels_that_ask_something(self):
        boards = [part for part in objects(*BOTH) if part["kind"] == "ConfigMap" and "-dashboard-" in part["metadata"]["name"]]
        self.assertEqual(len(boards), 4)
        ids = set()
        for board in boards:
            self.assertEqual(board["metadata"]["labels"]["grafana_dashboard"], "1")
            ((name, text),) = board["data"].items()
            dashboard = json.loads(text)
            self.assertEqual(name, dashboard["uid"] + ".json")
            ids.add(dashboard["uid"])
            self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))
            for panel in dashboard["panels"]:
                self.assertTrue(panel["title"] and panel["targets"], panel)
                self.assertTrue(all(target["expr"] for target in panel["targets"]), panel)
            known = {variable["name"] for variable in dashboard["templating"]["list"]}
            used = set(re.findall(r"\$\{?([a-z]+)", text))
            self.assertLessEqual(used, known, name)
        self.assertEqual(len(ids), 4)

    def test_an_alert_says_what_is_wrong_and_leads_to_what_to_do(self):
        operations = (REPOSITORY / "docs/operations.md").read_text()
        headings = {line.lstrip("# ").strip().lower() for line in operations.splitlines() if line.startswith("#")}
        rule = only(objects(*BOTH, "prometheusRule.runbooks=https://example.com/operations"), "PrometheusRule")
        alerts = [alert for group in rule["spec"]["groups"] for alert in group["rules"]]
        self.assertGreater(len(alerts), 10)
        for alert in alerts:
            self.assertIn(alert["labels"]["severity"], ["info", "warning", "critical"])
            self.assertTrue(alert["annotations"]["summary"] and alert["annotations"]["description"])
            address, anchor = alert["annotations"]["runbook_url"].split("#")
            self.assertEqual(address, "https://example.com/operations")
            self.assertIn(anchor, headings)


if __name__ == "__main__":
    unittest.main()
