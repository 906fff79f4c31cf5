// What `trireme launch` does: runs one group of ranks to its end.
#pragma once

#include "launch/launcher.h"

namespace trireme {

/// Starts the ranks and waits for all of them. When one fails the others are ended, and the first
/// failure is printed on stderr. SIGINT, SIGTERM and SIGHUP are passed on to the ranks, which get
/// ten seconds to stop; a second signal kills them. Returns the exit code of the first rank that
/// failed (1 if a signal killed it), or 0. Throws Error(input | resource) when they cannot be
/// started.
int supervise(const LaunchSpec& spec);

}  // namespace trireme
