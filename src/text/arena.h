// Memory for many small strings that live as long as their owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace trireme::text {

/// Keeps copies of strings at fixed addresses.
class Arena {
 public:
  /// A copy of `text`; never a view without data.
  std::string_view store(std::string_view text) {
    if (text.size() > left_ || blocks_.empty()) {
      left_ = std::max(kBlockBytes, text.size());
      blocks_.push_back(std::make_unique<char[]>(left_));
      next_ = blocks_.back().get();
    }
    char* copy = next_;
    std::copy(text.begin(), text.end(), copy);
    next_ += text.size();
    left_ -= text.size();
    return {copy, text.size()};
  }

 private:
  static constexpr std::size_t kBlockBytes = 1 << 16;

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace trireme::text
