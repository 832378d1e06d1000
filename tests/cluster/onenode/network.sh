# The network namespace that the cluster lives in, its ways out to 127.0.0.1, and its cgroup. Sourced by onenode.sh.
# shellcheck shell=bash

inside() { nsenter --net="/run/netns/$cluster" -- "$@"; }

# make_network: the node's address lies on a pair of devices whose both ends stay inside: a default route that kube-proxy
# and pods need, and that leads nowhere.
make_network() {
  ip netns add "$cluster"
  ip -n "$cluster" link set lo up
  ip -n "$cluster" link add node0 type veth peer name node0-end
  ip -n "$cluster" address add "$node_ip/24" dev node0
  ip -n "$cluster" link set node0 up
  ip -n "$cluster" link set node0-end up
  ip -n "$cluster" route add default via 10.90.0.1 dev node0
  inside sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
  # Pods that reach each other through a Service cross the bridge, and iptables must see that.
  modprobe br_netfilter 2>/dev/null || true
  inside sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null ||
    sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true
}

remove_network() {
  ip netns delete "$cluster" 2>/dev/null || true
}

# forward PORT TO: 127.0.0.1:PORT of this machine is 127.0.0.1:TO inside. The halves meet in a socket file, which no
# network namespace divides.
forward() {
  local socket=$run/port-$1.sock
  start "port-$1-inside" socat "UNIX-LISTEN:$socket,fork,unlink-early" "TCP:127.0.0.1:$2"
  launch "port-$1" socat "TCP-LISTEN:$1,bind=127.0.0.1,fork,reuseaddr,backlog=1024" "UNIX-CONNECT:$socket"
  until_ok 10 "port $1" bash -c "exec 3<>/dev/tcp/127.0.0.1/$1"
}

# make_cgroup: pods of this cluster live in a cgroup of its own. Two kubelets that shared one would end each other's pods.
make_cgroup() {
  local controller folder
  if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
    for controller in $(</sys/fs/cgroup/cgroup.controllers); do
      echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
    done
    mkdir -p "/sys/fs/cgroup/$cluster"
    return
  fi
  for folder in /sys/fs/cgroup/*/; do
    mkdir -p "$folder$cluster" 2>/dev/null || true
  done
  # A new cpuset has no processors and no memory until it is given its parent's.
  for controller in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$controller" >"/sys/fs/cgroup/cpuset/$cluster/$controller"
  done
}

remove_cgroup() {
  find /sys/fs/cgroup -depth -type d -path "*/$cluster*" -exec rmdir {} + 2>/dev/null || true
}
