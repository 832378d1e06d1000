# What the scripts of examples share, which set `script` to their own path. Sourced, not run.
# shellcheck shell=bash

say() { printf '== %s\n' "$*"; }

fail() {
  echo "$script: $*" >&2
  exit 1
}

# usage: explains the script and ends it.
usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$script" >&2
  exit 2
}

# find_nats: prints a nats-server; installs one where Go is there.
find_nats() {
  local mine=$PWD/.cache/bin/nats-server version
  if [[ -n ${LINNET_NATS_SERVER:-} ]]; then
    echo "$LINNET_NATS_SERVER"
  elif [[ -x $mine ]]; then
    echo "$mine"
  elif command -v nats-server; then
    :
  elif command -v go >/dev/null; then
    version=$(sed -n 's/^readonly nats_version=//p' tests/run)
    say "installing nats-server $version into .cache/bin" >&2
    GOBIN=$PWD/.cache/bin go install "github.com/nats-io/nats-server/v2@$version"
    echo "$mine"
  else
    fail "nats-server 2.11 or newer is missing. Install it, or Go, or name its binary in LINNET_NATS_SERVER."
  fi
}

# build_gateway: sets gateway to its executable.
build_gateway() {
  gateway=${LINNET_GATEWAY_BIN:-}
  [[ -z $gateway ]] || return 0
  say "building the gateway"
  cargo build --quiet --release --locked -p linnet-gateway
  gateway=${CARGO_TARGET_DIR:-target}/release/linnet-gateway
}

# begin SIGNAL: sets logs to a folder for what processes log. When the script ends, those in pids end by SIGNAL.
begin() {
  logs=$(mktemp -d)
  pids=()
  signal=$1
  trap end EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

end() {
  trap - EXIT INT TERM
  for pid in "${pids[@]}"; do kill -s "$signal" "$pid" 2>/dev/null || true; done
  wait
  [[ -z ${once:-} ]] || rm -rf "$logs"
}

# await WHAT PID COMMAND…: prints what COMMAND prints once it succeeds; ends the run if PID ends first.
await() {
  local what=$1 pid=$2
  shift 2
  for _ in $(seq 600); do
    "$@" 2>/dev/null && return
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
  done
  tail -n 20 "$logs"/*.log >&2
  fail "$what did not start; its log is above."
}

# ask ADDRESS METHOD PATH [JSON [HEADER]]: a request over HTTP; prints what is answered, and succeeds if that is good.
ask() (
  body=${4:-} header=${5:+$5$'\r\n'}
  exec 3<>"/dev/tcp/${1%:*}/${1##*:}"
  printf '%s %s HTTP/1.0\r\nHost: it\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s' \
    "$2" "$3" "${#body}" "$header" "$body" >&3
  read -r _ status _ <&3
  sed '1,/^\r$/d' <&3
  [[ $status == 2* ]]
)

is_well() { ask "$1" GET "$2" >/dev/null; }

# start_nats EXECUTABLE: sets url to where it is.
start_nats() {
  "$1" --addr 127.0.0.1 --port -1 --ports_file_dir "$logs" --jetstream --store_dir "$logs/store" >"$logs/nats.log" 2>&1 &
  pids+=($!)
  url=$(await NATS $! sh -c "grep -oh 'nats://[0-9.:]*' '$logs'/*.ports | head -n 1 | grep .")
  say "NATS at $url"
}

# start_gateway MANIFEST [ARGUMENT…]: sets public and internal to where it is. Its name is in name, if that is set.
start_gateway() {
  local line log=$logs/${name:=gateway}
  sed "s|nats://127.0.0.1:4222|${url:-}|" "$1" >"$log.yaml"
  "$gateway" "$log.yaml" --create-stream --drain 0 --name "$name" \
    --listen "${LINNET_LISTEN:-127.0.0.1:8080}" --internal 127.0.0.1:0 "${@:2}" >"$log.out" 2>"$log.log" &
  pids+=($!)
  line=$(await "$name" $! grep -m1 '^listening ' "$log.out")
  [[ $line =~ public=([^ ]+)\ internal=([^ ]+) ]]
  public=${BASH_REMATCH[1]} internal=${BASH_REMATCH[2]}
  await "$name" $! is_well "$internal" /readyz
  say "$name at $public"
}

# find_packages FOLDER: installs the packages of its package-lock.json, unless they are there.
find_packages() {
  command -v npm >/dev/null || fail "npm is missing. Install Node 20 or newer."
  cmp -s "$1/package-lock.json" "$1/node_modules/installed.json" && return
  say "installing the packages of $1" >&2
  npm ci --prefix "$1" --no-audit --no-fund --loglevel=error >&2
  cp "$1/package-lock.json" "$1/node_modules/installed.json"
}

# find_python FOLDER: prints a Python that has what its requirements.txt says, in an environment of its own.
find_python() {
  local pins=$1/requirements.txt venv=$PWD/.cache/venv-${1##*/}
  command -v python3 >/dev/null || fail "python3 is missing. Install Python 3.11 or newer with its venv module."
  if ! cmp -s "$pins" "$venv/installed.txt"; then
    say "installing into .cache/venv-${1##*/}: $(xargs <"$pins")" >&2
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 has no venv module. Debian: apt-get install python3-venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --requirement "$pins" >&2
    cp "$pins" "$venv/installed.txt"
  fi
  echo "$venv/bin/python"
}
