#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times a training step of Meshplan beside PyTorch's, on the CPU, with the same threads.

usage: compare_steps.py [MODEL...] [--threads N] [--pairs N] [--meshplan FILE]

Runs both programs by turns, so that both meet the same machine, and prints per model the median
step of each and their ratio (below 1: Meshplan is faster). The models and what PyTorch does are
in train_step.py; fp32, AdamW, synthetic data.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
STEPS = {"mlp": 200, "block": 30, "resnet50": 6, "gpt2": 6}
MODELS = {
    "mlp": ["mlp", "-b", "256"],
    "block": [str(HERE / "block/config.json"), "--seq", "128", "-b", "8"],
    "resnet50": ["resnet50", "-b", "8"],
    "gpt2": ["gpt2", "--seq", "64", "-b", "4"],
}


def meshplan_step(binary, name, threads):
    command = [binary, "run", *MODELS[name], "--threads", str(threads), "--format", "json",
               "--precision", "fp32", "--optimizer", "adamw", "--steps", str(STEPS[name] + 2)]
    if name == "resnet50":
        command += ["--strategy", "mbs=8"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return statistics.median(step["seconds"] for step in report["steps"][2:])


def pytorch_step(name, threads):
    command = [sys.executable, str(HERE / "train_step.py"), name, "--threads", str(threads),
               "--steps", str(STEPS[name])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--meshplan", default=str(HERE.parents[2] / "build/release/cli/meshplan"))
    arguments = parser.parse_args()
    for name in arguments.models:
        if name not in MODELS:
            parser.error(f"unknown model {name}: choose among {', '.join(MODELS)}")
    print("model      Meshplan [ms]  PyTorch [ms]  ratio  (median of pairs)")
    for name in arguments.models:
        pairs = [(meshplan_step(arguments.meshplan, name, arguments.threads),
                  pytorch_step(name, arguments.threads)) for _ in range(arguments.pairs)]
        ours, theirs = (1000 * statistics.median(column) for column in zip(*pairs))
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{name:<10} {ours:13.2f} {theirs:13.2f} {ratio:6.2f}", flush=True)


if __name__ == "__main__":
    main()
