#!/usr/bin/env bash
# The first minute with Meshplan: demo.sh BUILD plans an ONNX graph and Llama-3-8B, writes a trace,
# trains a small network on two ranks of this machine's processor, and learns from what that took.
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

say "3. A small network, planned for this machine's processor and trained on it, for real"
"$build/examples/make_digits" "$out/digits"
digits=idx:$out/digits/train-images-idx3-ubyte,$out/digits/train-labels-idx1-ubyte
# A store of measurements of its own, empty at first.
rm -f "$out/profiles.db"
export MESHPLAN_PROFILES=$out/profiles.db
mlp=(mlp --global-batch 512 --optimizer momentum)
train=(--ranks 2 --data "$digits" --steps 60 --lr 0.05 --log-every 20)
printf '\nDrew 8000 images of digits to train with, in the format of MNIST.\n'
printf 'Nothing is measured yet but what this processor can do at best:\n'
run run "${mlp[@]}" --strategy pp=2,mbs=64 "${train[@]}"

say "4. What its plans need is measured, and the same plan is predicted again"
run measure "${mlp[@]}" --ranks 2 --budget 20
run plan "${mlp[@]}" --cluster local:2 --precision fp32 --top 3 --out "$out/mlp.json"
printf '\nThe losses are the same under another plan but for rounding; the prediction is a better one:\n'
run run "$out/mlp.json" "${train[@]:2}"
run run "${mlp[@]}" --strategy pp=2,mbs=64 "${train[@]}"
run compare last --top 5 --trace "$out/compared.pftrace"

cat <<END

Next:
  $out/llama3-8b.pftrace shows every operator and collective of the
  planned step, one track per stream: drop the file on https://ui.perfetto.dev
  $out/compared.pftrace has the step as predicted and as measured
  ./dev train mlp, ./dev train cnn and ./dev train gpt train longer, under three plans each
  $build/cli/meshplan run --help
END
