#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the parameters of links.json with published collective times, or fits them.

    scripts/fit_links.py FOLDER            errors of the parameters as they are
    scripts/fit_links.py FOLDER --fit      fits again (a minute) and prints parameters and errors
    scripts/fit_links.py FOLDER --write    the same, and keeps them

FOLDER holds the tables named below (their first lines name the sources). Half of the rows of every table, chosen by a
hash of the row, are fitted; the errors are of the other half. --write puts the parameters into
profiles/catalog/links.json, and predictions into tests/golden/collective_times.csv, with which a test compares those
of planner/collective_cost.cpp: the formulas here are the same ones (docs/cost_model.md). Standard library only.
"""
import csv
import hashlib
import json
import math
import os
import random
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
GOLDEN = os.path.join(ROOT, "tests", "golden", "collective_times.csv")
CATALOG = os.path.join(ROOT, "profiles", "catalog", "links.json")
MIB = 1 << 20
RELAY = 0.82  # kRelayEfficiency of planner/group_topology.cpp


# ---- tables: rows of (table, system, kind, ranks, nodes, bytes S, seconds)

def table(folder, name):
    with open(os.path.join(folder, name + ".csv")) as f:
        return list(csv.DictReader(line for line in f if not line.startswith("#")))


def all_reduce_seconds(ranks, size, busbw):
    return 2 * (ranks - 1) / ranks * size / (busbw * 1e9)


def read_rows(folder):
    rows = []
    for r in table(folder, "vtrain_nccl_allreduce_a100_v100"):
        rows.append(("vtrain", r["gpu"], "ar", int(r["ngpus"]), 1, int(r["bytes"]), float(r["oop_time_ns"]) * 1e-9))
    for r in table(folder, "nccl_allreduce_azure_nda100v4_1to128"):
        n = int(r["gpus"])
        rows.append(("azure", "azure", "ar", n, max(1, n // 8), int(r["bytes"]), float(r["oop_time_us"]) * 1e-6))
    for r in table(folder, "nccl_allreduce_busbw_a100_h200_b200"):
        n, size = int(r["gpus"]), int(r["bytes"])
        system = {"DGX-like-8xA100": "a100", "8xH200": "h200", "8xB200": "b200", "4x8xB200_EFA": "b200-efa"}[r["system"]]
        seconds = float(r["time_us"]) * 1e-6 if r["time_us"] else all_reduce_seconds(n, size, float(r["busbw_GBps"]))
        rows.append(("busbw", system, "ar", n, int(r["nodes"]), size, seconds))
    for r in table(folder, "nccl_nvls_vs_ring_h200_b200"):
        n, size, busbw = int(r["gpus"]), int(float(r["bytes_gib"]) * 2**30), float(r["busbw_GBps"])
        system = {"H200": "h200", "B200": "b200", "P5en_4x8xH200_EFA": "h200-efa"}.get(r["system"])
        if not system:
            continue
        gather = r["collective"] == "all_gather"
        seconds = all_reduce_seconds(n, size, busbw) / (2 if gather else 1)
        rows.append(("nvls", system, "ag" if gather else "ar", n, 4 if "efa" in system else 1, size, seconds))
        off = float(r["busbw_nvls_off_GBps"] or 0)
        if off and off != busbw:
            rows.append(("nvls", system, "ring", n, 1, size, all_reduce_seconds(n, size, off)))
    # A message of M MB is S for an all-reduce and one rank's buffer, S / n, for an all-to-all.
    for r in table(folder, "galvatron_hardware_profile"):
        m = re.match(r"(allreduce|all2all)_size_(\d+)_(\d+)MB_time", r["key"])
        if m:
            n, size = int(m[2]), int(m[3]) * MIB
            kind = "ar" if m[1] == "allreduce" else "a2a"
            rows.append(("galvatron", "a100", kind, n, 1, size * (n if kind == "a2a" else 1), float(r["value"]) * 1e-3))
    return rows


def fitted(row):
    return hashlib.sha256(repr(row[:6]).encode()).digest()[0] % 2 == 0


# ---- formulas of planner/collective_cost.cpp

def smooth(size, half):
    return size / (size + half)


def stream(size, bandwidth, latency):
    seconds = size / bandwidth
    return seconds + 2 * math.sqrt(seconds * latency)


def ring_count(n):
    """Rings of the hybrid cube mesh of DGX-1 (planner/ring_packing.cpp), in both directions."""
    return {2: 1, 3: 2, 4: 4, 5: 2 * RELAY, 6: 2, 7: 4, 8: 6}[n]


class Machine:
    def __init__(self, links, intra, width, inter=None, nic_width=1, pcie=4e-7):
        self.intra, self.inter = intra, inter
        self.direct = links[intra]["kind"] == "nvlink"
        self.link_bandwidth = links[intra]["bandwidth"] * width
        self.hop = links[intra]["latency"]
        if inter:
            self.nic = links[inter]["bandwidth"] * nic_width
            self.inter_latency = 2 * links[inter]["latency"] + 4 * pcie

    def latency(self, n):
        """Of the longest route between neighbours of a ring: through a switch, or forwarded by a device."""
        return self.hop * (1 if self.direct and n != 5 else 2)

    def bandwidth(self, n):
        return self.link_bandwidth * (ring_count(n) if self.direct else 1)


def predict(m, params, kind, n, nodes, size):
    p = params[m.intra]
    g = n // nodes
    bandwidth = m.bandwidth(g)
    hop = p["hop_latency"] + m.latency(g)
    if kind == "a2a":
        part = size / n / n
        return p["transfer_latency"] + part * (n - 1) / (bandwidth * p["transfer_efficiency"]) + part / p["pass_bandwidth"]
    wire = 2 * (n - 1) / n * size
    if nodes == 1:
        protocol = p["protocol_latency"] * smooth(size / n, p["protocol_bytes"])

        def ring(passes):
            return (p["base_latency"] + passes * (n - 1) * hop + protocol
                    + stream(passes / 2 * wire, bandwidth * p["efficiency"], p["pipeline_latency"])
                    + passes / 2 * size / p["pass_bandwidth"])
        if kind == "ag":
            return ring(1)
        best = min(ring(2), 2 * ring(1))
        if kind == "ar" and p.get("multicast_efficiency") and n >= p["multicast_ranks"]:
            best = min(best, p["base_latency"] + 2 * (n - 1) * hop + protocol
                       + stream(size, bandwidth * p["multicast_efficiency"], p["pipeline_latency"]))
        return best
    q = params[m.inter]
    levels = math.log2(nodes)
    base = max(p["base_latency"] * (g > 1), q["base_latency"])
    node = g * m.nic * q["efficiency"]
    ring_bandwidth = min(bandwidth * p["efficiency"], node)
    ramp = smooth(size, q["protocol_bytes"])
    protocol = (p["protocol_latency"] * (g > 1) + q["protocol_latency"] * levels) * ramp
    net_hop = q["tree_hop_latency"] + m.inter_latency
    across = nodes * (q["hop_latency"] + m.inter_latency)

    def ring(passes):
        return (base + passes * (n - nodes) * hop + passes * across + protocol + stream(passes / 2 * wire, ring_bandwidth, fill)
                + passes / 2 * size / p["pass_bandwidth"])
    inside = p["base_latency"] + 2 * (g - 1) * hop
    floor = max(inside, base + 2 * (g - 1) * (p["tree_hop_latency"] + m.latency(g)) + 2 * levels * net_hop) + protocol
    fill = p["pipeline_latency"] * (g > 1) + q["pipeline_latency"] * levels
    tree = (floor + stream(wire, ring_bandwidth * q["tree_efficiency"], fill) + size / p["pass_bandwidth"])
    best = min(ring(2), 2 * ring(1), tree)
    if p.get("multicast_efficiency") and g >= p["multicast_ranks"]:
        inside = stream(size, bandwidth * p["multicast_efficiency"], p["pipeline_latency"])
        best = min(best, floor + max(inside, stream(wire, node, fill)))
    return best


# ---- the fit

def log_error(row, machines, params):
    return math.log(predict(machines[row[1]], params, *row[2:6]) / row[6])


def loss(rows, weights, machines, params):
    # Huber-like: quadratic up to 10 %, then linear, so that outliers of a table do not lead.
    total = 0.0
    for row, w in zip(rows, weights):
        e = abs(log_error(row, machines, params))
        total += w * (e * e if e < 0.1 else 0.2 * e - 0.01)
    return total


def fit(rows, machines, params, link, names, bounds):
    counts = {}
    for r in rows:
        key = (r[0], r[2], r[3], r[5] >= MIB)
        counts[key] = counts.get(key, 0) + 1
    weights = [1 / counts[(r[0], r[2], r[3], r[5] >= MIB)] for r in rows]
    best = loss(rows, weights, machines, params)
    step = {n: 0.3 for n in names}
    for _ in range(200):
        moved = False
        for n in names:
            old = params[link][n]
            for factor in (1 + step[n], 1 / (1 + step[n])):
                low, high = bounds.get(n, (0, math.inf))
                params[link][n] = min(high, max(low, old * factor))
                new = loss(rows, weights, machines, params)
                if new < best:
                    best, moved = new, True
                    step[n] = min(0.5, step[n] * 1.3)
                    break
                params[link][n] = old
            else:
                step[n] *= 0.6
        if not moved and max(step.values()) < 1e-3:
            break
    return best


def fit_from_many_starts(rows, machines, params, link, names):
    random.seed(1)
    start, best = dict(params[link]), None
    for attempt in range(4):
        for n in names:
            low, high = BOUNDS.get(n, (0, math.inf))
            params[link][n] = min(high, max(low, start[n] * (math.exp(random.gauss(0, 0.8)) if attempt else 1)))
        found = fit(rows, machines, params, link, names, BOUNDS)
        if best is None or found < best[0]:
            best = (found, dict(params[link]))
    params[link].update(best[1])


# Where a fit starts, and what stays where it is not fitted: tree_hop_latency is that of NCCL's tuning.cc for LL.
NVLINK = dict(base_latency=5e-6, hop_latency=1.6e-6, tree_hop_latency=0.6e-6, protocol_latency=50e-6, protocol_bytes=85e3,
              pipeline_latency=1e-6, efficiency=0.9, pass_bandwidth=600e9, transfer_efficiency=0.65, transfer_latency=80e-6)
NETWORK = dict(base_latency=5e-6, hop_latency=5e-6, tree_hop_latency=5e-6, protocol_latency=5e-6, protocol_bytes=16e3,
               pipeline_latency=1e-6, efficiency=0.7, tree_efficiency=0.8)
BOUNDS = dict(efficiency=(0.05, 1), tree_efficiency=(0.3, 1), multicast_efficiency=(0.05, 1), pass_bandwidth=(1e11, 1e13),
              transfer_efficiency=(0.05, 1), base_latency=(1e-6, 1e-3), hop_latency=(1e-7, 1e-4), pipeline_latency=(1e-9, 1e-3),
              protocol_bytes=(1e3, 1e7), protocol_latency=(1e-7, 1e-3))
LATENCY = ["base_latency", "hop_latency", "protocol_latency", "protocol_bytes", "pipeline_latency"]

# link, its systems, its free parameters; one after the other, because a network's fit stands on its node's.
PLAN = [
    ("nvlink2", ["v100"], ["protocol_latency", "pipeline_latency", "efficiency"]),
    ("nvswitch2", ["a100", "azure1"], LATENCY + ["efficiency", "pass_bandwidth", "transfer_efficiency", "transfer_latency"]),
    ("nvswitch3", ["h200"], LATENCY + ["efficiency", "pass_bandwidth", "multicast_efficiency"]),
    ("nvswitch4", ["b200"], LATENCY + ["efficiency", "pass_bandwidth", "multicast_efficiency"]),
    ("infiniband-hdr-azure", ["azure"], ["hop_latency", "protocol_latency", "protocol_bytes", "pipeline_latency", "efficiency",
                                         "tree_efficiency"]),
    ("efa-400g", ["b200-efa"], ["tree_hop_latency", "protocol_latency", "pipeline_latency", "efficiency"]),
]


def report(title, rows, machines, params):
    for low, high, name in ((0, MIB, "below 1 MiB"), (MIB, math.inf, "from 1 MiB")):
        e = sorted(abs(math.exp(log_error(r, machines, params)) - 1) for r in rows if low <= r[5] < high)
        if e:
            print(f"{title:34} {name:12} rows {len(e):5}  MAPE {100 * sum(e) / len(e):6.2f} %  "
                  f"median {100 * e[len(e) // 2]:6.2f} %  worst {100 * e[-1]:7.2f} %")


def spread(rows, machines, params):
    e = [log_error(r, machines, params) for r in rows if r[5] >= MIB]
    return math.sqrt(sum(x * x for x in e) / max(1, len(e)))


def significant(x):
    return float(f"{x:.4g}")


SOURCES = {
    "tree_hop_latency": "NVIDIA/nccl src/graph/tuning.cc: tree, LL",
    "multicast_ranks": "where NCCL 2.27 took NVLS (stas00/ml-engineering network/README.md)",
}


def entry_of(link, name, value, fitted_names, uncertainty):
    if name in fitted_names:
        return {"value": significant(value), "uncertainty": significant(uncertainty), "source": "scripts/fit_links.py"}
    source = SOURCES.get(name, "assumed, near the fit of nvswitch2" if link.startswith("nv") else "assumed")
    return {"value": significant(value), "uncertainty": 0.3, "source": source}


def write(params, uncertainty, names):
    with open(CATALOG) as f:
        lines = f.read().split("\n")
    for i, line in enumerate(lines):
        m = re.match(r'    "([^"]+)": (\{.*\})(,?)$', line)
        if not m or m[1] not in uncertainty:
            continue
        entry = json.loads(m[2])
        u = uncertainty[m[1]]
        entry["parameters"] = {k: entry_of(m[1], k, v, names[m[1]], u) for k, v in sorted(params[m[1]].items())}
        entry["parameters"]["collective_uncertainty"] = {"value": significant(u), "source": "scripts/fit_links.py"}
        lines[i] = f'    "{m[1]}": {json.dumps(entry)}{m[3]}'
    with open(CATALOG, "w") as f:
        f.write("\n".join(lines))


def write_golden(machines, params):
    rounded = {link: {k: significant(v) for k, v in p.items()} for link, p in params.items()}
    with open(GOLDEN, "w") as f:
        f.write("# written by scripts/fit_links.py: kind, cluster, nodes, ranks, bytes, seconds\n")
        for system, cluster, ranks in (("v100", "dgx-1v", (2, 3, 4, 5, 8)), ("azure", "nd96asr-v4", (2, 4, 8, 16, 64, 128)),
                                       ("h200", "dgx-h200", (4, 8)), ("b200-efa", "p6-b200.48xlarge", (8, 32))):
            for n in ranks:
                for size in (64, 65536, 4 * MIB, 64 * MIB, 1 << 30, 1 << 34):
                    nodes = max(1, n // 8)
                    f.write(f"ar,{cluster},{nodes},{n},{size},{predict(machines[system], rounded, 'ar', n, nodes, size):.9g}\n")
                    if nodes == 1:
                        f.write(f"a2a,{cluster},{nodes},{n},{size},"
                                f"{predict(machines[system], rounded, 'a2a', n, nodes, size):.9g}\n")


def fit_all(rows, machines, links):
    params = {link: dict(NETWORK if links[link]["kind"] in ("infiniband", "roce") else NVLINK) for link, _, _ in PLAN}
    params["efa-200g"] = params["efa-400g"]  # one generation of software over both
    params["nvswitch3"].update(multicast_efficiency=0.6, multicast_ranks=5)
    params["nvswitch4"].update(multicast_efficiency=0.53, multicast_ranks=6)
    uncertainty, all_names = {}, {}
    for link, systems, names in PLAN:
        mine = [r for r in rows if r[1] in systems or (r[1] == "azure" and r[4] == 1 and "azure1" in systems)]
        if link.startswith("infiniband"):
            mine = [r for r in mine if r[4] > 1]
        seen = [r for r in mine if fitted(r)]
        fit_from_many_starts(seen, machines, params, link, names)
        # Few rows of one run say little about another machine of the kind.
        uncertainty[link] = max(0.05, spread(seen, machines, params))
        all_names[link] = names
    uncertainty["efa-200g"], all_names["efa-200g"] = uncertainty["efa-400g"], all_names["efa-400g"]
    return params, uncertainty, all_names


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    folder = sys.argv[1]
    with open(CATALOG) as f:
        links = json.load(f)["links"]
    machines = {
        "a100": Machine(links, "nvswitch2", 12),
        "azure": Machine(links, "nvswitch2", 12, "infiniband-hdr-azure"),
        "v100": Machine(links, "nvlink2", 1),
        "h200": Machine(links, "nvswitch3", 18),
        "h200-efa": Machine(links, "nvswitch3", 18, "efa-200g", 2),
        "b200": Machine(links, "nvswitch4", 18),
        "b200-efa": Machine(links, "nvswitch4", 18, "efa-400g"),
    }
    rows = read_rows(folder)
    if {"--fit", "--write"} & set(sys.argv):
        params, uncertainty, names = fit_all(rows, machines, links)
        for link, _, _ in PLAN:
            print(link, {k: significant(v) for k, v in params[link].items()})
    else:
        params = {name: {k: p["value"] for k, p in l.get("parameters", {}).items()} for name, l in links.items()}
    print("\nerrors on the rows that were not fitted")
    for name in sorted({r[0] for r in rows}):
        report(name, [r for r in rows if r[0] == name and not fitted(r)], machines, params)
    for system in sorted({r[1] for r in rows}):
        for n in sorted({r[3] for r in rows if r[1] == system}):
            for kind in sorted({r[2] for r in rows if r[1] == system and r[3] == n}):
                report(f"  {system} {kind} {n}", [r for r in rows if r[1] == system and r[3] == n and r[2] == kind and not fitted(r)],
                       machines, params)
    if "--write" in sys.argv:
        write(params, uncertainty, names)
        write_golden(machines, params)


if __name__ == "__main__":
    main()
