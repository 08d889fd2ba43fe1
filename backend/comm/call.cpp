// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/call.h"

#include <fmt/core.h>

#include "backend/comm/ordered_reduction.h"
#include "core/error.h"

namespace meshplan {
namespace {

const char* opName(CommOp op) {
  switch (op) {
    case CommOp::sumAll:
      return "all-reduce";
    case CommOp::maxAll:
      return "all-reduce (maximum)";
    case CommOp::reduceScatter:
      return "reduce-scatter";
    case CommOp::allGather:
      return "all-gather";
    case CommOp::allToAll:
      return "all-to-all";
    case CommOp::broadcast:
      return "broadcast";
    case CommOp::barrier:
      return "barrier";
    case CommOp::split:
      return "split";
    case CommOp::send:
      return "send";
    case CommOp::receive:
      return "receive";
  }
  return "operation";
}

bool countsElements(CommOp op) {
  return op == CommOp::sumAll || op == CommOp::maxAll || op == CommOp::reduceScatter;
}

bool hasPeer(CommOp op) {
  return op == CommOp::broadcast || op == CommOp::send || op == CommOp::receive;
}

}  // namespace

std::string callText(const CommCall& call, int peerRank) {
  if (call.op == CommOp::barrier || call.op == CommOp::split) return opName(call.op);
  if (countsElements(call.op))
    return fmt::format("{} of {} elements of {}", opName(call.op), call.count,
                       dtypeName(call.type));
  const std::string text = fmt::format("{} of {} bytes", opName(call.op), call.count);
  if (!hasPeer(call.op)) return text;
  return fmt::format("{} {} rank {}", text, call.op == CommOp::send ? "to" : "from", peerRank);
}

void checkCall(const CommCall& call, int groupSize) {
  if (call.count < 0)
    throw Error(ErrorKind::internal,
                fmt::format("a negative count of {} in a call of {}", call.count, opName(call.op)));
  if (countsElements(call.op) && !canReduce(call.type))
    throw Error(ErrorKind::runtime,
                fmt::format("a communicator cannot reduce {}", dtypeName(call.type)),
                "reduce fp64, fp32, bf16 or fp16");
  if (hasPeer(call.op) && (call.peer < 0 || call.peer >= groupSize))
    throw Error(ErrorKind::internal, fmt::format("{} names member {} of a group of {}",
                                                 opName(call.op), call.peer, groupSize));
}

}  // namespace meshplan
