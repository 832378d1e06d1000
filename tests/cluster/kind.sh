# The cluster as a kind cluster: Kubernetes in Docker, from the repository's kind-config.yaml. Sourced by cluster.
# shellcheck shell=bash

readonly state=$cache/$cluster
readonly kubeconfig=$state/kubeconfig
readonly ingress_ca=$state/localhost.crt
readonly audit_log= # none is kept
# shellcheck source=ingress.sh
source "$here/ingress.sh"

# cluster_build: nodes come as images.
cluster_build() { helm_tool; }

cluster_up() {
  need docker "Install Docker, or set LINNET_CLUSTER=onenode."
  need kind "Install kind v0.33 or newer, or set LINNET_CLUSTER=onenode."
  need kubectl "Install kubectl 1.33 or newer."
  debian_packages openssl:openssl
  mkdir -p "$state"
  if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
    say "creating the kind cluster $cluster"
    kind_config | kind create cluster --name "$cluster" --config - --kubeconfig "$kubeconfig" --wait 180s
  fi
  kind export kubeconfig --name "$cluster" --kubeconfig "$kubeconfig" >/dev/null 2>&1
  contour
  say "ready: eval \"\$(tests/cluster/cluster env)\""
}

# kind_config: kind-config.yaml with the ports that were asked for.
kind_config() {
  sed -e "s/hostPort: 8080/hostPort: $http_port/" -e "s/hostPort: 8443/hostPort: $https_port/" \
    "$repository/kind-config.yaml"
}

# contour: Contour and Envoy as its release's manifests run them, Envoy on the node's ports 80 and 443.
contour() {
  local module
  module=$(go_module "github.com/projectcontour/contour@$contour_version")
  contour_definitions
  localhost_certificate "$ingress_ca" "$state/localhost.key"
  # A Job can't be applied over a finished one that its own time to live is about to remove.
  kubectl --namespace projectcontour get secret contourcert >/dev/null 2>&1 ||
    kubectl apply --filename "$module/examples/contour/02-job-certgen.yaml" >/dev/null
  kubectl apply --filename "$module/examples/contour/02-rbac.yaml" \
    --filename "$module/examples/contour/02-role-contour.yaml" \
    --filename "$module/examples/contour/02-service-contour.yaml" \
    --filename "$module/examples/contour/02-service-envoy.yaml" >/dev/null
  kubectl --namespace projectcontour create configmap contour --dry-run=client --output yaml \
    --from-literal=contour.yaml='gateway: {gatewayRef: {namespace: projectcontour, name: contour}}' |
    kubectl apply --server-side --filename - >/dev/null
  kubectl apply --filename "$module/examples/contour/03-contour.yaml" \
    --filename "$module/examples/contour/03-envoy.yaml" >/dev/null
  kubectl --namespace projectcontour rollout status deployment/contour --timeout=300s >/dev/null
  kubectl --namespace projectcontour rollout status daemonset/envoy --timeout=300s >/dev/null
  ingress_ready
}

cluster_down() {
  kind delete cluster --name "$cluster"
  rm -rf "$state"
}

cluster_load() {
  local archive
  for archive in "$@"; do
    kind load image-archive --name "$cluster" "$archive"
  done
}

# cluster_exec COMMAND…: in the node's network, which needs Linux and root.
cluster_exec() {
  local pid
  pid=$(docker inspect --format '{{.State.Pid}}' "$cluster-control-plane")
  nsenter --net="/proc/$pid/ns/net" -- "$@"
}

# inside_address: prints where the ingress is for who runs inside; nothing where there is no cluster.
inside_address() {
  docker inspect --format '{{.NetworkSettings.Networks.kind.IPAddress}}:80' "$cluster-control-plane" 2>/dev/null || true
}

cluster_logs() {
  local folder=$state/logs
  kind export logs --name "$cluster" "$folder" >/dev/null
  find "$folder" -name "*${1:-}*.log" -exec tail -n 200 {} +
}
