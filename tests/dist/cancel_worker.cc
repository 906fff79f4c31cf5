// A program that feeds a replica itself and cancels requests while steps are in flight: prints
// which results come. Arguments: a model and -pp.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "trireme/engine.h"

namespace {

using trireme::Engine;

trireme::Request request(std::int64_t new_tokens) {
  trireme::Request request;
  request.prompt = "ROMEO:\n";
  request.sampling.max_new_tokens = new_tokens;
  request.sampling.ignore_eos = true;
  return request;
}

void drive(Engine& engine) {
  constexpr std::int64_t many = 200;
  for (std::uint64_t tag = 0; tag < 8; ++tag) {
    engine.submit(tag, request(tag % 2 == 0 ? 12 : many));
  }
  engine.submit_score(1, request(1));
  std::map<std::uint64_t, std::string> texts;
  std::size_t scores = 0;
  for (int steps = 0; engine.unfinished() > 0; ++steps) {
    for (const Engine::Finished& f : engine.step()) texts[f.tag] = f.result.text;
    scores += engine.step_scores().size();
    if (steps != 2) continue;
    for (const std::uint64_t tag : {1u, 3u, 5u, 7u}) {
      if (!engine.cancel(tag)) std::printf("%d cannot be cancelled\n", static_cast<int>(tag));
    }
    engine.submit(1, request(12));  // the tag is free
  }
  for (const auto& [tag, text] : texts) {
    std::printf("%d: %s\n", static_cast<int>(tag), text.c_str());
  }
  std::printf("%zu scores\n", scores);
  // And one that is still in flight at the end.
  engine.submit(1, request(many));
  engine.step();
  engine.cancel(1);
  engine.stop();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  try {
    trireme::Options options;
    options.model = argv[1];
    options.pipeline_parallel_size = std::atoi(argv[2]);
    options.threads = 1;
    Engine engine(options);
    if (engine.is_driver()) {
      drive(engine);
    } else {
      engine.follow();
    }
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
