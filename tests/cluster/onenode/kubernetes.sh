# etcd, the control plane, DNS and the node. Sourced by onenode.sh.
# shellcheck shell=bash

build_kubernetes() {
  local sources=$here/onenode/kubernetes key file name
  need go "Install Go 1.25 or newer."
  mkdir -p "$bin"
  key=$(cat "$sources"/go.{mod,sum} "$sources/main.go" "$sources/pause/main.go" | sha256sum | cut -c1-16)
  file=kubernetes-$key
  if [[ ! -x $bin/$file ]]; then
    say "building Kubernetes $kubernetes_version into ${bin#"$repository/"}, for the first time: some ten minutes"
    (cd "$sources" && CGO_ENABLED=0 go build -trimpath -o "$bin/pause" -ldflags '-s -w' ./pause)
    (cd "$sources" && CGO_ENABLED=0 go build -trimpath -o "$bin/$file" -ldflags "-s -w $(version_flags)" .)
  fi
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -sf "$file" "$bin/$name"
  done
  go_install coredns "github.com/coredns/coredns@$coredns_version"
}

# version_flags: what upstream's build writes into its executables; without it the API server calls itself v0.0.0.
version_flags() {
  local minor=${kubernetes_version#v1.}
  printf -- '-X k8s.io/component-base/version.%s ' \
    "gitVersion=$kubernetes_version" gitMajor=1 "gitMinor=${minor%%.*}"
}

start_control_plane() {
  # One line for each request, so that a test can count what somebody wrote.
  printf '%s\n' 'apiVersion: audit.k8s.io/v1' 'kind: Policy' 'omitStages: [RequestReceived]' \
    'rules: [{level: Metadata}]' >"$state/audit.yaml"
  start etcd etcd --data-dir "$state/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380
  start kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
    --advertise-address "$node_ip" --secure-port "$api_port" \
    --tls-cert-file "$pki/api.crt" --tls-private-key-file "$pki/api.key" --client-ca-file "$pki/ca.crt" \
    --authorization-mode Node,RBAC --token-auth-file "$pki/tokens.csv" --allow-privileged \
    --service-cluster-ip-range "$service_range" \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/accounts.key" \
    --service-account-signing-key-file "$pki/accounts.key" --kubelet-preferred-address-types InternalIP \
    --audit-policy-file "$state/audit.yaml" --audit-log-path "$state/log/audit.log" \
    --audit-log-maxsize 100 --audit-log-maxbackup 2
  until_ok 60 kube-apiserver inside kubectl get --raw /readyz
  start kube-controller-manager kube-controller-manager --kubeconfig "$kubeconfig" --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file "$pki/accounts.key" \
    --root-ca-file "$pki/ca.crt" --cluster-signing-cert-file "$pki/ca.crt" \
    --cluster-signing-key-file "$pki/ca.key" --allocate-node-cidrs=false
  start kube-scheduler kube-scheduler --kubeconfig "$kubeconfig" --leader-elect=false
}

# start_dns: names of the cluster only; there is no other network to have names in.
start_dns() {
  cat >"$state/Corefile" <<COREFILE
.:53 {
  bind $node_ip
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $kubeconfig $cluster
  }
  cache 5
}
COREFILE
  start coredns coredns -conf "$state/Corefile"
}

start_node() {
  cat >"$state/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: /$cluster
clusterDNS: [$node_ip]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$containerd_socket
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi}
failSwapOn: false
imageGCHighThresholdPercent: 100 # nothing could pull an image again
maxPods: 200
podLogsDir: $state/pod-logs
resolvConf: /dev/null
YAML
  start kubelet kubelet --kubeconfig "$kubeconfig" --config "$state/kubelet.yaml" --root-dir "$state/kubelet" \
    --node-ip "$node_ip" --hostname-override "$cluster"
  start kube-proxy kube-proxy --kubeconfig "$kubeconfig" --proxy-mode iptables --cluster-cidr "$pod_range" \
    --hostname-override "$cluster" --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
    --conntrack-tcp-timeout-close-wait 0
  until_ok 60 "the node" inside kubectl wait --for=condition=Ready "node/$cluster" --timeout=1s
  until_ok 60 "the default ServiceAccount" inside kubectl get serviceaccount default
}
