#!/usr/bin/env bash
# Makes web/dist, the page as a static folder. `bash web/build.sh`
#
# Wants Rust with the wasm32-unknown-unknown target, and node. wasm-bindgen is built in the version that Cargo.lock
# names and kept in ~/.cache/llava-mole, outside the clone. wasm-opt has no part in this: what it made of this program
# (built without LTO) was 13% smaller as it is, and 6% larger with brotli.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/llava-mole
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin

version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p}' Cargo.lock)
bindgen=$cache/tools/wasm-bindgen-$version/bin/wasm-bindgen
if ! [ -x "$bindgen" ]; then
  # Without optimisation: it builds sooner. Not --locked: its lock file names releases that not every registry has.
  env -u CARGO_TARGET_DIR cargo install --debug --version "$version" \
    --root "${bindgen%/bin/wasm-bindgen}" wasm-bindgen-cli
fi

# Every browser with WebGPU has SIMD, and those without compute on the CPU.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C target-feature=+simd128"
cargo build --locked --package mole-web --lib --profile web --target wasm32-unknown-unknown

made=$CARGO_TARGET_DIR/wasm-bindgen
dist=web/dist
rm -rf "$made" "$dist"
mkdir -p "$dist"
"$bindgen" --target web --no-typescript --remove-name-section --remove-producers-section --out-dir "$made" \
  "$CARGO_TARGET_DIR/wasm32-unknown-unknown/web/mole_web.wasm"
node web/pack.mjs "$made" "$dist"
