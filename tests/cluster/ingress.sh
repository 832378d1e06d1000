# What both clusters do for their ingress: Contour's definitions, and a certificate for *.linnet.localhost. Sourced, not run.
# shellcheck shell=bash

# contour_definitions: the kinds that Contour and Gateway API serve, Contour's namespace, and who may use it.
contour_definitions() {
  local module
  module=$(go_module "github.com/projectcontour/contour@$contour_version")
  kubectl apply --server-side -f "$module/examples/contour/00-common.yaml" -f "$module/examples/contour/01-crds.yaml" \
    -f "$module/examples/gateway/00-crds.yaml" >/dev/null
}

# localhost_certificate FILE.crt FILE.key: signed by itself, so that clients can be told to trust just it. Browsers and
# curl resolve such names to this machine; a wildcard right below `localhost` many clients would not accept.
localhost_certificate() {
  mkdir -p "${1%/*}"
  [[ -e $1 ]] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,DNS:linnet.localhost,DNS:*.linnet.localhost' \
    -addext 'basicConstraints=critical,CA:FALSE' -keyout "$2" -out "$1" 2>/dev/null
  kubectl --namespace projectcontour create secret tls localhost --cert "$1" --key "$2" --dry-run=client --output yaml |
    kubectl apply --server-side --filename - >/dev/null
}

# ingress_ready: returns once the Gateway of ingress.yaml is served.
ingress_ready() {
  kubectl apply --server-side --filename "$here/ingress.yaml" >/dev/null
  until_ok 60 "the ingress" \
    kubectl --namespace projectcontour wait --for=condition=Programmed gateway/contour --timeout=1s
}
