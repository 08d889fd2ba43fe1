#!/usr/bin/env bash
# The first minute with Meshplan: demo.sh BUILD plans an ONNX graph and Llama-3-8B, writes a trace,
# and trains a small network on two ranks of this machine's processor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
out=$build/demo
mkdir -p "$out"

say() { printf '\n== %s\n' "$*"; }

run() {
  printf '\n$ meshplan %s\n' "$*"
  "$build/cli/meshplan" "$@"
}

say "1. How to train ResNet-50, an ONNX graph, on eight A100"
run plan examples/models/resnet50/resnet50.onnx --dim batch=1 --cluster 8xA100-SXM-80GB \
  --global-batch 2048 --top 3

say "2. How to train Llama-3-8B, from its config.json, on eight H100, and why not otherwise"
run plan examples/models/llama3-8b/config.json --cluster 8xH100-SXM --global-batch 64 --seq 8192 \
  --top 3 --out "$out/llama3-8b.json" --trace "$out/llama3-8b.pftrace"
run explain "$out/llama3-8b.json" --why-not dp=2,tp=4,zero=1

say "3. The same for a small network on two cores, and then its training: here, for real"
"$build/examples/make_digits" "$out/digits"
digits=idx:$out/digits/train-images-idx3-ubyte,$out/digits/train-labels-idx1-ubyte
train=(--data "$digits" --steps 200 --lr 0.02 --log-every 50)
printf '\nDrew 8000 images of digits to train with, in the format of MNIST.\n'
run plan mlp --cluster examples/clusters/two-cores.json --global-batch 128 --precision fp32 \
  --optimizer momentum --runtime native --top 3 --out "$out/mlp.json"
run run "$out/mlp.json" "${train[@]}"
printf '\nWith the layers split instead, the losses are the same but for rounding:\n'
run run mlp --ranks 2 --strategy pp=2 --global-batch 128 --optimizer momentum \
  "${train[@]}"

cat <<END

Next:
  $out/llama3-8b.pftrace shows every operator and collective of the
  planned step, one track per stream: drop the file on https://ui.perfetto.dev
  ./dev train mlp, ./dev train cnn and ./dev train gpt train longer, under three plans each
  $build/cli/meshplan run --help
END
