#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How well steps on this machine's processor are predicted, before and after learning.

Measures what plans of three models need (`meshplan measure`), predicts other plans on 1 to 4 ranks,
runs these, and compares: plans that were run to learn from do not count. Measuring and running
take turns in several rounds, one plan after the other, so that a disturbance of the machine does
not hit all runs of one plan; the median over the rounds counts.
"""
import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

GPT = "gpt --set layers=4,hidden=256,heads=8,vocab=512,ffn=1024,seq=64"
# model: (arguments, global batch, {ranks: strategies})
MODELS = {
    "gpt": (GPT, 16, {
        1: ["mbs=4", "mbs=1", "mbs=8,recompute=full"],
        2: ["dp=2,mbs=4", "dp=2,mbs=8,zero=1", "dp=2,mbs=4,zero=3", "dp=2,mbs=4,recompute=full",
            "dp=2,mbs=1", "dp=1,tp=2,mbs=8", "dp=1,tp=2,mbs=4,sp=on", "dp=1,tp=2,mbs=2",
            "dp=1,pp=2,mbs=1", "dp=1,pp=2,mbs=2", "dp=1,pp=2,mbs=4,schedule=gpipe",
            "dp=1,pp=2,vpp=2,mbs=4,schedule=interleaved", "dp=1,pp=2,mbs=8,recompute=full"],
        4: ["dp=4,mbs=2", "dp=2,tp=2,mbs=8", "dp=2,pp=2,mbs=2", "dp=1,tp=2,pp=2,mbs=4",
            "dp=4,mbs=4,zero=2", "dp=1,pp=4,mbs=2", "dp=1,pp=4,mbs=8,recompute=full"],
    }),
    "mlp": ("mlp", 1024, {
        1: ["mbs=256", "mbs=16", "mbs=512,recompute=full"],
        2: ["dp=2,mbs=256", "dp=2,mbs=512,zero=1", "dp=2,mbs=256,zero=3", "dp=2,mbs=16",
            "dp=1,tp=2,mbs=512", "dp=1,tp=2,mbs=64", "dp=1,pp=2,mbs=32", "dp=1,pp=2,mbs=128",
            "dp=1,pp=2,mbs=256,schedule=gpipe", "dp=1,pp=2,mbs=512"],
        4: ["dp=4,mbs=128", "dp=2,tp=2,mbs=256", "dp=2,pp=2,mbs=128", "dp=4,mbs=256,zero=1",
            "dp=4,mbs=32"],
    }),
    "cnn": ("cnn", 1024, {
        1: ["mbs=256", "mbs=512,recompute=full"],
        2: ["dp=2,mbs=256", "dp=2,mbs=512,zero=1", "dp=2,mbs=128", "dp=2,mbs=256,recompute=full",
            "dp=1,pp=2,mbs=128", "dp=1,pp=2,mbs=256,schedule=gpipe", "dp=1,pp=2,mbs=512",
            "dp=1,tp=2,mbs=512"],
        4: ["dp=4,mbs=128", "dp=2,pp=2,mbs=128", "dp=4,mbs=256,zero=1", "dp=2,pp=2,mbs=512"],
    }),
}
QUICK = {"mlp": {2: ["dp=2,mbs=256", "dp=1,pp=2,mbs=256", "dp=2,mbs=512,zero=1", "dp=2,mbs=64"]}}


class Meshplan:
    def __init__(self, binary):
        self.binary = binary

    def __call__(self, *arguments):
        words = [w for a in arguments for w in str(a).split()]
        done = subprocess.run([self.binary, *words, "--format", "json"], capture_output=True,
                              text=True, env={**os.environ, "MESHPLAN_PROFILES": "none"})
        if done.returncode != 0:
            sys.exit(f"error: meshplan {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout)


def kendall(pairs):
    """tau-b of (predicted, measured)."""
    score = ties_p = ties_m = total = 0
    for (p, m), (q, n) in itertools.combinations(pairs, 2):
        total += 1
        score += (p > q) * (m > n) + (p < q) * (m < n) - (p > q) * (m < n) - (p < q) * (m > n)
        ties_p += p == q
        ties_m += m == n
    return score / math.sqrt((total - ties_p) * (total - ties_m)) if total else 1.0


def ordered_tau(plans, kind):
    """tau over the pairs of plans of one model that the rounds themselves tell apart."""
    pairs = [(a, b) for a, b in itertools.combinations(plans, 2)
             if a.model == b.model and abs(a.measured - b.measured) > a.scatter + b.scatter]
    right = sum((a.predicted[kind] > b.predicted[kind]) == (a.measured > b.measured)
                for a, b in pairs)
    return 2 * right / len(pairs) - 1 if pairs else 1.0


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


class Plan:
    def __init__(self, model, ranks, strategy):
        self.model, self.ranks, self.strategy = model, ranks, strategy
        self.rounds, self.predicted = [], {}

    @property
    def measured(self):
        return statistics.median(self.rounds)

    @property
    def scatter(self):
        """Half the distance between the slowest and the fastest round."""
        return (max(self.rounds) - min(self.rounds)) / 2

    def error(self, kind):
        return abs(self.predicted[kind] / self.measured - 1)


class Accuracy:
    def __init__(self, meshplan, folder, rounds, steps, models):
        self.meshplan, self.folder, self.rounds = meshplan, folder, rounds
        self.steps, self.models = steps, models
        self.learned = os.path.join(folder, "learned.db")
        self.bare = os.path.join(folder, "bare.db")  # the device alone, no operators
        self.plans, self.taught, self.picks = [], set(), {}

    def arguments(self, model):
        text, batch, _ = MODELS[model]
        return f"{text} -b {batch}"

    def learn(self, again):
        for model, ranks in self.models.items():
            counts = ",".join(str(r) for r in ranks)
            done = self.meshplan("measure", self.arguments(model), f"--ranks {counts}",
                                 f"--profiles {self.learned} --budget 600",
                                 "--again" if again else "")
            self.taught |= {(model, p["ranks"], p["strategy"]) for p in done["plans"]}
            note(f"{model}: {done['operator_rows']} operator rows, recording took at most "
                 f"{100 * done['recording_overhead']:.2f} % of a step")

    def choose(self):
        """The plans to predict, and what the search picks: each in a file, so that the plan that is
        run is the one that is predicted."""
        for model, by_ranks in self.models.items():
            for ranks, strategies in by_ranks.items():
                found = {}
                for strategy in strategies:
                    plan = self.make("simulate", Plan(model, ranks, strategy),
                                     f"--strategy {strategy}")
                    found.setdefault(plan.canonical, plan)
                pick = self.make("plan", Plan(model, ranks, "what the search picks"), "--top 1")
                self.picks[model, ranks] = found.setdefault(pick.canonical, pick)
                self.plans += found.values()
        for plan in self.plans:
            plan.unseen = (plan.model, plan.ranks, plan.canonical) not in self.taught

    def make(self, command, plan, options):
        plan.file = os.path.join(self.folder, f"{plan.model}-{plan.ranks}-{plan.strategy}.json"
                                 .replace(" ", "-"))
        made = self.meshplan(command, self.arguments(plan.model), "--precision fp32",
                             f"--cluster local:{plan.ranks} --profiles {self.learned}", options,
                             f"--out {plan.file}")
        plan.canonical = made["plans"][0]["strategy"]
        return plan

    def predict(self):
        for plan, kind in itertools.product(self.plans, ["catalogue", "machine", "learned"]):
            cluster = f"{plan.ranks}xCPU" if kind == "catalogue" else f"local:{plan.ranks}"
            store = {"catalogue": "none", "machine": self.bare, "learned": self.learned}[kind]
            made = self.meshplan("simulate", MODELS[plan.model][0],
                                 f"--cluster {cluster} --profiles {store} --plan {plan.file}")
            plan.predicted[kind] = made["plans"][0]["step_time_seconds"]

    def run(self, number):
        for i, plan in enumerate(self.plans):
            note(f"round {number + 1} of {self.rounds}: plan {i + 1} of {len(self.plans)}",
                 transient=True)
            done = self.meshplan("run", plan.file, f"--steps {self.steps}")
            seconds = [s["seconds"] for s in done["steps"]][self.steps // 5:]
            plan.rounds.append(statistics.median(seconds))

    def compare(self):
        """Learning and running take turns: a machine's speed drifts."""
        for number in range(self.rounds):
            self.learn(number > 0)
            if number == 0:
                self.choose()
            self.run(number)
        self.predict()

    def report(self):
        for p in self.plans:
            print(f"{p.model:4} {p.ranks} {p.strategy:42} {1e3 * p.measured:8.2f} ms +-"
                  f"{100 * p.scatter / p.measured:4.1f} %  predicted "
                  f"{1e3 * p.predicted['learned']:8.2f} ms "
                  f"{100 * (p.predicted['learned'] / p.measured - 1):+6.1f} %   before "
                  f"{100 * (p.predicted['machine'] / p.measured - 1):+6.1f} %, catalogue "
                  f"{100 * (p.predicted['catalogue'] / p.measured - 1):+6.1f} %"
                  f"{'' if p.unseen else '  (learned from)'}")
        figures = {}
        unseen = [p for p in self.plans if p.unseen]
        for kind in ["catalogue", "machine", "learned"]:
            errors = [p.error(kind) for p in unseen]
            taus = [kendall([(p.predicted[kind], p.measured) for p in unseen if p.model == m])
                    for m in self.models]
            figures[kind] = {"plans": len(unseen), "median": statistics.median(errors),
                             "p95": percentile(errors, 0.95), "worst": max(errors),
                             "tau": kendall([(p.predicted[kind], p.measured) for p in unseen]),
                             "tau_of_models": statistics.mean(taus),
                             "tau_of_ordered_pairs": ordered_tau(unseen, kind)}
        regrets = {}
        for (model, ranks), pick in self.picks.items():
            fastest = min(p.measured for p in self.plans
                          if (p.model, p.ranks) == (model, ranks))
            regrets[f"{model} on {ranks}"] = pick.measured / fastest - 1
        figures["regret"] = regrets
        print(f"{len(unseen)} plans that nothing was learned from; error of the step time:")
        for kind, text in [("catalogue", "nothing measured (catalogue)"),
                           ("machine", "bandwidth and peak measured"),
                           ("learned", "operators and collectives measured")]:
            f = figures[kind]
            print(f"  {text:36} median {100 * f['median']:5.1f} %  p95 {100 * f['p95']:5.1f} %  "
                  f"worst {100 * f['worst']:5.1f} %  tau {f['tau']:.2f}, mean of models "
                  f"{f['tau_of_models']:.2f}, of pairs told apart {f['tau_of_ordered_pairs']:.2f}")
        print("slower than the fastest measured plan, the one that the search picked: " + ", ".join(
            f"{name} {100 * r:.1f} %" for name, r in regrets.items()))
        return figures


def note(text, transient=False):
    if transient and not sys.stderr.isatty():
        return
    print(text, file=sys.stderr, end="\r" if transient else "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", help="meshplan")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a few plans of one model")
    parser.add_argument("--model", action="append", choices=MODELS, help="only this one")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--folder", help="keep the profile stores here")
    options = parser.parse_args()
    chosen = QUICK if options.quick else {
        m: MODELS[m][2] for m in options.model or MODELS}
    with tempfile.TemporaryDirectory() as scratch:
        accuracy = Accuracy(Meshplan(options.binary), options.folder or scratch, options.rounds,
                            options.steps, chosen)
        accuracy.compare()
        figures = accuracy.report()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as out:
            json.dump(figures, out, indent=1)


if __name__ == "__main__":
    main()
