# Processes that outlive the script, each with a file of its pid, its command and its log. Sourced by onenode.sh.
# shellcheck shell=bash

# start NAME COMMAND…: inside the cluster's network.
start() {
  local component=$1
  shift
  launch "$component" nsenter --net="/run/netns/$cluster" -- "$@"
}

# launch NAME COMMAND…: on this machine. --fork lets the process's parent go first: Envoy follows its parent into death.
launch() {
  local component=$1
  shift
  mkdir -p "$run" "$state/log"
  printf '%q ' "$@" >"$run/$component.command"
  # shellcheck disable=SC2016
  setsid --fork bash -c 'echo $$ >"$0"; exec "$@"' "$run/$component.pid" "$@" \
    </dev/null >>"$state/log/$component.log" 2>&1
}

runs() { [[ -e $run/$1.pid ]] && kill -0 "$(<"$run/$1.pid")" 2>/dev/null; }

# again NAME: starts what start or launch started before.
again() { eval "launch $1 $(<"$run/$1.command")"; }

# stop NAME: SIGTERM, and SIGKILL after 5 s.
stop() {
  local file=$run/$1.pid pid
  [[ -e $file ]] || return 0
  pid=$(<"$file")
  rm -f "$file"
  kill "$pid" 2>/dev/null || return 0
  for _ in {1..50}; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

# stop_all: all but containerd, which is asked to remove containers next; the kubelet first, or it starts them again.
# All are told to end before the first is waited for.
stop_all() {
  local file others=()
  stop kubelet
  for file in "$run"/*.pid; do
    [[ ! -e $file || $file == */containerd.pid ]] || others+=("$(basename "$file" .pid)")
  done
  for file in "${others[@]}"; do kill "$(<"$run/$file.pid")" 2>/dev/null || true; done
  for file in "${others[@]}"; do stop "$file"; done
}
