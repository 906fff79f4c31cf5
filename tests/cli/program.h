// Shared by the tests that start the built program.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "support/run_program.h"

namespace trireme::testing {

using Words = std::vector<std::string>;

/// Of the source tree.
inline std::string in_tree(const std::string& path) {
  return std::string(TRIREME_SOURCE_DIR) + "/" + path;
}

inline std::string llama() { return in_tree("demo/llama"); }

inline Outcome trireme(const Words& words, const std::string& input = {},
                       const std::map<std::string, std::string>& env = {}) {
  return run(trireme_program(), words, env, input);
}

/// A model of hundreds of billions of parameters, as its config.json alone.
void write_huge_model(const TemporaryFolder& folder);

/// Both lists, one after the other.
inline Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace trireme::testing
