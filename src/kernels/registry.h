// The backends this program was built with, and the choice among them at run time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace trireme {

/// Names of the backends that this machine can run: e.g. reference, avx2, avx512, avx512bf16, amx.
std::vector<std::string> available_backends();

/// The fastest of them on this processor.
std::string best_backend();

/// The backend called `name`. "" or "auto": TRIREME_ISA from the environment if set, else the best
/// that this machine can run. Throws Error(usage) naming the available ones.
std::unique_ptr<Backend> make_backend(std::string_view name);

}  // namespace trireme
