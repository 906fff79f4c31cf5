#include "batch/columns.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace trireme {

namespace {

struct TaskColumns {
  RowTask task;
  std::vector<RowColumn> columns;  ///< between the id and the error
};

const std::vector<TaskColumns>& all_tasks() {
  using enum RowColumnType;
  static const std::vector<RowColumn> generated{
      {"text"}, {"prompt_tokens", integer}, {"completion_tokens", integer}, {"finish_reason"}};
  static const std::vector<TaskColumns> tasks{
      {RowTask::generate, generated},
      {RowTask::translate, generated},
      {RowTask::embed,
       {{"embedding", reals32}, {"prompt_tokens", integer}, {"truncated", boolean}}},
      {RowTask::classify,
       {{"label"},
        {"score", real32},
        {"scores"},
        {"prompt_tokens", integer},
        {"truncated", boolean}}},
      {RowTask::choose,
       {{"label"}, {"probability", real32}, {"probabilities"}, {"prompt_tokens", integer}}},
      {RowTask::fill_mask, {{"masks"}, {"prompt_tokens", integer}, {"truncated", boolean}}}};
  return tasks;
}

bool is_own_of_answer(RowTask task, std::string_view name) {
  // Among rows that generate, those that bring labels choose.
  if (task != RowTask::choose && !reads_texts(task) && is_own_of_answer(RowTask::choose, name))
    return true;
  const std::vector<RowColumn> columns = answer_columns(task);
  return name == "error" || std::ranges::find(columns, name, &RowColumn::name) != columns.end();
}

const RowColumn* find(const std::vector<RowColumn>& columns, std::string_view name) {
  const auto found = std::ranges::find(columns, name, &RowColumn::name);
  return found == columns.end() ? nullptr : &*found;
}

std::string list_of(const std::vector<RowColumn>& columns) {
  std::string list;
  for (const RowColumn& column : columns) list += (list.empty() ? "" : ", ") + column.name;
  return list;
}

}  // namespace

std::vector<RowColumn> answer_columns(RowTask task) {
  std::vector<RowColumn> columns{{"id"}};
  const auto found = std::ranges::find(all_tasks(), task, &TaskColumns::task);
  TRIREME_ASSERT(found != all_tasks().end());
  columns.insert(columns.end(), found->columns.begin(), found->columns.end());
  columns.insert(columns.end(), {{"error_code"}, {"error_message"}});
  return columns;
}

std::string kept_name(RowTask task, std::string_view name) {
  constexpr std::string_view prefix = "input_";
  std::string_view bare = name;
  while (bare.starts_with(prefix)) bare.remove_prefix(prefix.size());
  return std::string(is_own_of_answer(task, bare) ? prefix : "") + std::string(name);
}

bool is_kept(const RowSettings& settings, std::string_view name) {
  const auto& wanted = settings.keep_columns;
  if (!wanted || name == "id") return false;
  return wanted->empty() || std::ranges::find(*wanted, name) != wanted->end();
}

void check_kept_columns(const RowSettings& settings, const std::vector<RowColumn>& own) {
  if (!settings.keep_columns) return;
  std::set<std::string_view> seen;
  for (const std::string& name : *settings.keep_columns) {
    if (!seen.insert(name).second) {
      fail(ErrorKind::usage, "--keep-columns: \"{}\" is named twice", name);
    }
    if (own.empty() || find(own, name) != nullptr) continue;
    fail(ErrorKind::usage, "--keep-columns: no column \"{}\"; the input has: {}", name,
         list_of(own));
  }
}

std::vector<RowColumn> table_columns(const RowSettings& settings,
                                     const std::vector<RowColumn>& own) {
  const auto& wanted = settings.keep_columns;
  if (wanted && wanted->empty() && own.empty()) {
    fail(ErrorKind::usage,
         "--keep-columns: rows of JSON may each have other columns, and a table has the same for "
         "all; name those to keep: --keep-columns a,b (or write JSON Lines)");
  }
  std::vector<RowColumn> columns;
  const auto keep = [&](const std::string& name, RowColumnType type) {
    if (is_kept(settings, name)) columns.push_back({kept_name(settings.task, name), type});
  };
  if (wanted && wanted->empty()) {
    for (const RowColumn& column : own) keep(column.name, column.type);
  } else if (wanted) {
    for (const std::string& name : *wanted) {
      const RowColumn* const column = find(own, name);
      keep(name, column != nullptr ? column->type : RowColumnType::text);
    }
  }
  std::vector<RowColumn> answers = answer_columns(settings.task);
  const RowColumn* const id = find(own, "id");  // of Parquet: as it is there
  if (id != nullptr && id->type == RowColumnType::integer) answers[0].type = id->type;
  columns.insert(columns.end(), answers.begin(), answers.end());
  return columns;
}

}  // namespace trireme
