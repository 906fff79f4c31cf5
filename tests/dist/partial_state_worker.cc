// One process of the tests of PartialState: `partial_state_worker MODE ...`, on the public headers.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "trireme/engine.h"
#include "trireme/partial_state.h"

namespace trireme {
namespace {

using Json = nlohmann::json;
using Strings = std::vector<std::string>;

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("wrong: " + what);
}

Strings items_of(int count) {
  Strings items;
  for (int i = 0; i < count; ++i) items.push_back("item " + std::to_string(i));
  return items;
}

HostTensor numbers(int rows) {
  HostTensor tensor(TensorDType::int64, {rows, 2});
  for (int i = 0; i < 2 * rows; ++i) tensor.values<std::int64_t>()[static_cast<std::size_t>(i)] = i;
  return tensor;
}

/// Split, work, gather: complete and in order, for any number of items and any kind of results.
void round_trip(const PartialState& state, int count, bool padding) {
  const Strings items = items_of(count);
  const auto mine = state.split_between_processes(items, {.apply_padding = padding});
  const std::string which = std::to_string(count) + (padding ? " padded" : "");
  require(items == items_of(count), "inputs are modified");
  Strings pairs;
  for (const std::string& item : mine) pairs.insert(pairs.end(), {item + " x", item + " y"});
  const Strings all = state.gather(pairs, mine);
  require(static_cast<int>(all.size()) == 2 * count, which + ": not as many");
  for (std::size_t i = 0; i < all.size(); ++i) {
    require(all[i] == items[i / 2] + (i % 2 == 0 ? " x" : " y"), which + ": not in order");
  }
  require(state.gather(mine.items, mine) == items, which + ": one result each");

  const Columns columns{{"numbers", numbers(count)}, {"text", items}};
  const auto rows = state.split_between_processes(columns, {.apply_padding = padding});
  require(state.gather(rows.items, rows) == columns, which + ": columns");
  const auto tensor = state.split_between_processes(numbers(count), {.apply_padding = padding});
  require(state.gather(tensor.items, tensor) == numbers(count), which + ": tensor");
  const std::int64_t whole = padding ? mine.size() * state.num_processes() : count;
  require(static_cast<std::int64_t>(state.gather_object(mine.items).size()) == whole,
          which + ": gather_object");
}

void properties(const PartialState& state, int most) {
  for (int count = 0; count <= most; ++count) {
    round_trip(state, count, false);
    round_trip(state, count, true);
  }
}

std::vector<std::int64_t> whole_numbers(const HostTensor& tensor) {
  const auto values = tensor.values<std::int64_t>();
  return {values.begin(), values.end()};
}

std::vector<std::int64_t> flat(const Json& rows) {
  if (!rows.is_array()) return {rows.get<std::int64_t>()};
  std::vector<std::int64_t> all;
  for (const Json& row : rows) {
    const auto inner = flat(row);
    all.insert(all.end(), inner.begin(), inner.end());
  }
  return all;
}

void check_reduction(const PartialState& state, const std::string& kind, const Json& theirs) {
  const auto process = static_cast<float>(state.process_index());
  const HostTensor own({3}, std::vector<float>{0.1f, 2 + process, -3 * process});
  const HostTensor all = state.reduce(own, kind == "mean"  ? Reduction::mean
                                           : kind == "sum" ? Reduction::sum
                                                           : Reduction::max);
  for (std::size_t i = 0; i < 3; ++i) {
    require(std::abs(all.values<float>()[i] - theirs[i].get<float>()) < 1e-6f, "reduce " + kind);
  }
}

/// Everything that Accelerate did in the run that the golden file records.
void golden(const PartialState& state, const std::string& path) {
  std::ifstream file(path);
  int compared = 0;
  for (const Json& run : Json::parse(file)) {
    if (run["processes"] != state.num_processes()) continue;
    const Json& theirs = run["values"][static_cast<std::size_t>(state.process_index())];
    const std::string what = run["what"];
    const int count = run["items"];
    const SplitOptions padding{.apply_padding = run["padding"]};
    ++compared;
    if (what == "tensor") {
      const HostTensor mine = state.split_between_processes(numbers(count), padding).items;
      require(whole_numbers(mine) == flat(theirs), run.dump());
    } else if (what == "gather") {  // theirs keeps the padding, in the middle of the results
      const auto mine = state.split_between_processes(numbers(count), padding);
      const HostTensor all = state.gather(mine.items);
      for (std::size_t i = 0; i < theirs.size(); ++i) {
        require(whole_numbers(all)[2 * i] == 2 * theirs[i].get<std::int64_t>(), run.dump());
      }
      require(whole_numbers(state.gather(mine.items, mine)) == whole_numbers(numbers(count)),
              "complete: " + run.dump());
    } else if (what == "gather_object") {
      const auto mine = state.split_between_processes(items_of(count), padding);
      require(state.gather_object(mine.items) == theirs.get<Strings>(), run.dump());
    } else if (what.starts_with("pad_across_processes")) {
      const int length = 1 + state.process_index();
      HostTensor own(TensorDType::int64, {1, length});
      for (int i = 0; i < length; ++i) {
        own.values<std::int64_t>()[static_cast<std::size_t>(i)] = i + 10 * state.process_index();
      }
      const PadOptions options{.dim = 1, .pad_index = -1, .pad_first = what.ends_with("True")};
      require(whole_numbers(state.pad_across_processes(own, options)) == flat(theirs), run.dump());
    } else if (what.starts_with("reduce ")) {
      check_reduction(state, what.substr(7), theirs);
    }
  }
  require(compared > 50, "the golden file is not there");
}

/// The rest of the interface.
void manners(const PartialState& state) {
  const int last = state.num_processes() - 1;
  require(state.is_main_process() == (state.process_index() == 0), "is_main_process");
  require(state.is_last_process() == (state.process_index() == last), "is_last_process");
  require(state.device().text() == "cpu", "device");
  require(PartialState().process_index() == state.process_index(), "another one is the same");
  state.print("once");
  state.on_main_process([] { std::puts("main"); });
  state.on_last_process([] { std::puts("last"); });
  std::fflush(stdout);
  require(state.broadcast(std::string(state.is_last_process() ? "from last" : "?"), last) ==
              "from last",
          "broadcast");
  require(state.broadcast(std::vector<int>(2, state.process_index()), 0) == std::vector<int>{0, 0},
          "broadcast of a list");
  require(state.gather_object(std::to_string(state.process_index())).back() == std::to_string(last),
          "gather_object");
  const HostTensor wide({2, 3}, std::vector<std::int32_t>{1, 2, 3, 4, 5, 6});
  require(state.gather(wide).shape() == std::vector<std::int64_t>({2 * (last + 1), 3}), "gather");
  const HostTensor one(TensorDType::float32, {});
  require(state.gather(one).elements() == last + 1, "gather of numbers");
  const HostTensor some = state.is_main_process() ? wide : HostTensor();
  require(state.gather(some) == wide, "who has nothing passes an empty tensor");
  const HostTensor whole({2}, std::vector<std::int64_t>{1, INT64_MAX});
  const HostTensor sum = state.reduce(whole, Reduction::sum);
  require(sum.values<std::int64_t>()[0] == last + 1, "sum of integers");
  HostTensor half(TensorDType::bfloat16, {1});
  half.values<std::uint16_t>()[0] = 0x3f80;  // 1
  require(state.reduce(half).values<std::uint16_t>()[0] == 0x3f80, "mean of bfloat16");
  const HostTensor nan({2}, std::vector<double>{state.is_main_process() ? NAN : 1, 2});
  require(std::isnan(state.reduce(nan, Reduction::max).values<double>()[0]), "NaN is the largest");
  state.wait_for_everyone();
}

/// Who is first has written before the others read.
void first(const PartialState& state, const std::string& file) {
  state.main_process_first([&] {
    if (state.is_main_process()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      std::ofstream(file) << "here";
    } else {
      require(std::ifstream(file).good(), "not first");
    }
  });
}

/// What processes must not do differently: all throw the same error.
void differ(const PartialState& state, const std::string& how) {
  const bool main = state.is_main_process();
  const auto wrong = [&] {
    if (how == "call") main ? state.wait_for_everyone() : void(state.gather(std::vector<int>{1}));
    if (how == "kind") main ? void(state.gather(Strings{"a"})) : void(state.gather(numbers(1)));
    if (how == "shape") state.gather(HostTensor(TensorDType::float32, {1, main ? 2 : 3}));
    if (how == "mean") state.reduce(HostTensor(TensorDType::int64, {1}));
    if (how == "dim") state.pad_across_processes(HostTensor(TensorDType::int64, {1}), {.dim = 1});
    if (how == "value") {
      state.pad_across_processes(HostTensor(TensorDType::uint8, {1}), {.pad_index = -1});
    }
    if (how == "results") {
      const auto mine = state.split_between_processes(items_of(4));
      state.gather(main ? Strings{"only one"} : mine.items, mine);
    }
    if (how == "first") state.main_process_first([] { throw Error(ErrorKind::input, "no file"); });
  };
  try {
    wrong();
  } catch (const CommonError& error) {
    for (const std::string& each : state.gather_object(std::string(error.what()))) {
      require(each == error.what(), "another error: " + each);
    }
    state.on_main_process([&] { std::printf("%s\n", error.what()); });
    return;
  }
  throw std::runtime_error("nothing was thrown");
}

/// The last process ends in the middle of a run; the others say how long they noticed nothing.
void die(const PartialState& state, const std::string& how) {
  state.wait_for_everyone();
  if (state.is_last_process()) {
    if (how == "kill") raise(SIGKILL);
    if (how == "exit") _exit(3);
    if (how == "throw") throw Error(ErrorKind::resource, "no memory left");
    return;  // "leave"
  }
  const auto begin = std::chrono::steady_clock::now();
  try {
    state.gather(std::vector<int>{1});
  } catch (const Error& error) {
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - begin;
    require(waited.count() < 1.0, "noticed after " + std::to_string(waited.count()) + " s");
    require(error.kind() == ErrorKind::peer_lost, error.what());
    std::fprintf(stderr, "noticed: %s\n", error.what());
    throw;
  }
}

/// A process may be busy with anything between two collectives.
void idle(const PartialState& state, int seconds) {
  if (state.is_last_process()) std::this_thread::sleep_for(std::chrono::seconds(seconds));
  state.wait_for_everyone();
}

/// Each process alone, then all together: the same bytes.
void engines(const PartialState& state, const std::string& model) {
  std::vector<Request> requests(3);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].prompt = "Scene " + std::to_string(i) + "\n";
    requests[i].sampling.max_new_tokens = 8;
    requests[i].row = i;
  }
  Options options;
  options.model = model;
  Engine own(state.alone(options));
  const auto mine = state.split_between_processes(requests, {.apply_padding = true});
  Strings texts;
  for (const Result& result : own.generate(mine)) texts.push_back(result.text);
  const Strings all = state.gather(texts, mine);
  require(all.size() == requests.size(), "not complete");

  options.tensor_parallel_size = state.num_processes();
  Engine together(state.ranks(options));
  const std::vector<Result> results = together.generate(requests);
  require(results.empty() == !state.is_main_process(), "rank 0 has the results");
  for (std::size_t i = 0; i < results.size(); ++i) {
    require(results[i].text == all[i], "another text: " + all[i]);
  }
  state.on_main_process([&] { std::printf("%s", all[2].c_str()); });
}

void run(const Strings& words) {
  const std::string& mode = words.at(0);
  if (mode == "again") {
    { const PartialState state; }
    const PartialState state;
    return;
  }
  const PartialState state;
  if (mode == "properties") properties(state, std::stoi(words.at(1)));
  if (mode == "golden") golden(state, words.at(1));
  if (mode == "manners") manners(state);
  if (mode == "first") first(state, words.at(1));
  if (mode == "differ") differ(state, words.at(1));
  if (mode == "die") die(state, words.at(1));
  if (mode == "idle") idle(state, std::stoi(words.at(1)));
  if (mode == "engines") engines(state, words.at(1));
  if (mode == "place") {
    std::printf("process %d of %d, local %d, %s\n", state.process_index(), state.num_processes(),
                state.local_process_index(), state.transport().c_str());
  }
}

}  // namespace
}  // namespace trireme

int main(int count, char** words) {
  try {
    trireme::run({words + 1, words + count});
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
