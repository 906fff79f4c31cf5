// "Classify {question} as one of {labels}": a prompt with columns of the row filled in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trireme {

class PromptTemplate {
 public:
  /// {name} stands for a column, {{ and }} for braces. Throws Error(usage), naming the flag that
  /// `text` comes from, on a lone brace or an empty name.
  explicit PromptTemplate(std::string_view text, std::string_view flag = "--prompt-template");

  struct Piece {
    std::string text;  ///< a literal, or the column's name
    bool is_column = false;
  };
  const std::vector<Piece>& pieces() const { return pieces_; }
  bool empty() const { return pieces_.empty(); }
  const std::string& flag() const { return flag_; }

 private:
  std::string flag_;
  std::vector<Piece> pieces_;
};

}  // namespace trireme
