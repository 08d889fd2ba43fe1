#!/usr/bin/env bash
# Trains a small network on this machine's processor: with the batch split over ranks, with the
# layers split, and with both. The losses are the same but for rounding, which AdamW in fp32 enlarges
# over hundreds of steps.
#
#   examples/train.sh mlp [FOLDER]  the perceptron 784-1024-512-10 on images of digits
#   examples/train.sh cnn [FOLDER]  two convolutions and two linear layers on the same images
#   examples/train.sh gpt [FILE]    a GPT of 1.8 million parameters on the bytes of a text
#
# FOLDER holds the four files of MNIST, unpacked; without it, similar digits are drawn. The text is
# the GNU General Public License if no FILE is named. STEPS=N trains for N steps. `./dev train`
# builds first and takes the same arguments.
set -euo pipefail
data=${2:+$(realpath -- "$2")}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD:-build/release}
out=$build/train

run() {
  printf '\n$ meshplan run %s\n' "$*"
  "$build/cli/meshplan" run "$@"
}

train_on_digits() { # MODEL
  local weights=$out/$1.safetensors
  if [[ -z $data ]]; then
    data=$out/digits
    echo "Drawing 8000 images of digits to train with and 1024 to test with into $data"
    "$build/examples/make_digits" "$data" 8000 1024
  fi
  local images=idx:$data/train-images-idx3-ubyte,$data/train-labels-idx1-ubyte
  local unseen=idx:$data/t10k-images-idx3-ubyte,$data/t10k-labels-idx1-ubyte
  local how=(--global-batch 64 --data "$images" --steps "${STEPS:-400}" --log-every 100)

  run "$1" --ranks 2 --strategy dp=2 "${how[@]}"
  run "$1" --ranks 2 --strategy pp=2 "${how[@]}"
  run "$1" --ranks 4 --strategy dp=2,pp=2 "${how[@]}" --checkpoint "$weights"

  printf '\nThe loss on 1024 images that were not trained on, by a step that changes nothing:\n'
  run "$1" --weights "$weights" --data "$unseen" --global-batch 1024 --steps 1 --optimizer sgd --lr 0
}

train_on_text() {
  local gpt=examples/models/gpt-bytes text=${data:-/usr/share/common-licenses/GPL-3}
  local how=(--global-batch 16 --lr 0.002 --data "text:$text" --steps "${STEPS:-150}" --log-every 50)

  run "$gpt" --ranks 2 --strategy dp=2 "${how[@]}"
  run "$gpt" --ranks 2 --strategy pp=2 "${how[@]}"
  run "$gpt" --ranks 4 --strategy dp=2,tp=2 "${how[@]}" --checkpoint "$out/gpt.safetensors"
}

mkdir -p "$out"
case ${1:-} in
  mlp | cnn) train_on_digits "$1" ;;
  gpt) train_on_text ;;
  *)
    echo "usage: examples/train.sh mlp [FOLDER] | cnn [FOLDER] | gpt [FILE]" >&2
    exit 2
    ;;
esac
