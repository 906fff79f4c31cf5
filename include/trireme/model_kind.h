// What a model is for.
#pragma once

#include <cstdint>
#include <string_view>

namespace trireme {

/// What a model is for: what its last block gives.
enum class ModelKind : std::uint8_t {
  decoder,          ///< goes on with a text: generate(), score()
  encoder_decoder,  ///< answers a text (T5): generate()
  sentence,         ///< a vector for a text: embed()
  classifier,       ///< labels: classify()
  masked_lm,        ///< what a mask stands for: fill_mask()
  features,         ///< numbers to numbers (torch.nn.Transformer): forward()
};
std::string_view name_of(ModelKind kind);

}  // namespace trireme
