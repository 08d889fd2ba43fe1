#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Galvatron's own search on its Llama2-7B profile of 8 GPUs, without a GPU and without torch:
    run_galvatron.py GALVATRON MEMORY_GIB BATCH OUT
GALVATRON is a copy of github.com/PKU-DAIR/Hetu-Galvatron with galvatron_dp_core built beside it:
    g++ -O3 -shared -std=c++17 -fPIC -include map $(python3 -m pybind11 --includes) \\
      GALVATRON/csrc/dp_core.cpp -o GALVATRON/galvatron_dp_core.so
Needs numpy, scipy, rich, pydantic, omegaconf and pybind11. Writes the plan to OUT and prints the
samples per second that Galvatron reports and the CPU seconds its search took."""
import importlib
import os
import sys
import time
import types


class Standin(types.ModuleType):
    """A module of empty classes: the search imports torch but computes nothing with it."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in_for_torch():
    for name in ["", ".utils", ".utils.data", ".utils.data.distributed", ".distributed"]:
        module = Standin("torch" + name)
        module.__path__ = []
        sys.modules["torch" + name] = module
    sys.modules["torch"].distributed = sys.modules["torch.distributed"]
    sys.modules["torch.distributed"].is_initialized = lambda: False


def open_packages(root):
    """Packages without their __init__, which imports the CUDA runtime."""
    for name in ["", ".core", ".core.runtime", ".core.search_engine", ".core.cost_model", ".utils"]:
        package = types.ModuleType("galvatron" + name)
        package.__path__ = [os.path.join(root, "galvatron", *name.split("."))]
        sys.modules["galvatron" + name] = package
    config = importlib.import_module("galvatron.utils.config_utils")
    vars(sys.modules["galvatron.utils"]).update(
        {k: v for k, v in vars(config).items() if not k.startswith("__")})


def main():
    root, memory, batch, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    sys.path.insert(0, root)
    os.makedirs(out, exist_ok=True)
    stand_in_for_torch()
    open_packages(root)
    from galvatron.core.search_engine.args_schema import GalvatronSearchArgs
    from galvatron.core.search_engine.search_engine import GalvatronSearchEngine
    args = GalvatronSearchArgs()
    args.hardware_info.memory_constraint = memory
    args.batch_size_info.settle_bsz = batch
    args.common_train_info.sequence_parallel = True
    args.common_train_info.global_memory_buffer = True
    args.common_train_info.seq_length = 2048
    args.parallelism_info.default_dp_type = "zero2"
    args.parallelism_info.pipeline_type = "pipedream_flush"
    args.parallelism_info.async_grad_reduce = True
    args.parallelism_info.mixed_precision = "bf16"
    args.model_info.hidden_size = 4096
    args.model_info.num_layers = 32
    args.profiling_info.time_profile_mode = "batch"
    args.profiling_info.memory_profile_mode = "static"
    args.options_info.log_dir = os.path.join(out, "logs")
    args.options_info.output_config_path = out
    engine = GalvatronSearchEngine(args)
    engine.set_search_engine_info(
        path=os.path.join(root, "galvatron/models/gpt"),
        model_layer_configs=[{"hidden_size": 4096, "seq_len": 2048, "layer_num": 32}],
        model_name="llama2-7b")
    start = time.process_time()
    engine.initialize_search_engine()
    throughput = engine.parallelism_optimization()
    print(f"Galvatron {batch / throughput:.12g} s per step, {throughput:.6g} samples/s, "
          f"{time.process_time() - start:.3f} CPU s")


if __name__ == "__main__":
    main()
