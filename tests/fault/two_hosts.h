// Two hosts, as far as the network can tell: network namespaces joined by a cable.
#pragma once

#include <unistd.h>

#include <string>

#include "fault/job.h"
#include "support/run_program.h"

namespace trireme::testing {

/// Namespaces `here` and `there`, joined by a pair of virtual Ethernet devices. Needs root and
/// iproute2.
class TwoHosts {
 public:
  TwoHosts() {
    const std::string a = " -n " + here + " ", b = " -n " + there + " ";
    made_ = geteuid() == 0 &&
            shell("ip netns add " + here + " && ip netns add " + there + " && ip" + a +
                  "link add e0 type veth peer name e0 netns " + there + " && ip" + a + "addr add " +
                  address + "/24 dev e0 && ip" + b + "addr add 10.79.0.2/24 dev e0 && ip" + a +
                  "link set e0 up && ip" + b + "link set e0 up && ip" + a + "link set lo up && ip" +
                  b + "link set lo up");
  }
  ~TwoHosts() { shell("ip netns del " + here + "; ip netns del " + there); }
  TwoHosts(const TwoHosts&) = delete;
  TwoHosts& operator=(const TwoHosts&) = delete;

  bool made() const { return made_; }
  /// What a command line begins with that is to run in one of them.
  static Words in(const std::string& name) { return {"ip", "netns", "exec", name}; }
  void pull_the_cable() const { shell("ip -n " + there + " link set e0 down"); }
  void plug_it_in() const { shell("ip -n " + there + " link set e0 up"); }

  const std::string here = "trireme-a-" + std::to_string(getpid());
  const std::string there = "trireme-b-" + std::to_string(getpid());
  static constexpr const char* address = "10.79.0.1";  ///< of `here`

 private:
  static bool shell(const std::string& command) {
    return run("sh", {"-c", command}).exit_code == 0;
  }

  bool made_ = false;
};

}  // namespace trireme::testing
