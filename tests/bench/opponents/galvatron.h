// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace meshplan {

struct GalvatronLine {
  double slope = 0, intercept = 0;
  double at(double x) const { return slope * x + intercept; }
};

/// Milliseconds of a collective by MiB: as measured, between and beyond by the least-squares line.
struct GalvatronLatency {
  std::map<int64_t, double> measured;
  GalvatronLine line;
  double milliseconds(double mebibytes) const;
};

/// Measured costs of a model of equal layers on one kind of machine as Galvatron
/// (github.com/PKU-DAIR/Hetu-Galvatron) ships them: times in milliseconds, memory in MiB.
struct GalvatronProfile {
  struct Other {  // embedding and loss layers; by tensor-parallel degree
    std::map<int64_t, double> states, activations;
  };
  GalvatronLine layer, other;  // forward milliseconds of a micro-batch, by its samples
  double layerParameters = 0;
  std::map<int64_t, double> layerActivations;  // per sample, by tensor- or sequence-parallel degree
  double recomputedActivations = 0;            // per sample
  Other alone, first, last;                    // without pipeline, and in its end stages
  /// Milliseconds per MiB of an all-reduce by devices, over distant and over neighbouring ones.
  std::map<int64_t, double> reduceDistant, reduceNear;
  std::map<int64_t, double> sendReceive;  // milliseconds per MiB, by pipeline stages
  double overlap = 1;                     // slow-down of compute beside communication
  std::map<int64_t, GalvatronLatency> allGather, allToAll;  // by devices
};

/// What is trained, and on what.
struct GalvatronSetting {
  int64_t nodes = 1, devicesPerNode = 8;
  int64_t layers = 32, hidden = 4096, sequence = 2048;
  int64_t batch = 16;      // samples of a step
  int64_t memoryGiB = 36;  // of a device
  std::string model = "llama2-7b", precision = "bf16";
  int64_t devices() const { return nodes * devicesPerNode; }
};

/// Reads the profile from a copy of Galvatron's repository: models/gpt/configs and
/// profile_hardware/hardware_configs, the files of the setting's model and machine. Throws
/// Error(input) that names the file and the place in it.
GalvatronProfile readGalvatronProfile(const std::string& folder, const GalvatronSetting& setting);

}  // namespace meshplan
