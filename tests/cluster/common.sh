# What the scripts of this folder share. Sourced, not run.
# shellcheck shell=bash

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
repository=$(cd "$here/../.." && pwd)
readonly here repository
# shellcheck source=versions.sh
source "$here/versions.sh"

# What was built or fetched, kept for the next time.
readonly cache=${LINNET_CLUSTER_CACHE:-$repository/.cache}
readonly bin=$cache/bin
export PATH=$bin:$PATH

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null; }

# need TOOL HOW: ends where a tool is missing that no script here installs.
need() { has "$1" || die "$1 is missing. $2"; }

# until_ok SECONDS WHAT COMMAND…: tries COMMAND until it succeeds.
until_ok() {
  local seconds=$1 what=$2 end
  shift 2
  end=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || die "$what was not ready after $seconds s. Look into the logs: tests/cluster/cluster logs"
    sleep 0.3
  done
}

# go_install NAME MODULE@VERSION: one tool from its Go module, static, kept in the cache under its version.
go_install() {
  local name=$1 module=$2 stamp=$bin/.$1-${2##*@}
  [[ -x $bin/$name && -e $stamp ]] && return
  need go "Install Go 1.25 or newer."
  say "building $name ${module##*@} into ${bin#"$repository/"}"
  mkdir -p "$bin"
  GOBIN=$bin CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$module"
  touch "$stamp"
}

# go_module MODULE@VERSION: prints the folder with the module's files, fetching it if need be.
go_module() {
  need go "Install Go 1.25 or newer."
  (cd / && go mod download -json "$1") | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

helm_tool() { go_install helm "helm.sh/helm/v4/cmd/helm@$helm_version"; }
kubeconform_tool() { go_install kubeconform "github.com/yannh/kubeconform/cmd/kubeconform@$kubeconform_version"; }
helm_docs_tool() { go_install helm-docs "github.com/norwoodj/helm-docs/cmd/helm-docs@$helm_docs_version"; }
nats_tool() { go_install nats-server "github.com/nats-io/nats-server/v2@$nats_version"; }

# debian_packages COMMAND:PACKAGE…: installs those whose command is missing, where that is possible.
debian_packages() {
  local pair missing=()
  for pair in "$@"; do
    has "${pair%%:*}" || [[ -x ${pair%%:*} ]] || missing+=("${pair##*:}")
  done
  ((${#missing[@]} == 0)) && return
  if [[ $(id -u) != 0 ]] || ! has apt-get; then
    die "these are missing: ${missing[*]} (Debian's names). Install them with the system's package manager."
  fi
  say "installing Debian's ${missing[*]}"
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
}
