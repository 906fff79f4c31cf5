// The example of docs/library.md: two prompts on any number of tensor-parallel ranks.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "trireme/engine.h"

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  try {
    trireme::Options options;
    options.model = argv[1];
    options.tensor_parallel_size = argc > 2 ? std::atoi(argv[2]) : 1;
    trireme::Engine engine(options);  // on every rank; each loads its own share

    std::vector<trireme::Request> requests(2);
    requests[0].prompt = "ROMEO:\n";
    requests[1].prompt = "JULIET:\n";
    for (trireme::Request& request : requests) request.sampling.max_new_tokens = 12;

    // Collective: rank 0 gets the results, the others an empty list.
    for (const trireme::Result& result : engine.generate(requests)) {
      std::printf("%s\n---\n", result.text.c_str());
    }
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
