#!/usr/bin/env bash
# Puts a private Rust toolchain for one WASI target together from signed Debian packages, for machines on which
# `rustup target add` has no server to ask. Needs no root, and changes nothing outside FOLDER.
#
#   private-toolchain.sh FOLDER TARGET
#
# What it is made of: rustc and its libraries from one Debian rustc package, the standard library built for TARGET from
# that package's own sources, wasi-libc from Debian, and the linkers of the rustup toolchain in use.
# FOLDER/.done marks a finished one; FOLDER/bin/rustc is the compiler.
set -euo pipefail

FOLDER=$1
TARGET=$2
HOST=x86_64-unknown-linux-gnu
RUST_SUITE=bookworm-security               # rustc-web and rust-web-src, always of one version
LIBC_SUITES="trixie-backports sid"         # wasi-libc is architecture-independent; the first that links is used

say() { echo "    $*" >&2; }
fail() { echo "    cannot make a private toolchain: $*" >&2; exit 1; }

command -v apt-get >/dev/null || fail "apt-get is not here"
[ "$(rustc -vV | sed -n 's/^host: //p')" = "$HOST" ] || fail "this machine is not $HOST"
IN_USE=$(rustc --print sysroot)
[ -x "$IN_USE/lib/rustlib/$HOST/bin/wasm-component-ld" ] || fail "the rustup toolchain in use has no wasm-component-ld"

rm -rf "$FOLDER"
mkdir -p "$FOLDER"/{bin,lib,libexec}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

# --- packages, by an apt state of our own, from the mirrors that the system's apt is set up with
mkdir -p "$WORK"/{none,lists,cache/archives}/partial "$WORK/packages"
apt-get -oDir::State::Lists="$WORK/none" --print-uris update |
  sed -n "s|^'\(.*\)/dists/\([^/]*\)/InRelease'.*|\2 \1|p" > "$WORK/mirrors"
mirror() { awk -v suite="$1" '$1 == suite { print $2; exit }' "$WORK/mirrors"; }
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
MAIN=$(mirror "$(. /etc/os-release; echo "$VERSION_CODENAME")")
SECURITY=$(mirror "$RUST_SUITE")
{
  echo "deb [signed-by=$KEYS] ${SECURITY:-$MAIN} $RUST_SUITE main"
  for suite in $LIBC_SUITES; do echo "deb [signed-by=$KEYS] $MAIN $suite main"; done
} > "$WORK/sources.list"
APT=(-qq -oDir::Etc::sourcelist="$WORK/sources.list" -oDir::Etc::sourceparts=- -oDir::State::Lists="$WORK/lists"
     -oDir::Cache="$WORK/cache" -oAcquire::Languages=none -oAPT::Sandbox::User="$(id -un)")
apt-get "${APT[@]}" update || fail "the package lists cannot be read"
field() { apt-cache "${APT[@]}" show --no-all-versions "$1" | sed -n "s/^$2: //p"; }
VERSION=$(field rust-web-src Version)
STD=$(field "libstd-rust-web-dev=$VERSION" Depends | grep -oE 'libstd-rust-web-[0-9.]+' | head -1)
LLVM=$(field "$STD=$VERSION" Depends | grep -oE 'libllvm[0-9]+' | head -1)
LLVM_VERSION=$(apt-cache "${APT[@]}" madison "$LLVM" | awk -v suite="$RUST_SUITE/main" '$0 ~ suite { print $3; exit }')
say "downloading Debian's rustc $VERSION"
(cd "$WORK/packages" && apt-get "${APT[@]}" download "rustc-web=$VERSION" "libstd-rust-web-dev=$VERSION" \
  "rust-web-src=$VERSION" "$STD=$VERSION" "$LLVM=$LLVM_VERSION") || fail "a package cannot be downloaded"

# --- the compiler
for package in rustc-web libstd-rust-web-dev "$STD" "$LLVM"; do
  dpkg-deb -x "$WORK"/packages/"$package"_*.deb "$WORK/unpacked"
done
mv "$WORK"/unpacked/usr/lib/rustlib "$FOLDER/lib/"
cp -a "$WORK"/unpacked/usr/lib/x86_64-linux-gnu/{librustc_driver-*.so,libLLVM.so.*} "$FOLDER/lib/"
mv "$WORK"/unpacked/usr/bin/rustc "$FOLDER/libexec/"
printf '#!/bin/sh\nLD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "%s" "$@"\n' \
  "$FOLDER/lib" "$FOLDER/libexec/rustc" > "$FOLDER/bin/rustc"
chmod +x "$FOLDER/bin/rustc"
if ldd "$FOLDER"/lib/libLLVM.so.* | grep 'not found'; then fail "the libraries above are missing (apt-get install $LLVM)"; fi
# Linked, not copied: rust-lld finds its own libLLVM by a path relative to where it really is.
ln -sfn "$IN_USE/lib/rustlib/$HOST/bin" "$FOLDER/lib/rustlib/$HOST/bin"

# --- the standard library, once
say "building the standard library for $TARGET"
mkdir -p "$FOLDER/lib/rustlib/src/rust"
dpkg-deb --fsys-tarfile "$WORK"/packages/rust-web-src_*.deb |
  tar -x -C "$WORK" --wildcards --exclude='*/library/vendor' './usr/src/rustc-*/library'
mv "$WORK"/usr/src/rustc-*/library "$FOLDER/lib/rustlib/src/rust/"
mkdir -p "$WORK/std/src"
echo '#![no_std]' > "$WORK/std/src/lib.rs"
printf '[package]\nname = "std-for-guests"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' > "$WORK/std/Cargo.toml"
(cd "$WORK/std" && RUSTC="$FOLDER/bin/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Cembed-bitcode=yes" CARGO_TARGET_DIR="$WORK/built" \
  cargo build -q --release --target "$TARGET" -Zbuild-std=std,panic_abort,test)
LIBRARIES="$FOLDER/lib/rustlib/$TARGET/lib"
mkdir -p "$LIBRARIES/self-contained"
cp "$WORK/built/$TARGET/release/deps/"*.rlib "$LIBRARIES/"
rm -f "$LIBRARIES"/libstd_for_guests-*
rm -rf "$FOLDER/lib/rustlib/src"

# --- the C library, tried with a link
echo 'fn main() { println!("{:?} {:?}", std::time::SystemTime::now(), std::fs::read_dir("/").map(|d| d.count())); }' \
  > "$WORK/probe.rs"
for suite in $LIBC_SUITES; do
  rm -rf "$WORK/libc"
  mkdir -p "$WORK/libc/unpacked"
  (cd "$WORK/libc" && apt-get "${APT[@]}" -t "$suite" download wasi-libc && dpkg-deb -x wasi-libc_*.deb unpacked) || continue
  cp "$WORK/libc/unpacked/usr/lib/$TARGET/"{crt1-command.o,crt1-reactor.o,libc.a} "$LIBRARIES/self-contained/"
  if "$FOLDER/bin/rustc" --edition 2021 --target "$TARGET" -O -o "$WORK/probe.wasm" "$WORK/probe.rs"; then
    say "ready: $("$FOLDER/bin/rustc" -V), wasi-libc $(dpkg-deb -f "$WORK"/libc/wasi-libc_*.deb Version)"
    touch "$FOLDER/.done"
    exit 0
  fi
done
fail "no wasi-libc links"
