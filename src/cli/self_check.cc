// `trireme test`: checks an installation by running several ranks of it.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "launch/supervise.h"
#include "trireme/engine.h"
#include "trireme/partial_state.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

constexpr int most_tensor_ranks = 8;

/// A small Llama whose weights are made up.
constexpr const char* config_json = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256,
  "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8,
  "num_key_value_heads": 4, "vocab_size": 512, "max_position_embeddings": 128,
  "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "tie_word_embeddings": false, "dtype": "float32"
})";

/// Removed with all that is in it.
class ModelFolder {
 public:
  ModelFolder() {
    std::string pattern = (fs::temp_directory_path() / "trireme-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      throw Error(ErrorKind::resource, fmt::format("{}: no folder can be made there",
                                                   fs::temp_directory_path().string()));
    }
    path_ = pattern;
    std::ofstream(path_ / "config.json") << config_json;
  }
  ~ModelFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;
  std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

void require(bool holds, const std::string& what) {
  if (!holds) throw Error(ErrorKind::input, fmt::format("self-check: {} went wrong", what));
}

void check_collectives(const PartialState& state) {
  for (int count = 0; count <= 2 * state.num_processes() + 1; ++count) {
    std::vector<int> items;
    for (int i = 0; i < count; ++i) items.push_back(i);
    const auto mine = state.split_between_processes(items, {.apply_padding = true});
    require(state.gather(mine.items, mine) == items, "splitting and gathering");
  }
  const HostTensor one({1}, std::vector<float>{1});
  const HostTensor sum = state.reduce(one, Reduction::sum);
  require(sum.values<float>()[0] == static_cast<float>(state.num_processes()), "a sum");
  require(state.broadcast(std::to_string(state.process_index()), state.num_processes() - 1) ==
              std::to_string(state.num_processes() - 1),
          "a broadcast");
}

/// The model on each rank alone and over all of them gives the same bytes.
void check_model(const PartialState& state) {
  const ModelFolder folder;
  Options options;
  options.model = folder.path();
  options.load_format = "dummy";
  std::vector<Request> requests(2 * static_cast<std::size_t>(state.num_processes()));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].token_ids.emplace();
    for (std::size_t t = 0; t < 40; ++t) {
      requests[i].token_ids->push_back(static_cast<std::int32_t>((i * 131 + t * 37) % 512));
    }
  }
  const auto mine = state.split_between_processes(requests);
  std::vector<float> own;
  for (const Score& score : Engine(state.alone(options)).score(mine.items)) {
    own.insert(own.end(), score.logprobs.begin(), score.logprobs.end());
  }
  const std::vector<float> alone = state.gather(own, mine);
  const bool tensor = state.num_processes() <= most_tensor_ranks;
  (tensor ? options.tensor_parallel_size : options.data_parallel_size) = state.num_processes();
  std::vector<float> together;
  for (const Score& score : Engine(state.ranks(options)).score(requests)) {
    together.insert(together.end(), score.logprobs.begin(), score.logprobs.end());
  }
  require(!state.is_main_process() || (alone == together && !alone.empty()), "a model over ranks");
}

int run_rank() {
  const auto begin = std::chrono::steady_clock::now();
  const PartialState state;
  check_collectives(state);
  check_model(state);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const std::vector<std::string> places = state.gather_object(fmt::format(
      "rank {} of {}: local rank {}, {}, device {}", state.process_index(), state.num_processes(),
      state.local_process_index(), state.transport(), state.device().text()));
  if (!state.is_main_process()) return 0;
  for (const std::string& place : places) print_out(place + "\n");
  print_out(
      fmt::format("Splitting, gathering, sums, and a model alone and over {} ranks: all is "
                  "well ({:.1f} s).\n",
                  state.num_processes(), took.count()));
  return 0;
}

}  // namespace

int test_main(int argc, char** argv) {
  Arguments arguments(
      "test",
      "Checks this installation: ranks find each other, share out and gather data, "
      "and a small model\nwith made-up weights gives the same bytes on one rank and "
      "on all. Under mpirun, srun or torchrun\nit checks the ranks that they "
      "start.",
      {"trireme test", "trireme test --num_processes 4", "mpirun -n 2 trireme test"});
  int processes = 2;
  arguments.app()
      .add_option("-n,--num_processes,--num-processes", processes, "How many ranks [2]")
      ->type_name("N")
      ->check(at_least_one(128));
  arguments.add_exit_code(0, "all is well");
  if (!arguments.parse(argc, argv)) return 0;
  if (rank_place().started) return run_rank();
  LaunchSpec spec;
  spec.group_size = processes;
  spec.arguments = {"test"};
  return supervise(spec);
}

}  // namespace trireme
