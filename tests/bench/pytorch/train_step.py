#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times PyTorch's training step for the models that `meshplan run` is compared with.

usage: train_step.py MODEL [--threads N] [--steps N] [--batch N] [--seq N]
                     [--device cuda] [--precision bf16] [--compile]
MODEL: mlp (784-1024-512-10, batch 256), block (one GPT-2 layer of 8 x 128 x 512 with 8 heads and a
vocabulary of 512), resnet50 (batch 8), gpt2 (124 M, batch 4 x 64), gpt2-xl (1558 M). By default
eager, fp32, on the CPU; bf16 is autocast with fp32 weights; images are channels-last on a GPU.
AdamW, fused. Prints the median step in seconds.
"""
import argparse
import contextlib
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def mlp(batch, seq):
    model = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU(), nn.Linear(512, 10))
    return model, torch.randn(batch or 256, 784), torch.randint(10, (batch or 256,))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, s, e = x.shape
        q, k, v = (t.view(b, s, self.heads, -1).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(e, dim=2))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(b, s, e))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, vocab=50257, positions=1024, width=768, layers=12, heads=12):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for b in self.blocks:
            x = b(x)
        return self.norm(x) @ self.wte.weight.T


def language_model(model, batch, seq, vocab):
    return model, torch.randint(vocab, (batch, seq)), torch.randint(vocab, (batch, seq))


def block(batch, seq):
    model = Gpt2(vocab=512, positions=128, width=512, layers=1, heads=8)
    return language_model(model, batch or 8, seq or 128, 512)


def gpt2(batch, seq):
    return language_model(Gpt2(), batch or 4, seq or 64, 50257)


def gpt2_xl(batch, seq):
    return language_model(Gpt2(width=1600, layers=48, heads=25), batch or 4, seq or 64, 50257)


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.a, self.na = nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.b, self.nb = nn.Conv2d(planes, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.c, self.nc = nn.Conv2d(planes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.down = None
        if stride != 1 or inputs != 4 * planes:
            self.down = nn.Sequential(nn.Conv2d(inputs, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = F.relu(self.na(self.a(x)))
        y = F.relu(self.nb(self.b(y)))
        return F.relu(self.nc(self.c(y)) + (x if self.down is None else self.down(x)))


def resnet50(batch, seq):
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for planes, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(blocks):
            layers.append(Bottleneck(inputs, planes, stride if i == 0 else 1))
            inputs = 4 * planes
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))
    return model, torch.randn(batch or 8, 3, 224, 224), torch.randint(1000, (batch or 8,))


MODELS = {"mlp": mlp, "block": block, "resnet50": resnet50, "gpt2": gpt2, "gpt2-xl": gpt2_xl}


def timed_steps(arguments, step):
    """Seconds of each step, without the first ones, which warm up and compile."""
    warm_up = 2 if arguments.device == "cpu" else 10
    times = []
    for _ in range(arguments.steps + warm_up):
        begin = time.perf_counter()
        step()
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return times[warm_up:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--seq", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    model, x, y = MODELS[arguments.model](arguments.batch, arguments.seq)
    model, x, y = (thing.to(arguments.device) for thing in (model, x, y))
    if arguments.device == "cuda" and x.dim() == 4:
        model, x = (thing.to(memory_format=torch.channels_last) for thing in (model, x))
    forward = torch.compile(model) if arguments.compile else model
    cast = (torch.autocast(arguments.device, torch.bfloat16) if arguments.precision == "bf16"
            else contextlib.nullcontext())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with cast:
            logits = forward(x)
            loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1))
        loss.backward()
        optimizer.step()

    print(f"{statistics.median(timed_steps(arguments, step)):.6f}")


if __name__ == "__main__":
    main()
