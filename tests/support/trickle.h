// Sources of bytes that hand out few at a time, as a pipe does.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "batch/byte_source.h"

namespace trireme {

class Trickle : public ByteSource {
 public:
  Trickle(std::string bytes, std::string name, std::size_t step)
      : bytes_(std::move(bytes)), name_(std::move(name)), step_(step) {}
  std::size_t read(std::span<char> out) override {
    const std::size_t count = std::min({out.size(), step_, bytes_.size() - position_});
    bytes_.copy(out.data(), count, position_);
    position_ += count;
    return count;
  }
  const std::string& name() const override { return name_; }

 private:
  std::string bytes_, name_;
  std::size_t step_, position_ = 0;
};

/// A pipe that the test fills: a read beyond what is there would wait for ever, so it fails.
class SlowPipe : public ByteSource {
 public:
  explicit SlowPipe(std::string& bytes) : bytes_(bytes) {}
  std::size_t read(std::span<char> out) override {
    if (!ready()) throw std::runtime_error("this read waits");
    const std::size_t count = std::min(out.size(), bytes_.size());
    bytes_.copy(out.data(), count);
    bytes_.erase(0, count);
    return count;
  }
  bool ready() override { return !bytes_.empty(); }
  const std::string& name() const override { return name_; }

 private:
  std::string& bytes_;
  std::string name_ = "rows";
};

}  // namespace trireme
