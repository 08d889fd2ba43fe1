// SPDX-License-Identifier: Apache-2.0
#include "backend/comm/peer_link.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace meshplan {
namespace {

// Longer payloads go to their place without a stop in between.
constexpr uint64_t kDirect = 16 << 10;
constexpr size_t kPieces = 16;

}  // namespace

void PeerLink::close() {
  letGo();
  out_.clear();
  stream_.reset();
}

void PeerLink::send(const FrameHeader& header, const void* data, int* pending) {
  out_.push_back({header, static_cast<const std::byte*>(data), nullptr, 0, pending});
}

void PeerLink::sendCopy(const FrameHeader& header, const void* data) {
  out_.push_back({header, static_cast<const std::byte*>(data), nullptr, 0, nullptr});
  keep(out_.back());
}

void PeerLink::keep(Outgoing& frame) {
  if (frame.owned || frame.header.bytes == 0) return;
  frame.owned = std::make_unique_for_overwrite<std::byte[]>(frame.header.bytes);
  const uint64_t sent =
      frame.written > sizeof(FrameHeader) ? frame.written - sizeof(FrameHeader) : 0;
  std::memcpy(frame.owned.get() + sent, frame.data + sent, frame.header.bytes - sent);
  frame.data = frame.owned.get();
}

void PeerLink::keepLast() {
  if (out_.empty()) return;
  keep(out_.back());
  out_.back().pending = nullptr;
}

std::optional<CommCall> PeerLink::unsent() const {
  const auto frame = std::find_if(out_.begin(), out_.end(), [](auto& f) { return f.pending; });
  if (frame == out_.end()) return std::nullopt;
  return frame->header.call;
}

void PeerLink::letGo() {
  std::erase_if(out_, [](const Outgoing& frame) { return frame.pending && frame.written == 0; });
  for (Outgoing& frame : out_) {
    if (frame.pending) keep(frame);
    frame.pending = nullptr;
  }
  if (!inFrame_ || owned_ || !target_) return;
  owned_ = std::make_unique_for_overwrite<std::byte[]>(header_.bytes);
  target_ = owned_.get();
}

bool PeerLink::write() {
  while (hasToWrite()) {
    std::array<iovec, 2 * kPieces> pieces;
    size_t n = 0;
    for (auto frame = out_.begin(); frame != out_.end() && n + 2 <= pieces.size(); ++frame) {
      const uint64_t head = std::min<uint64_t>(frame->written, sizeof(FrameHeader));
      const uint64_t body = frame->written - head;
      if (head < sizeof(FrameHeader))
        pieces[n++] = {reinterpret_cast<std::byte*>(&frame->header) + head,
                       sizeof(FrameHeader) - head};
      if (body < frame->header.bytes)
        pieces[n++] = {const_cast<std::byte*>(frame->data) + body, frame->header.bytes - body};
    }
    const int64_t sent = stream_->write(std::span(pieces.data(), n));
    if (sent <= 0) return sent == 0;
    wrote(uint64_t(sent));
  }
  return true;
}

void PeerLink::wrote(uint64_t bytes) {
  while (!out_.empty()) {
    Outgoing& frame = out_.front();
    const uint64_t whole = sizeof(FrameHeader) + frame.header.bytes;
    const uint64_t now = std::min(bytes, whole - frame.written);
    frame.written += now;
    bytes -= now;
    if (frame.written < whole) return;
    if (frame.pending) --*frame.pending;
    out_.pop_front();
  }
}

bool PeerLink::beginFrame(Receiver& receiver) {
  if (end_ - begin_ < sizeof(FrameHeader)) return false;
  std::memcpy(&header_, staged_.data() + begin_, sizeof header_);
  begin_ += sizeof header_;
  broken_ = header_.magic != FrameHeader::kMagic || header_.bytes > FrameHeader::kMostBytes;
  if (broken_) return false;
  target_ = static_cast<std::byte*>(receiver.place(rank_, header_));
  if (!target_ && header_.bytes > 0) {
    owned_ = std::make_unique_for_overwrite<std::byte[]>(header_.bytes);
    target_ = owned_.get();
  }
  inFrame_ = true;
  got_ = 0;
  return true;
}

void PeerLink::endFrame(Receiver& receiver) {
  inFrame_ = false;
  target_ = nullptr;
  receiver.arrived(rank_, header_, std::move(owned_));
}

void PeerLink::understand(Receiver& receiver) {
  while (!broken_ && open()) {
    if (!inFrame_ && !beginFrame(receiver)) break;
    const uint64_t n = std::min<uint64_t>(end_ - begin_, header_.bytes - got_);
    if (n > 0) std::memcpy(target_ + got_, staged_.data() + begin_, n);
    begin_ += n;
    got_ += n;
    if (got_ < header_.bytes) break;
    endFrame(receiver);
  }
  if (begin_ > 0) {
    std::memmove(staged_.data(), staged_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
}

bool PeerLink::read(Receiver& receiver) {
  while (open()) {
    const bool direct = inFrame_ && header_.bytes - got_ >= kDirect;
    void* to = direct ? target_ + got_ : staged_.data() + end_;
    const size_t room = direct ? header_.bytes - got_ : staged_.size() - end_;
    const int64_t n = stream_->read(to, room);
    if (n <= 0) return n == 0;
    receiver.moved(rank_, direct);
    if (direct)
      got_ += uint64_t(n);
    else
      end_ += size_t(n);
    if (direct && got_ == header_.bytes) endFrame(receiver);
    if (!direct) understand(receiver);
    if (broken_) return false;
    if (size_t(n) < room) return true;  // no more for now
  }
  return true;
}

}  // namespace meshplan
