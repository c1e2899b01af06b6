# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# What packaging/demo and packaging/test share: install what is missing, run a long step with progress, build.
# Sourced by bash after `set -euo pipefail`; expects `top` to be the root of the source tree.

# Each entry is one need: the package, or its names in different Debian releases, best first.
readonly BUILD_PACKAGES=(
  build-essential cmake ninja-build ccache pkg-config
  libssl-dev 'libboost1.81-dev|libboost1.83-dev|libboost-dev'
  'libqpid-proton-cpp12-dev|libqpid-proton-cpp-dev' libpaho-mqttpp-dev libpaho-mqtt-dev libmosquitto-dev
  libcoap3-dev libtomlplusplus-dev libsqlite3-dev libsqlitecpp-dev
  libspdlog-dev libfmt-dev libcli11-dev libexpected-dev libsystemd-dev
)
readonly DEVICE_PACKAGES=(mosquitto mosquitto-clients libcoap3-bin netcat-openbsd python3)
readonly TEST_PACKAGES=(
  catch2 sqlite3 procps openssl libmbedtls-dev e2fsprogs iproute2
  socat gpsd gpsd-clients python3-gps 'python3-distutils|python3-setuptools' mbpoll python3-pymodbus python3-serial-asyncio
)
readonly PACKAGING_PACKAGES=(dpkg-dev debhelper fakeroot git lintian)

started=$SECONDS
step_number=0
steps_total=${steps_total:-0}

say() { printf '%s\n' "$*"; }
fail() {
  printf '\n%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

elapsed() {
  local seconds=$((SECONDS - started))
  printf '%d:%02d' $((seconds / 60)) $((seconds % 60))
}

# Every installed Debian knows its own name for 127.0.0.1; a root that debootstrap made does not yet.
ensure_localhost() {
  getent hosts localhost >/dev/null && return 0
  say "  /etc/hosts has no localhost: adding it, as an installed Debian has it"
  local as_root=()
  ((EUID == 0)) || as_root=(sudo)
  printf '127.0.0.1\tlocalhost\n' | "${as_root[@]}" tee -a /etc/hosts >/dev/null
}

step() {
  step_number=$((step_number + 1))
  printf '[%s] step %d of %d: %s\n' "$(elapsed)" "$step_number" "$steps_total" "$*"
}

# What a program said last, also when it writes over its own line.
last_line() { tail -c 1000 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -n 1 || printf ''; }

# logged WHAT LOG COMMAND...: runs the command into LOG; on a terminal its last line is shown meanwhile, elsewhere one line
# each half minute. A failure shows the end of the log.
running=0
logged() {
  local what=$1 log=$2
  shift 2
  mkdir -p "${log%/*}"
  # A process group of its own, so that an interrupt ends all of it and nothing else.
  set -m
  "$@" >"$log" 2>&1 </dev/null &
  running=$!
  set +m
  local last=$SECONDS line columns=${COLUMNS:-100}
  while kill -0 "$running" 2>/dev/null; do
    sleep 0.2
    if [[ -t 1 ]]; then
      line=$(last_line "$log" | cut -c "1-$((columns - 14))")
      printf '\r\033[K  [%s] %s' "$(elapsed)" "$line"
    elif ((SECONDS - last >= 30)); then
      last=$SECONDS
      line=$(last_line "$log" | cut -c 1-90)
      printf '  [%s] %s\n' "$(elapsed)" "$line"
    fi
  done
  [[ -t 1 ]] && printf '\r\033[K'
  local status=0
  wait "$running" || status=$?
  running=0
  if ((status != 0)); then
    printf '\n--- the end of %s\n' "$log" >&2
    tail -n "${LOG_TAIL:-40}" "$log" >&2
    printf -- '---\n' >&2
    fail "$what failed (exit status $status); the whole log is $log"
  fi
}

end_running() {
  ((running == 0)) || kill -TERM -- "-$running" 2>/dev/null || return 0
}
trap end_running EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

is_installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# One need "a|b|c": is one of its names installed?
is_met() {
  local name
  for name in ${1//|/ }; do
    is_installed "$name" && return 0
  done
  return 1
}

as_root() {
  if ((EUID == 0)); then "$@"; else sudo "$@"; fi
}

# install_packages NEED...: installs by apt what is missing; does nothing, and asks for no rights, when nothing is.
install_packages() {
  local need missing=() chosen=() name
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this needs Debian (12 or 13): apt-get and dpkg-query were not found"
  fi
  for need in "$@"; do
    is_met "$need" || missing+=("$need")
  done
  if ((${#missing[@]} == 0)); then
    say "  all packages are installed"
    return 0
  fi
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    fail "these packages are missing: ${missing[*]//|*/}. Run this as root, or install sudo, or install them yourself"
  fi
  ((EUID == 0)) || sudo -v || fail "sudo refused; these packages are missing: ${missing[*]//|*/}"
  logged "apt-get update" "$top/build/log/apt-update.log" as_root env DEBIAN_FRONTEND=noninteractive apt-get update
  for need in "${missing[@]}"; do
    name=
    for name in ${need//|/ }; do
      [[ -n $(apt-cache show --no-all-versions "$name" 2>/dev/null) ]] && break
      name=
    done
    [[ -n $name ]] || fail "this Debian has no package for '${need//|/\' or \'}'; Debian 12 and 13 are supported"
    chosen+=("$name")
  done
  say "  installing ${#chosen[@]}: ${chosen[*]}"
  logged "the installation of packages" "$top/build/log/apt-install.log" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${chosen[@]}"
}

# configure DIRECTORY PRESET [OPTION...]: once; afterwards ninja itself sees when CMake must run again.
configure() {
  local directory=$1 preset=$2
  shift 2
  if [[ -f $directory/build.ninja && $(cat "$directory/.configured" 2>/dev/null) == "$preset $*" ]]; then
    return 0
  fi
  logged "the configuration by CMake" "$top/build/log/configure-$preset.log" \
    cmake --preset "$preset" -S "$top" -B "$directory" "$@"
  printf '%s' "$preset $*" >"$directory/.configured"
}

# A compiler of this code takes up to a GiB or so: as many at a time as processors and memory allow.
build_jobs() {
  local processors memory
  processors=$(nproc)
  memory=$(awk '/^MemAvailable:/ { print int($2 / 1200000) }' /proc/meminfo)
  ((memory >= 1)) || memory=1
  printf '%d' $((processors < memory ? processors : memory))
}

# build DIRECTORY NAME [TARGET...]
build() {
  local directory=$1 name=$2
  shift 2
  NINJA_STATUS='[%f/%t] ' logged "the build" "$top/build/log/build-$name.log" \
    ninja -C "$directory" -j "$(build_jobs)" "$@"
}
