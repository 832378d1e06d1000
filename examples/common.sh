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

# start_gateway MANIFEST [ARGUMENT…]: sets public and internal to where it is.
start_gateway() {
  local line
  sed "s|nats://127.0.0.1:4222|$url|" "$1" >"$logs/channel.yaml"
  "$gateway" "$logs/channel.yaml" --create-stream --drain 0 --name gateway "${@:2}" \
    --listen "${LINNET_LISTEN:-127.0.0.1:8080}" --internal 127.0.0.1:0 >"$logs/gateway.out" 2>"$logs/gateway.log" &
  pids+=($!)
  line=$(await "the gateway" $! grep -m1 '^listening ' "$logs/gateway.out")
  [[ $line =~ public=([^ ]+)\ internal=([^ ]+) ]]
  public=${BASH_REMATCH[1]} internal=${BASH_REMATCH[2]}
  await "the gateway" $! is_well "$internal" /readyz
  say "gateway at $public"
}
