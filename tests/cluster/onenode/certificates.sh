# Who the API server is, and the one administrator. Sourced by onenode.sh.
# shellcheck shell=bash

readonly pki=$state/pki

new_key() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "$@" 2>/dev/null; }

make_certificates() {
  local token
  mkdir -p "$pki"
  new_key -x509 -days 365 -subj "/CN=$cluster" -keyout "$pki/ca.key" -out "$pki/ca.crt"
  new_key -subj /CN=kube-apiserver -keyout "$pki/api.key" -out "$pki/api.csr"
  openssl x509 -req -in "$pki/api.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 365 \
    -out "$pki/api.crt" 2>/dev/null -extfile <(
      printf 'subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,'
      printf 'DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:%s,IP:%s\n' "$node_ip" "$api_ip"
    )
  openssl genrsa -out "$pki/accounts.key" 2048 2>/dev/null
  token=$(openssl rand -hex 16)
  echo "$token,admin,admin,system:masters" >"$pki/tokens.csv"
  chmod 600 "$pki"/*
  cat >"$kubeconfig" <<YAML
apiVersion: v1
kind: Config
current-context: $cluster
clusters:
  - name: $cluster
    cluster: {server: "https://127.0.0.1:$api_port", certificate-authority-data: $(base64 -w0 "$pki/ca.crt")}
users:
  - name: admin
    user: {token: $token}
contexts:
  - name: $cluster
    context: {cluster: $cluster, user: admin}
YAML
  chmod 600 "$kubeconfig"
}
