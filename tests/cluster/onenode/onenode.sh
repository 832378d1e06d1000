# The cluster as one node without Docker: etcd, Kubernetes, CoreDNS, Contour and Envoy as processes of this machine,
# all of them and all pods in one network namespace, from which nothing can reach other machines. Sourced by cluster.
# shellcheck shell=bash

readonly state=/var/lib/$cluster
readonly run=/run/$cluster
readonly kubeconfig=$state/kubeconfig
readonly ingress_ca=$state/pki/localhost.crt
readonly audit_log=$state/log/audit.log
readonly node_ip=10.90.0.2
readonly pod_range=10.91.0.0/24
readonly service_range=10.92.0.0/16
readonly api_ip=10.92.0.1 # the first of service_range

# shellcheck source=../ingress.sh
source "$here/ingress.sh"
for room in processes network certificates containers kubernetes volumes contour; do
  # shellcheck disable=SC1090
  source "$here/onenode/$room.sh"
done

# cluster_build: what takes long, and nothing that is the machine's: no packages, no processes.
cluster_build() {
  build_kubernetes
  build_contour
  has helm || helm_tool
}

cluster_up() {
  [[ $(uname -s) == Linux ]] || die "the one-node cluster needs Linux; install Docker and kind"
  [[ $(id -u) == 0 ]] || die "the one-node cluster must be run by root; or install Docker and kind"
  if runs containerd && runs kube-apiserver; then
    until_ok 60 "the API server of $cluster, which runs already," kubectl get --raw /readyz
    say "$cluster is up"
    return
  fi
  debian_packages containerd:containerd runc:runc iptables:iptables ip:iproute2 conntrack:conntrack socat:socat \
    openssl:openssl nsenter:util-linux buildah:buildah "$(cni_folder)/bridge:containernetworking-plugins"
  cluster_build
  cluster_down
  say "starting $cluster"
  make_network
  make_cgroup
  make_certificates
  start_containerd
  start_control_plane
  start_dns
  start_node
  start_volumes
  forward "$api_port" "$api_port"
  start_contour
  say "ready: eval \"\$(tests/cluster/cluster env)\""
}

cluster_down() {
  [[ -e $state || -e $run || -e /run/netns/$cluster ]] || return 0
  stop_all
  remove_containers
  remove_mounts
  remove_network
  remove_cgroup
  rm -rf "$state" "$run"
}

cluster_load() {
  local archive
  for archive in "$@"; do
    containerd_ctl images import "$archive" >/dev/null
  done
}

cluster_exec() { inside "$@"; }

# inside_address: prints where the ingress is for who runs inside.
inside_address() { echo 127.0.0.1:8080; }

cluster_status() {
  local file component
  for file in "$run"/*.pid; do
    [[ -e $file ]] || die "$cluster is not up"
    component=$(basename "$file" .pid)
    if runs "$component"; then echo "$component runs"; else echo "$component ENDED"; fi
  done
}

cluster_restart() {
  known "$@"
  stop "$1"
  again "$1"
}

cluster_kill() {
  known "$@"
  kill -KILL "$(<"$run/$1.pid")"
}

cluster_logs() { tail -n 200 "$state/log/"*"${1:-}"*.log; }

known() {
  (($# == 1)) && [[ -e $run/$1.command ]] || die "name a component; tests/cluster/cluster status lists them"
}
