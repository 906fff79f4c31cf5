// SentencePiece's scores as the merges of byte pair encoding.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trireme {

/// The pairs of tokens whose union is a token, best score first, as transformers orders them
/// (GGUFTokenizerSkeleton of integrations/ggml.py): then later tokens, ties of a token by its
/// halves' scores. No score may be NaN.
std::vector<std::pair<std::string, std::string>> merges_of_scores(
    const std::vector<std::string>& tokens, std::span<const double> scores);

}  // namespace trireme
