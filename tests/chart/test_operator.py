"""What the operator is told and what it may do follow from the values."""

import unittest

import yaml

from support import REPOSITORY, arguments, kinds, objects, only

ROLES = {"Role", "ClusterRole"}


def rules(parts):
    """All rules of the operator's roles, the aggregated ones left out."""
    named = (part for part in parts if part["kind"] in ROLES and "-channels-" not in part["metadata"]["name"])
    return [rule for role in named for rule in role["rules"]]


def verbs(parts, group, resource):
    """What the operator may do with a resource."""
    found = (rule for rule in rules(parts) if group in rule["apiGroups"] and resource in rule["resources"])
    return sorted(verb for rule in found for verb in rule["verbs"])


class Arguments(unittest.TestCase):
    def test_channels_have_no_default_broker_unless_one_is_named(self):
        self.assertFalse([text for text in arguments(objects()) if "nats" in text])

    def test_the_releases_nats_is_the_default_broker(self):
        parts = objects("nats.enabled=true", release="r", namespace="n")
        self.assertIn("--default-nats-url=nats://r-linnet-nats.n.svc:4222", arguments(parts))
        self.assertEqual(only(parts, "Service", "r-linnet-nats")["metadata"]["namespace"], "n")

    def test_an_own_nats_comes_with_the_names_of_its_secrets(self):
        given = arguments(objects("nats.url=tls://a:4222", "nats.caSecretName=ca", "nats.credentialsSecretName=login"))
        for expected in ["--default-nats-url=tls://a:4222", "--default-nats-ca-secret=ca", "--default-nats-credentials-secret=login"]:
            self.assertIn(expected, given)

    def test_namespaces_are_given_only_where_they_are_limited(self):
        self.assertFalse([text for text in arguments(objects()) if "namespaces" in text])
        self.assertIn("--namespaces=one,two", arguments(objects('watchNamespaces=["one","two"]')))

    def test_images_have_the_charts_version_unless_another_is_named(self):
        version = yaml.safe_load((REPOSITORY / "charts/linnet/Chart.yaml").read_text())["appVersion"]
        self.assertIn(f"--gateway-image=linnet-gateway:{version}", arguments(objects()))
        self.assertIn("--gateway-image=g:dev", arguments(objects("gateway.image.repository=g", "gateway.image.tag=dev")))
        digest = "sha256:" + "a" * 64
        self.assertIn(f"--gateway-image=linnet-gateway@{digest}", arguments(objects(f"gateway.image.digest={digest}")))

    def test_the_chart_has_the_version_of_the_program(self):
        cargo = (REPOSITORY / "Cargo.toml").read_text()
        version = yaml.safe_load((REPOSITORY / "charts/linnet/Chart.yaml").read_text())["appVersion"]
        self.assertIn(f'[workspace.package]\nversion = "{version}"', cargo)

    def test_two_releases_elect_leaders_apart(self):
        leases = {[text for text in arguments(objects(release=name)) if "lease" in text][0] for name in ["a", "b"]}
        self.assertEqual(len(leases), 2)


class Rights(unittest.TestCase):
    def test_secrets_are_read_one_by_one_and_pods_are_never_made(self):
        parts = objects()
        self.assertEqual(verbs(parts, "", "secrets"), ["get"])
        self.assertEqual(verbs(parts, "", "pods"), ["get", "list", "patch", "watch"])

    def test_nothing_is_granted_by_wildcard_and_nothing_that_grants_more(self):
        for rule in rules(objects()):
            self.assertNotIn("*", rule["apiGroups"] + rule["resources"] + rule["verbs"])
            self.assertFalse({"escalate", "bind", "impersonate"} & set(rule["verbs"]))
            self.assertFalse({"pods/exec", "pods/proxy", "nodes/proxy", "services/proxy"} & set(rule["resources"]))

    def test_children_are_written_by_server_side_apply_alone(self):
        parts = objects()
        for group, resource in [("", "services"), ("", "configmaps"), ("apps", "deployments"), ("gateway.networking.k8s.io", "httproutes")]:
            self.assertEqual(verbs(parts, group, resource), ["create", "delete", "get", "list", "patch", "watch"])

    def test_limited_to_namespaces_there_is_no_right_in_the_cluster(self):
        parts = objects('watchNamespaces=["one","two"]')
        self.assertNotIn("ClusterRoleBinding", kinds(parts))
        where = {(part["kind"], part["metadata"]["namespace"]) for part in parts if part["kind"] in {"Role", "RoleBinding"}}
        self.assertEqual(where, {(kind, name) for kind in ["Role", "RoleBinding"] for name in ["one", "two", "linnet-system"]})

    def test_the_rules_are_the_same_in_the_cluster_and_in_a_namespace(self):
        cluster = only(objects(), "ClusterRole", "linnet-operator")["rules"]
        parts = objects('watchNamespaces=["one"]')
        self.assertEqual(cluster, next(p for p in parts if p["kind"] == "Role" and p["metadata"]["namespace"] == "one")["rules"])

    def test_every_binding_names_the_account_that_the_pods_run_as(self):
        for settings in [[], ["serviceAccount.create=false", "serviceAccount.name=given"], ['watchNamespaces=["one"]']]:
            parts = objects(*settings)
            account = only(parts, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
            bindings = [part for part in parts if part["kind"].endswith("RoleBinding")]
            for binding in bindings:
                subjects = [{"kind": "ServiceAccount", "name": account, "namespace": "linnet-system"}]
                self.assertEqual(binding["subjects"], subjects)
                role = only([p for p in parts if p["metadata"].get("namespace") == binding["metadata"].get("namespace")],
                            binding["roleRef"]["kind"], binding["roleRef"]["name"])
                self.assertTrue(role["rules"])
            self.assertTrue(bindings)

    def test_writing_channels_is_for_admin_and_edit_only(self):
        roles = {p["metadata"]["name"]: p for p in objects() if p["kind"] == "ClusterRole" and "-channels-" in p["metadata"]["name"]}
        edit, view = roles["linnet-channels-edit"], roles["linnet-channels-view"]
        self.assertNotIn("rbac.authorization.k8s.io/aggregate-to-view", edit["metadata"]["labels"])
        self.assertEqual({verb for rule in view["rules"] for verb in rule["verbs"]}, {"get", "list", "watch"})


class Pods(unittest.TestCase):
    def test_all_pods_meet_pod_security_restricted_with_a_root_that_cannot_be_written(self):
        parts = objects("nats.enabled=true")
        specs = [p["spec"]["template"]["spec"] for p in parts if p["kind"] in {"Deployment", "StatefulSet"}]
        specs += [p["spec"] for p in parts if p["kind"] == "Pod"]
        self.assertEqual(len(specs), 3)
        for spec in specs:
            self.assertTrue(spec["securityContext"]["runAsNonRoot"])
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in spec["containers"]:
                expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
                self.assertEqual(container["securityContext"], expected)

    def test_only_the_operator_has_a_token(self):
        parts = objects("nats.enabled=true")
        self.assertTrue(only(parts, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"])
        self.assertFalse(only(parts, "StatefulSet")["spec"]["template"]["spec"]["automountServiceAccountToken"])
        self.assertFalse(only(parts, "Pod")["spec"]["automountServiceAccountToken"])

    def test_labels_of_a_user_do_not_break_selectors(self):
        parts = objects('podLabels={"app.kubernetes.io/name":"other"}')
        deployment = only(parts, "Deployment")["spec"]
        for key, value in deployment["selector"]["matchLabels"].items():
            self.assertEqual(deployment["template"]["metadata"]["labels"][key], value)


class Definition(unittest.TestCase):
    def test_it_stays_when_the_release_goes_unless_told_otherwise(self):
        keep = "helm.sh/resource-policy"
        self.assertEqual(only(objects(), "CustomResourceDefinition")["metadata"]["annotations"][keep], "keep")
        self.assertNotIn("annotations", only(objects("crds.keep=false"), "CustomResourceDefinition")["metadata"])

    def test_it_is_the_one_of_crds_but_for_labels_and_annotations(self):
        ours = yaml.safe_load((REPOSITORY / "crds/realtimechannels.yaml").read_text())
        self.assertEqual(only(objects(), "CustomResourceDefinition")["spec"], ours["spec"])


if __name__ == "__main__":
    unittest.main()
