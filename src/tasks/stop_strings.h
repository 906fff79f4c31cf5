// Finding stop strings in text that arrives in pieces, without ever letting out a piece of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

class StopStrings {
 public:
  explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Takes in more text; returns what surely comes before any stop string.
  std::string push(std::string_view text);
  /// Whether a stop string has been seen; the text ends before it.
  bool stopped() const { return stopped_; }
  /// What was held back, once no more text follows.
  std::string finish();

 private:
  std::size_t held_back() const;

  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

}  // namespace trireme
