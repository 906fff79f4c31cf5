// Columns of several kinds, a result for each row, and a number over all processes; no model.
//
//   trireme launch --num_processes 3 columns
#include <cstdio>
#include <string>
#include <vector>

#include "trireme/partial_state.h"

int main() {
  try {
    const trireme::PartialState state;
    const trireme::Columns rows{
        {"text", std::vector<std::string>{"one", "two", "three", "four", "five"}},
        {"weight", trireme::HostTensor({5}, std::vector<float>{1, 2, 3, 4, 5})}};

    const auto mine = state.split_between_processes(rows);
    const auto& texts = std::get<std::vector<std::string>>(mine.items.at("text"));
    const auto weights = std::get<trireme::HostTensor>(mine.items.at("weight"));
    std::vector<float> scores;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      scores.push_back(weights.values<float>()[i] * static_cast<float>(texts[i].size()));
    }

    const std::vector<float> all = state.gather(scores, mine);
    trireme::HostTensor own({1}, std::vector<float>{0});
    for (const float score : scores) own.values<float>()[0] += score;
    const auto sum = state.reduce(own, trireme::Reduction::sum);
    state.on_main_process([&] {
      for (const float score : all) std::printf("%g\n", static_cast<double>(score));
      std::printf("sum %g\n", static_cast<double>(sum.values<float>()[0]));
    });
  } catch (const trireme::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return trireme::exit_code(error.kind());
  }
}
