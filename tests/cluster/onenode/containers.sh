# containerd with runc and the CNI plugins, as the distribution packages them. Sourced by onenode.sh.
# shellcheck shell=bash

readonly containerd_socket=$run/containerd.sock
readonly pause_image=linnet.dev/pause:1

containerd_ctl() { ctr --address "$containerd_socket" --namespace k8s.io "$@"; }

# cni_folder: where the distribution puts CNI plugins; Debian's place where there are none.
cni_folder() {
  local folder
  for folder in /usr/lib/cni /opt/cni/bin /usr/libexec/cni; do
    [[ -x $folder/bridge ]] && break
    folder=/usr/lib/cni
  done
  echo "$folder"
}

start_containerd() {
  mkdir -p "$run" "$state/cni"
  cat >"$state/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "$cluster", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$state/cni/addresses", "ranges": [[{"subnet": "$pod_range"}]]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  cat >"$state/containerd.toml" <<TOML
version = 2
root = "$state/containerd"
state = "$run/containerd"
[grpc]
  address = "$containerd_socket"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$pause_image"
  # Lowering a score needs CAP_SYS_RESOURCE, which root of a container or a small VM may lack.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(cni_folder)"
    conf_dir = "$state/cni"
TOML
  start containerd containerd --config "$state/containerd.toml" --log-level warn
  until_ok 30 containerd containerd_ctl version
  make_pause_image "$state/pause.tar"
  cluster_load "$state/pause.tar"
}

# make_pause_image ARCHIVE: one layer with one file, written by hand, since a cluster without a registry has nothing to
# build an image in.
make_pause_image() {
  local folder layer
  folder=$(mktemp -d)
  tar -C "$bin" -cf "$folder/layer.tar" pause
  layer=$(sha256sum "$folder/layer.tar" | cut -d' ' -f1)
  cat >"$folder/config.json" <<JSON
{"architecture": "$(go env GOARCH)", "os": "linux", "config": {"Entrypoint": ["/pause"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}}
JSON
  cat >"$folder/manifest.json" <<JSON
[{"Config": "config.json", "RepoTags": ["$pause_image"], "Layers": ["layer.tar"]}]
JSON
  tar -C "$folder" -cf "$1" manifest.json config.json layer.tar
  rm -r "$folder"
}

remove_containers() {
  local id namespaces
  if [[ -S $containerd_socket ]] && containerd_ctl version >/dev/null 2>&1; then
    for id in $(containerd_ctl tasks list -q); do
      containerd_ctl tasks kill --signal KILL --all "$id" >/dev/null 2>&1 || true
      containerd_ctl tasks delete --force "$id" >/dev/null 2>&1 || true
    done
    namespaces=$(pod_namespaces)
    for id in $(containerd_ctl containers list -q); do
      containerd_ctl containers delete "$id" >/dev/null 2>&1 || true
    done
    for id in $namespaces; do
      ip netns delete "$id" 2>/dev/null || true
    done
  fi
  stop containerd
}

# pod_namespaces: prints the network namespaces that containerd made for pods.
pod_namespaces() {
  local id
  for id in $(containerd_ctl containers list -q); do
    containerd_ctl containers info --spec "$id" | sed -n 's|.*"/\(var/\)\?run/netns/\(cni-[-0-9a-f]*\)".*|\2|p'
  done | sort -u
}

# remove_mounts: what pods and containers left mounted, the deepest first.
remove_mounts() {
  awk -v state="$state/" -v run="$run/" 'index($2, state) == 1 || index($2, run) == 1 { print $2 }' /proc/mounts |
    sort -r | xargs -r umount -l
}
