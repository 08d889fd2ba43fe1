#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains GPT-2 in PyTorch and with Meshplan from the same weights on the same batch, and compares losses.

usage: loss_curve.py MESHPLAN [--device cuda] [--steps N] [--batch N] [--small]

GPT-2 of 124 million parameters at sequence 1024 (--small: of 30 thousand, sequence 16), bf16 (autocast in
PyTorch), AdamW. Prints JSON: the losses of both, of PyTorch in fp32, and the largest differences. Exit code 1
when Meshplan is further from PyTorch's bf16 than twice what that is from fp32, and than 0.2 % of the loss.
Needs torch and safetensors, and make_fixtures.py beside it or in tests/backend/pytorch.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parents[1] / "backend/pytorch")]
from make_fixtures import GPT2, LanguageModel, copies  # noqa: E402

GPT2_124M = {**GPT2, "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
RATE = 3e-4


def initialise(model):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.normal_(0, 0.02)
            else:
                p.fill_(1 if "ln" in name and "weight" in name else 0)


def pytorch_losses(config, state, ids, labels, steps, bf16):
    model = LanguageModel(config)
    model.load_state_dict(state)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=bf16):
            logits = model(ids)
        loss = F.cross_entropy(logits.float().flatten(0, -2), labels.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def meshplan_losses(program, folder, sequence, batch, steps, device):
    backend = ["--backend", "cuda"] if device == "cuda" else []
    done = subprocess.run(
        [program, "run", folder / "config.json", "--seq", str(sequence), "-b", str(batch), "--precision", "bf16",
         "--weights", folder / "initial.safetensors", "--data", f"tokens:{folder / 'tokens.bin'}",
         "--steps", str(steps), "--lr", str(RATE), "--weight-decay", "0.01", "--no-profile", "--format", "json",
         *backend], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return [s["loss"] for s in json.loads(done.stdout)["steps"]]


def largest(a, b):
    return max(abs(x - y) for x, y in zip(a, b))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("meshplan")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    config = GPT2 if arguments.small else GPT2_124M
    sequence, batch = config["n_positions"], arguments.batch
    torch.manual_seed(1)
    torch.set_default_device(arguments.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    model = LanguageModel(config)
    initialise(model)
    state = {n: t.clone() for n, t in model.state_dict().items()}
    tokens = torch.randint(config["vocab_size"], (batch * sequence + 1,))
    ids, labels = tokens[:-1].view(batch, sequence), tokens[1:].view(batch, sequence)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "config.json").write_text(json.dumps(config))
        tensors = copies(model.named_parameters(), config["n_head"])
        save_file({n: t.cpu() for n, t in tensors.items()}, folder / "initial.safetensors", {"format": "meshplan"})
        tokens.cpu().numpy().astype(numpy.uint16).tofile(folder / "tokens.bin")
        ours = meshplan_losses(arguments.meshplan, folder, sequence, batch, arguments.steps, arguments.device)
    bf16, fp32 = (pytorch_losses(config, state, ids, labels, arguments.steps, b) for b in (True, False))
    apart, noise = largest(ours, bf16), largest(bf16, fp32)
    print(json.dumps({"meshplan": ours, "pytorch": bf16, "pytorch_fp32": fp32, "largest_difference": apart,
                      "bf16_noise": noise}))
    sys.exit(apart > max(2 * noise, 2e-3 * bf16[0]))


if __name__ == "__main__":
    main()
