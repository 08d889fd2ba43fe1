#!/usr/bin/env bash
# The first minute with Meshplan: demo.sh BINARY plans an ONNX graph and Llama-3-8B and writes a trace.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
meshplan=$1
out=build/demo
mkdir -p "$out"

run() {
  printf '\n$ meshplan'
  printf ' %q' "$@"
  printf '\n'
  "$meshplan" "$@"
}

run plan examples/models/resnet50/resnet50.onnx --dim batch=1 --cluster 8xA100-SXM-80GB \
  --global-batch 2048 --top 3
run plan examples/models/llama3-8b/config.json --cluster 8xH100-SXM --global-batch 64 --seq 8192 \
  --top 3 --out "$out/llama3-8b.json" --trace "$out/llama3-8b.pftrace"
run explain "$out/llama3-8b.json" --why-not dp=2,tp=4,zero=1

cat <<END

$out/llama3-8b.pftrace shows every operator and collective of the planned step, one track per
stream: open https://ui.perfetto.dev in a browser and drop the file on the page.
END
