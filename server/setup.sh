#!/bin/sh
# Makes a fresh Debian 12 or Ubuntu 22.04 ready: packages by apt, and what apt has too old beside the
# tree in .tools. Says what is missing where it may not install it. Called by the Makefile:
#   setup.sh build    what it takes to build and run
#   setup.sh test     the same, and browsers, ffmpeg and Python for the tests
#   setup.sh lint     the same as build, and cargo-deny
set -eu
cd "$(dirname "$0")/.."
TOOLS="$PWD/.tools"
# What the system has, without what was put there for want of it.
SYSTEM=$(printf '%s' "$PATH" | tr ':' '\n' | grep -vxF "$TOOLS/rust/bin" | paste -s -d :)
PATH="$TOOLS/node_modules/.bin:$TOOLS/rust/bin:$SYSTEM"
export PATH
# The web app is built by Vite, which needs this much.
NODE_MAJOR=20
NODE_MINOR=19

say() { printf '%s\n' "setup: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# True where `node` is new enough.
node_is_new() {
    has node || return 1
    version=$(node --version 2>/dev/null) || return 1
    version=${version#v}
    major=${version%%.*}
    rest=${version#*.}
    minor=${rest%%.*}
    [ "$major" -gt "$NODE_MAJOR" ] ||
        { [ "$major" -eq "$NODE_MAJOR" ] && [ "$minor" -ge "$NODE_MINOR" ]; }
}

missing=""
# need COMMAND PACKAGE: the package is missing where the command is.
need() { has "$1" || missing="$missing $2"; }

collect() {
    need cc build-essential
    need make make
    need pkg-config pkg-config
    need curl curl
    need git git
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
    # The messages of etcd are compiled from their description.
    need protoc protobuf-compiler
    [ -e /usr/include/google/protobuf/descriptor.proto ] || missing="$missing libprotobuf-dev"
    # The codec process binds Debian's FFmpeg; nothing else links it.
    for library in avcodec avformat avutil swresample swscale; do
        pkg-config --exists "lib$library" 2>/dev/null || missing="$missing lib$library-dev"
    done
    need clang clang
    libclang_is_there || missing="$missing libclang-dev"
    # npm comes with node; the distribution's serves to fetch a newer one.
    has npm || missing="$missing nodejs npm"
    if [ "$1" = test ]; then
        has chromium || has chromium-browser || has google-chrome ||
            missing="$missing $(chromium_package)"
        has firefox-esr || has firefox || missing="$missing $(firefox_package)"
        need ffmpeg ffmpeg
        need etcd etcd-server
        need etcdctl etcd-client
        need python3 python3
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
    fi
}

# What bindgen looks for.
libclang_is_there() {
    for file in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so*; do
        [ -e "$file" ] && return 0
    done
    return 1
}

distribution() { (. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}") || true; }
chromium_package() { [ "$(distribution)" = ubuntu ] && echo chromium-browser || echo chromium; }
firefox_package() { [ "$(distribution)" = ubuntu ] && echo firefox || echo firefox-esr; }

install_missing() {
    [ -n "$missing" ] || return 0
    if ! has apt-get; then
        say "these are missing, and there is no apt-get to install them with:$missing"
        exit 1
    fi
    root=""
    if [ "$(id -u)" -ne 0 ]; then
        if has sudo && sudo -n true 2>/dev/null; then
            root="sudo"
        else
            say "these packages are missing; install them as root and try again:"
            say "  apt-get install$missing"
            exit 1
        fi
    fi
    say "installing$missing"
    $root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 \
        --no-install-recommends $missing >/dev/null
}

install_node() {
    node_is_new && return 0
    say "node is older than $NODE_MAJOR.$NODE_MINOR; putting a newer one into .tools"
    npm install --silent --no-fund --no-audit --prefix "$TOOLS" node@22 npm@10
    hash -r
    node_is_new || { say "no usable node even in .tools"; exit 1; }
}

# True where `cargo` and `rustc` are new enough for the workspace.
rust_is_new() {
    has cargo && has rustc || return 1
    least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    version=$(rustc --version 2>/dev/null | cut -d ' ' -f 2) || return 1
    [ "$(printf '%s\n' "$least" "$version" | sort -V | head -n 1)" = "$least" ]
}

# A toolchain of our own, by rustup's installer, which leaves the user's shell and home alone.
install_rust() {
    # A newer one of the system's own is not to be hidden by it.
    if (PATH="$SYSTEM" && rust_is_new); then
        rm -f "$TOOLS/rust"
        return 0
    fi
    rust_is_new && return 0
    say "no Rust that is new enough; putting a toolchain into .tools"
    host="$(uname -m)-unknown-linux-gnu"
    url="https://static.rust-lang.org/rustup/dist/$host/rustup-init"
    mkdir -p "$TOOLS/rustup"
    curl -fsS --retry 3 -o "$TOOLS/rustup-init" "$url"
    sum=$(curl -fsS --retry 3 "$url.sha256" | cut -d ' ' -f 1)
    printf '%s  %s\n' "$sum" "$TOOLS/rustup-init" | sha256sum --check --quiet
    chmod +x "$TOOLS/rustup-init"
    RUSTUP_HOME="$TOOLS/rustup" CARGO_HOME="$TOOLS/cargo" RUSTUP_INIT_SKIP_PATH_CHECK=yes \
        "$TOOLS/rustup-init" -y --quiet --no-modify-path --profile minimal \
        --default-toolchain stable --component rustfmt,clippy >/dev/null
    rm "$TOOLS/rustup-init"
    # The programs themselves: rustup's stand-ins would ask for its home in every shell.
    ln -sfn "rustup/toolchains/stable-$host" "$TOOLS/rust"
    hash -r
    rust_is_new || { say "no usable Rust even in .tools"; exit 1; }
}

install_deny() {
    cargo deny --version >/dev/null 2>&1 && return 0
    say "installing cargo-deny; on two cores this takes some minutes, once"
    # Run for seconds, so compiled for soonness rather than for speed.
    CARGO_PROFILE_DEV_DEBUG=none cargo install --debug --locked cargo-deny
}

python_environment() {
    [ ! -x loadtest/interop/python/setup.sh ] || loadtest/interop/python/setup.sh
}

what=${1:-build}
collect "$what"
install_missing
install_rust
install_node
case "$what" in
    lint) install_deny ;;
    test) python_environment ;;
esac
