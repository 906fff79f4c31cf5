// What this machine has that Trireme uses, and what to do about what is missing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trireme/error.h"

namespace trireme {

struct Finding {
  enum class Status : std::uint8_t {
    good,
    note,     ///< a fact, or something optional that is not there
    warning,  ///< it works, but slowly or not everywhere
    problem,  ///< Trireme cannot run
  };
  std::string topic;  ///< "Processor", "Memory", ...
  std::string name;   ///< "AMX"
  Status status = Status::note;
  std::string value;   ///< what was found
  std::string advice;  ///< what to do; empty if nothing
};

struct DoctorReport {
  std::vector<Finding> findings;  ///< in order of topics
  bool usable = true;             ///< no finding is a problem
};

/// Looks only at this host, in well under a second, and changes nothing.
DoctorReport examine_machine();

}  // namespace trireme
