#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the fixtures of tests/backend/pytorch_test.cpp: what PyTorch computes with two small models.

usage: make_fixtures.py [FOLDER]        (default: the folder of this script)

Needs torch, safetensors and numpy. Everything is fp32 on the CPU, without dropout, from one seed.
Per model a folder with
  the model itself        gpt2/config.json, resnet/model.onnx (torch.onnx.export of the module)
  initial.safetensors     weights before the first step, under Meshplan's names
  batch.safetensors       inputs, the logits and the losses of ten steps on this batch
  gradients.safetensors   of the first step
  final.safetensors       weights after ten steps: AdamW for GPT-2, SGD with momentum for ResNet
"""
import json
import math
import pathlib
import sys
import warnings

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

STEPS = 10

GPT2 = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": 120,
    "n_positions": 16,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "activation_function": "gelu_new",
    "attn_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "resid_pdrop": 0.0,
}


class Conv1D(nn.Module):
    """GPT-2's linear layer: the weight is [in, out]."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / math.sqrt(inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = Conv1D(width, 3 * width), Conv1D(width, width)

    def forward(self, x):
        b, s, width = x.shape
        q, k, v = (t.view(b, s, self.heads, -1).transpose(1, 2) for t in self.c_attn(x).split(width, 2))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        future = torch.ones(s, s, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -math.inf).softmax(3)
        return self.c_proj((weights @ v).transpose(1, 2).reshape(b, s, width))


class MLP(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(width, 4 * width), Conv1D(4 * width, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Layer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), MLP(width)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    def __init__(self, c):
        super().__init__()
        width = c["n_embd"]
        self.wte, self.wpe = nn.Embedding(c["vocab_size"], width), nn.Embedding(c["n_positions"], width)
        self.h = nn.ModuleList(Layer(width, c["n_head"]) for _ in range(c["n_layer"]))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for layer in self.h:
            x = layer(x)
        return self.ln_f(x)


class LanguageModel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.transformer = Transformer(c)

    def forward(self, ids):
        return self.transformer(ids) @ self.transformer.wte.weight.T


class Block(nn.Module):
    def __init__(self, inputs, width, stride, bottleneck):
        super().__init__()
        outputs = 2 * width if bottleneck else width
        kernels, strides = ((1, 3, 1), (1, stride, 1)) if bottleneck else ((3, 3), (stride, 1))
        channels = [inputs] + [width] * (len(kernels) - 1) + [outputs]
        parts = []
        for i, kernel in enumerate(kernels):
            parts += [nn.Conv2d(channels[i], channels[i + 1], kernel, strides[i], kernel // 2, bias=False)]
            parts += [nn.BatchNorm2d(channels[i + 1]), nn.ReLU()]
        self.residual = nn.Sequential(*parts[:-1])
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return torch.relu(self.residual(x) + self.shortcut(x))


class ResNet(nn.Module):
    """Basic and bottleneck blocks with and without a shortcut of their own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(
            Block(8, 8, 1, False), Block(8, 16, 2, False), Block(16, 8, 1, True), Block(16, 16, 2, True))
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


def spread(model):
    """Scales, shifts and biases that are not all alike, so that none can be left out unnoticed."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1:
                p.copy_(0.1 * torch.randn_like(p) + (1 if "weight" in name else 0))
            if "wte" in name or "wpe" in name:
                p.copy_(0.2 * torch.randn_like(p))


def by_head(name, tensor, heads):
    """Meshplan keeps a head's query, key and value together; GPT-2 all queries, all keys, all values."""
    if "c_attn" not in name:
        return tensor
    parts = tensor.unflatten(-1, (3, heads, -1))
    return parts.transpose(-3, -2).flatten(-3)


def copies(tensors, heads):
    return {n: by_head(n, t.detach(), heads).clone().contiguous() for n, t in tensors}


def train(model, inputs, labels, optimizer, folder, heads=1):
    batch = {**inputs, "labels": labels}
    save_file(copies(model.named_parameters(), heads), folder / "initial.safetensors")
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = model(*inputs.values())
        loss = F.cross_entropy(logits.flatten(0, -2), labels.flatten())
        loss.backward()
        if step == 0:
            batch["logits"] = logits.detach().clone()
            gradients = [(n, p.grad) for n, p in model.named_parameters()]
            save_file(copies(gradients, heads), folder / "gradients.safetensors")
        losses.append(loss.detach())
        optimizer.step()
    batch["losses"] = torch.stack(losses)
    save_file(batch, folder / "batch.safetensors")
    save_file(copies(model.named_parameters(), heads), folder / "final.safetensors")


def make_gpt2(folder):
    (folder / "config.json").write_text(json.dumps(GPT2, indent=2) + "\n")
    model = LanguageModel(GPT2)
    spread(model)
    shape = (4, GPT2["n_positions"])
    ids, labels = (torch.randint(GPT2["vocab_size"], shape) for _ in range(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    train(model, {"input_ids": ids}, labels, optimizer, folder, GPT2["n_head"])


def make_resnet(folder):
    model = ResNet()
    spread(model)
    images, labels = torch.randn(8, 3, 32, 32), torch.randint(10, (8,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (images,), str(folder / "model.onnx"), dynamo=False, opset_version=17,
                          training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False,
                          input_names=["images"], output_names=["logits"],
                          dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}})
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    train(model, {"images": images}, labels, optimizer, folder)


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, make in (("gpt2", make_gpt2), ("resnet", make_resnet)):
        torch.manual_seed(1)
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        make(folder)
        print(name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
