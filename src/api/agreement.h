// What the ranks of a run must have in common before they load anything, decided purely.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trireme/options.h"
#include "trireme/ranks.h"

namespace trireme {

/// Something that ends the run.
struct Failure {
  ErrorKind kind = ErrorKind::usage;
  std::string message;
};

/// What one rank says about itself.
struct Identity {
  std::string host;
  std::string version;
  std::vector<std::string> flags;  ///< "--dtype bfloat16", ...: all that must be the same
  std::string model;               ///< where its config.json is
  std::string config;              ///< hash of its config.json
  std::string isa;                 ///< asked for by --isa or TRIREME_ISA; empty: any
  std::vector<std::string> isas;   ///< that the host has, best last
  int local_ranks = 1;
  std::int64_t memory = 0;         ///< available on its host
  std::optional<Failure> failure;  ///< why this rank cannot take part
};

/// Of this process. What is wrong with its model or instruction set becomes its failure.
Identity own_identity(const Options& options, int local_ranks);

Message encode(const Identity& identity);
Identity decode_identity(std::span<const std::byte> bytes);

/// What the identities (by rank) come to: the instruction set for all of them, or why there is
/// none.
struct Agreement {
  std::string isa;
  Options options;  ///< as place_on_devices() has them
  Hosts hosts;
  std::optional<Failure> failure;
};
Agreement agree(const std::vector<Identity>& ranks);

}  // namespace trireme
