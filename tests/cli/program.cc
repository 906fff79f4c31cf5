#include "program.h"

#include <nlohmann/json.hpp>

namespace trireme::testing {

void write_huge_model(const TemporaryFolder& folder) {
  auto config = nlohmann::json::parse(read_file(llama() + "/config.json"));
  config["hidden_size"] = 8192 * 8;
  config["intermediate_size"] = 28672 * 8;
  config["num_hidden_layers"] = 80;
  config["num_attention_heads"] = 512;
  config["num_key_value_heads"] = 64;
  config["head_dim"] = 128;
  write_file(folder / "config.json", config.dump());
}

}  // namespace trireme::testing
