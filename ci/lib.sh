# shellcheck shell=bash
# What ci/test and ci/demo share: packages, builds, progress. To be sourced from the package's root.

# Debian packages: what the build links, what the checks run, what the namespace tests drive.
packages=(
  libcap-dev libmnl-dev libssl-dev pkgconf binutils shellcheck
  conntrack ethtool iperf3 iproute2 iptables iputils-ping kcptun libcap2-bin nftables procps
  curl openssl python3 socat tcpdump tshark util-linux
)

# nft, tcpdump and setcap are in sbin, which is not in an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

# shellcheck disable=SC2034  # used by those who source this
binary=$PWD/.build/release/rsock

say() { printf '== %s\n' "$*"; }

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo -- "$@"
  fi
}

# Runs a long command quietly: its last line every ten seconds, all of it only where it fails.
quietly() {
  local what=$1 log began=$SECONDS status=0
  shift
  log=$(mktemp)
  say "$what"
  "$@" >"$log" 2>&1 </dev/null &
  local job=$! waited=0
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.2
    if ((++waited % 50 == 0)); then
      printf '   %3d s  %s\n' $((SECONDS - began)) "$(tail -n 1 "$log" | cut -c 1-88)"
    fi
  done
  wait "$job" || status=$?
  if ((status)); then
    cat "$log" >&2
    rm -f "$log"
    fail "$what (exit $status)"
  fi
  rm -f "$log"
  printf '   done in %d s\n' $((SECONDS - began))
}

need_swift() {
  command -v swift >/dev/null ||
    fail "no Swift toolchain in PATH: install Swift 6.2 or later (https://swift.org/install)"
}

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  quietly "apt-get update" as_root apt-get -q update
  quietly "apt-get install ${missing[*]}" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install \
    "${missing[@]}"
}

# The program as it is shipped: a binary with file capabilities runs in secure-execution mode, where
# the loader ignores $ORIGIN, so the Swift runtime is inside and there is no RUNPATH.
build_program() {
  quietly "building rsock (release, Swift runtime linked statically)" \
    swift build -c release --static-swift-stdlib --disable-local-rpath --product rsock
}
