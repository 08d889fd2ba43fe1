// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "backend/cuda/cuda_device.h"

namespace meshplan {

/// A GPU that counts the steps that are repeated, of those it may capture.
class CountingDevice : public CudaDevice {
 public:
  CountingDevice(bool captures, int& replays)
      : CudaDevice(0, 0), captures_(captures), replays_(replays) {}
  bool canCapture() const override { return captures_ && CudaDevice::canCapture(); }
  void replay() override {
    ++replays_;
    CudaDevice::replay();
  }

 private:
  const bool captures_;
  int& replays_;
};

}  // namespace meshplan
