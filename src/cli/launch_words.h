// The command line of `trireme launch`: which words are for launch, and which for the program.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace trireme {

struct LaunchWords {
  std::vector<std::string> flags;    ///< for launch, wherever they stood
  std::vector<std::string> program;  ///< its name, then its arguments
  /// Of `flags`, those that came after the program's name: Accelerate would have passed them to
  /// the program without a word.
  std::vector<std::string> behind;
};

/// Words up to the program's name are for launch; behind it, those that can only be meant for
/// launch (--num_processes, --main_process_ip, ...). A "--" ends that: what follows is the program
/// or its arguments as it stands. `words` do not begin with the verb.
LaunchWords split_launch_words(std::span<const std::string> words);

}  // namespace trireme
