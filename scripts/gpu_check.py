#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the GPU backend on a machine with an NVIDIA GPU, from a portable build of Meshplan.

usage: gpu_check.py [FOLDER] [--out FOLDER] [--minutes N] [--small]

FOLDER is what `cmake --preset gpu-portable && cmake --build --preset gpu-portable` made (by default
the folder of this script). Runs the doctor, the GPU tests, operators beside what the machine can do,
training beside PyTorch's where it is installed, and predictions beside measurements, and writes
report.txt, report.json and profiles.db. What did not run says why; without a GPU that is everything
but the doctor. Exit code 1 when a test failed. --small takes small models
and leaves the operators out: to try the script where the GPU is slow.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

# name: (model and options, batch, sequence, steps, PyTorch's variants)
TRAINING = {
    "gpt2": ("gpt2 --seq 1024", 32, 1024, 20, [["--compile"]]),
    "gpt2-xl": ("gpt2-xl --seq 1024", 8, 1024, 8, [["--compile"]]),
    "resnet50": ("resnet50", 256, 0, 20, [["--compile"], []]),
    "mlp": ("mlp", 256, 0, 300, [[]]),
}
# Measured for learning, and predicted without: strategies of the same models.
LEARNED = {"gpt2 --seq 1024 -b 32": "mbs=16", "mlp -b 1024": "mbs=256"}
UNSEEN = {
    "gpt2 --seq 1024 -b 32": ["mbs=32", "mbs=8", "mbs=4", "mbs=16,recompute=full",
                              "mbs=8,recompute=full", "mbs=32,recompute=selective"],
    "gpt2 --seq 512 -b 32": ["mbs=32", "mbs=16"],
    "mlp -b 1024": ["mbs=1024", "mbs=512", "mbs=128", "mbs=64"],
}
TWICE = "gpt --set layers=2,hidden=256,heads=4,vocab=512,seq=128 -b 8"
SMALL_GPT = "gpt --set layers=1,hidden=32,heads=2,vocab=64,seq=16"
# With --small.
SMALL = {
    "twice": f"{SMALL_GPT} -b 2",
    "training": {"mlp": ("mlp", 8, 0, 1, [[]])},
    "learned": {f"{SMALL_GPT} -b 2": "mbs=1"},
    "unseen": {f"{SMALL_GPT} -b 2": ["mbs=2", "mbs=1,recompute=full"]},
}


class Check:
    def __init__(self, folder, out, minutes, small):
        self.folder, self.out, self.small = folder, out, small
        self.models = SMALL if small else {
            "twice": TWICE, "training": TRAINING, "learned": LEARNED, "unseen": UNSEEN}
        self.end = time.monotonic() + 60 * minutes
        self.report, self.lines, self.failed = {}, [], False
        self.env = {**os.environ, "MESHPLAN_PROFILES": str(out / "profiles.db"),
                    "MESHPLAN_CUDA_LIBRARIES": ":".join(filter(None, [
                        os.environ.get("MESHPLAN_CUDA_LIBRARIES"), python_libraries()]))}

    def say(self, line):
        print(line, flush=True)
        self.lines.append(line)

    def left(self):
        return self.end - time.monotonic()

    def run(self, command, limit):
        """Output, or None with the reason said."""
        limit = min(limit, self.left())
        if limit < 5:
            self.say("  not run: out of time")
            return None
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                  timeout=limit, env=self.env)
        except subprocess.TimeoutExpired:
            self.say(f"  not finished within {limit:.0f} s")
            return None
        if done.returncode != 0:
            reason = (done.stderr or done.stdout).strip().splitlines()[-3:]
            self.say(f"  failed ({done.returncode}): " + " | ".join(reason))
        return done

    def meshplan(self, *words, limit=120):
        command = [self.folder / "bin/meshplan", *[w for a in words for w in str(a).split()]]
        return self.run(command, limit)

    def precision(self, model):
        return "--precision " + ("fp32" if model.startswith("mlp") else "bf16")

    def json_of(self, *words, limit=120):
        done = self.meshplan(*words, "--format json", limit=limit)
        return json.loads(done.stdout) if done and done.returncode == 0 else None


def importable(*modules):
    return all(importlib.util.find_spec(m) for m in modules)


def python_libraries():
    """The folder of the nvidia packages of this Python, if there is one."""
    for path in sys.path:
        folder = pathlib.Path(path) / "nvidia"
        if folder.is_dir():
            return str(folder)
    return ""


def doctor(check):
    check.say("== doctor")
    found = check.json_of("doctor")
    check.report["doctor"] = found
    for f in found["findings"] if found else []:
        check.say(f"  {f['subject']:<12} {f['health']:<8} {f['state']}")
    return any(re.fullmatch(r"GPU \d+", f["subject"]) for f in found["findings"]) if found else False


def tests(check):
    check.say("== tests")
    results = check.out / "tests.json"
    done = check.run([check.folder / "bin/gpu_tests", f"--gtest_output=json:{results}",
                      "--gtest_brief=1"], 180)
    if not done:
        check.failed = True
        return
    summary = json.loads(results.read_text()) if results.exists() else {}
    failures = [f"{s['name']}.{t['name']}" for s in summary.get("testsuites", [])
                for t in s["testsuite"] if t.get("failures")]
    skipped = sum(t.get("result") == "SKIPPED" for s in summary.get("testsuites", [])
                  for t in s["testsuite"])
    check.report["tests"] = {"run": summary.get("tests", 0), "failed": failures, "skipped": skipped}
    check.say(f"  {summary.get('tests', 0)} tests, {len(failures)} failed, {skipped} skipped")
    for name in failures[:40]:
        check.say(f"  FAILED {name}")
    check.failed = check.failed or bool(failures) or done.returncode != 0


def operators(check):
    check.say("== operators")
    if check.small:
        check.say("  left out: --small")
        return
    results = check.out / "operators.json"
    done = check.run([check.folder / "bin/gpu_bench", "--json", results], 90)
    if done and done.stdout:
        check.lines += done.stdout.splitlines()
        print(done.stdout)
    if results.exists():
        check.report["operators"] = json.loads(results.read_text())
        results.unlink()


def our_step(check, name):
    model, batch, _, steps, _ = check.models["training"][name]
    report = check.json_of("run", model, f"--backend cuda --precision bf16 -b {batch}",
                           f"--strategy mbs={batch} --steps {steps + 5} --no-profile", limit=100)
    return statistics.median(s["seconds"] for s in report["steps"][5:]) if report else None


def pytorch_step(check, name, options):
    _, batch, seq, steps, _ = check.models["training"][name]
    precision = "fp32" if name == "mlp" else "bf16"
    command = [sys.executable, check.folder / "train_step.py", name, "--device", "cuda",
               "--precision", precision, "--batch", batch, "--steps", steps, *options]
    done = check.run(command + (["--seq", seq] if seq else []), 120)
    return float(done.stdout) if done and done.returncode == 0 else None


def training(check):
    check.say("== training (median step; bf16, mlp against eager fp32)")
    try:
        import torch  # noqa: F401
        torch_version = torch.__version__
    except ImportError:
        torch_version = None
        check.say("  PyTorch is not installed: nothing to compare with")
    rows = []
    for name, (_, batch, seq, _, variants) in check.models["training"].items():
        ours = our_step(check, name)
        theirs = {}
        for options in variants if torch_version else []:
            seconds = pytorch_step(check, name, options)
            if seconds:
                theirs[" ".join(options) or "eager"] = seconds
        best = min(theirs.values()) if theirs else None
        rows.append({"model": name, "batch": batch, "seconds": ours, "pytorch": theirs,
                     "torch": torch_version})
        if not ours:
            check.say(f"  {name}: not measured")
            continue
        rate = batch * max(seq, 1) / ours
        line = f"  {name:<9} {1e3 * ours:9.2f} ms  {rate:12,.0f} {'tokens' if seq else 'samples'}/s"
        check.say(line + (f"  {best / ours:5.2f} x PyTorch ({1e3 * best:.2f} ms)" if best else ""))
    check.report["training"] = rows


def losses(check):
    check.say("== losses of GPT-2 124M beside PyTorch's, same weights and batch, bf16")
    if not importable("torch", "safetensors"):
        check.say("  PyTorch or safetensors is not installed: nothing to compare with")
        return
    done = check.run([sys.executable, check.folder / "loss_curve.py", check.folder / "bin/meshplan",
                      "--device", "cuda"], 120)
    if not done or not done.stdout.startswith("{"):
        return
    report = check.report["losses"] = json.loads(done.stdout)
    check.failed = check.failed or done.returncode != 0
    check.say(f"  {report['meshplan'][0]:.4f} to {report['meshplan'][-1]:.4f} in {len(report['meshplan'])} steps; "
              f"at most {report['largest_difference']:.4f} apart, PyTorch's bf16 and fp32 {report['bf16_noise']:.4f}")


def determinism(check):
    check.say("== two runs, the same bits")
    losses = []
    for _ in range(2):
        report = check.json_of("run", check.models["twice"], "--backend cuda --precision bf16",
                               "--steps 5 --no-profile", limit=60)
        losses.append([s["loss"] for s in report["steps"]] if report else None)
    same = losses[0] is not None and losses[0] == losses[1]
    check.report["deterministic"] = same
    check.say(f"  losses {'equal' if same else 'DIFFER'}: {losses[0]}")
    check.failed = check.failed or not same


def predicted_run(check, model, strategy):
    """A run beside its prediction, from a copy of the store: it teaches the others nothing."""
    copy = check.out / "unseen.db"
    shutil.copy(check.out / "profiles.db", copy)
    report = check.json_of("run", model, "--backend cuda", check.precision(model),
                           f"--steps {12 if check.small else 20} --profiles {copy} --strategy", strategy, limit=60)
    compared = report and check.json_of("compare last --profiles", copy)
    copy.unlink()
    if compared:  # of the steps that are repeated
        busy = compared["stages"][0]["busy"]["measured_seconds"]
        report["idle"] = max(0.0, 1 - busy / report["median_step_seconds"])
    return report


def prediction(check):
    check.say("== predictions beside measurements")
    for model, strategy in check.models["learned"].items():
        check.meshplan("measure", model, f"--backend cuda --budget {5 if check.small else 40}", check.precision(model),
                       "--strategy", strategy, limit=60)
    errors, rows = [], []
    for model, strategy in [(m, s) for m, all in check.models["unseen"].items() for s in all]:
        report = predicted_run(check, model, strategy)
        if not report:
            check.failed = True
            continue
        predicted = report["measured"]["predicted_step_seconds"]
        measured = report["median_step_seconds"]
        errors.append(predicted / measured - 1)
        rows.append({"model": model, "strategy": strategy, "predicted": predicted,
                     "measured": measured, "idle": report.get("idle"),
                     **{k: report["measured"].get(k) for k in (
                         "provenance", "planned_peak_bytes", "measured_peak_bytes",
                         "planned_device_bytes", "measured_device_bytes", "profiling_overhead")}})
        check.say(f"  {model:<24} {strategy:<24} {1e3 * predicted:9.2f} ms predicted "
                  f"{1e3 * measured:9.2f} ms measured {100 * errors[-1]:+6.1f} %")
    check.report["prediction"] = rows
    if errors:
        sizes = sorted(map(abs, errors))
        overhead = max(r["profiling_overhead"] for r in rows)
        idle = [r["idle"] for r in rows if r["idle"] is not None]
        memory = [r["planned_device_bytes"] / r["measured_device_bytes"] - 1 for r in rows
                  if r["measured_device_bytes"]]
        check.say(f"  median error {100 * statistics.median(sizes):.1f} %, worst "
                  f"{100 * sizes[-1]:.1f} %; steps that are recorded take at most "
                  f"{100 * overhead:.1f} % longer")
        if idle:
            check.say(f"  the GPU is idle for {100 * min(idle):.1f} to {100 * max(idle):.1f} % of a step")
        if memory:
            check.say(f"  planned memory of the device, with reserve: {100 * min(memory):+.1f} to "
                      f"{100 * max(memory):+.1f} % of what was in use")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=here)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("gpu-check"))
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if not (folder / "bin/meshplan").exists():
        sys.exit(f"error: {folder} is no portable build: it has no bin/meshplan\n"
                 "hint: cmake --preset gpu-portable && cmake --build --preset gpu-portable")
    arguments.out.mkdir(parents=True, exist_ok=True)
    check = Check(folder, arguments.out.resolve(), arguments.minutes, arguments.small)
    has_gpu = doctor(check)
    stages = [tests, determinism, operators, training, losses, prediction]
    for stage in stages if has_gpu else []:
        stage(check)
    if not has_gpu:
        check.say("no GPU: tests, operators, training and predictions were not measured")
        check.report["not_measured"] = [s.__name__ for s in stages]
    (check.out / "report.txt").write_text("\n".join(check.lines) + "\n")
    (check.out / "report.json").write_text(json.dumps(check.report, indent=2) + "\n")
    print(f"written: {check.out}/report.txt, report.json"
          + (", profiles.db" if (check.out / "profiles.db").exists() else ""))
    sys.exit(1 if check.failed else 0)


if __name__ == "__main__":
    main()
