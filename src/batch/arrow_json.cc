#include "batch/arrow_json.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <type_traits>

#include "batch/json_text.h"

namespace trireme {

namespace {

template <typename Array>
void append_number(std::string& out, const arrow::Array& array, std::int64_t index) {
  const auto value = static_cast<const Array&>(array).Value(index);
  if constexpr (std::is_floating_point_v<decltype(value)>) {
    if (!std::isfinite(value)) {
      out += "null";
      return;
    }
  }
  out += fmt::format("{}", value);
}

template <typename Array>
void append_text(std::string& out, const arrow::Array& array, std::int64_t index) {
  append_json_string(out, static_cast<const Array&>(array).GetView(index));
}

/// "2026-01-31", or the bare number of days where that is beyond all calendars.
std::string date_text(std::int64_t days) {
  constexpr std::int64_t most = 10'000'000;
  if (days < -most || days > most) return fmt::format("{} days", days);
  const std::chrono::year_month_day date{
      std::chrono::sys_days{std::chrono::days{static_cast<int>(days)}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

/// "12:00:00.25": as many digits as it takes.
std::string time_text(std::int64_t count, std::int64_t per_second) {
  const std::int64_t seconds = count / per_second;
  std::string text =
      fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  std::int64_t rest = count % per_second;
  if (rest == 0) return text;
  text += '.';
  for (std::int64_t unit = per_second / 10; rest > 0; unit /= 10) {
    text += static_cast<char>('0' + rest / unit);
    rest %= unit;
  }
  return text;
}

std::int64_t per_second(arrow::TimeUnit::type unit) {
  constexpr std::int64_t counts[] = {1, 1'000, 1'000'000, 1'000'000'000};
  return counts[static_cast<std::size_t>(unit)];
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

void append_timestamp(std::string& out, const arrow::Array& array, std::int64_t index) {
  const auto& type = static_cast<const arrow::TimestampType&>(*array.type());
  const std::int64_t value = static_cast<const arrow::TimestampArray&>(array).Value(index);
  const std::int64_t second = per_second(type.unit()), day = 86'400 * second;
  const std::int64_t days = floor_divide(value, day);
  out += fmt::format("\"{}T{}{}\"", date_text(days), time_text(value - days * day, second),
                     type.timezone().empty() ? "" : "Z");
}

void append_items(std::string& out, const arrow::Array& items, std::int64_t begin,
                  std::int64_t end) {
  out += '[';
  for (std::int64_t i = begin; i < end; ++i) {
    if (i != begin) out += ',';
    append_json(out, items, i);
  }
  out += ']';
}

template <typename Array>
void append_list(std::string& out, const arrow::Array& array, std::int64_t index) {
  const auto& list = static_cast<const Array&>(array);
  append_items(out, *list.values(), list.value_offset(index),
               list.value_offset(index) + list.value_length(index));
}

void append_struct(std::string& out, const arrow::Array& array, std::int64_t index) {
  const auto& structure = static_cast<const arrow::StructArray&>(array);
  out += '{';
  for (int field = 0; field < structure.num_fields(); ++field) {
    if (field != 0) out += ',';
    append_json_string(out, structure.type()->field(field)->name());
    out += ':';
    append_json(out, *structure.field(field), index);
  }
  out += '}';
}

void append_dictionary(std::string& out, const arrow::Array& array, std::int64_t index) {
  const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
  append_json(out, *coded.dictionary(), coded.GetValueIndex(index));
}

void append_other(std::string& out, const arrow::Array& array, std::int64_t index) {
  const auto scalar = array.GetScalar(index);
  append_json_string(out, scalar.ok() ? (*scalar)->ToString() : "");
}

}  // namespace

void append_json(std::string& out, const arrow::Array& array, std::int64_t index) {
  using arrow::Type;
  if (array.IsNull(index)) {
    out += "null";
    return;
  }
  switch (array.type_id()) {
    case Type::BOOL:
      out += static_cast<const arrow::BooleanArray&>(array).Value(index) ? "true" : "false";
      return;
    case Type::INT8:
      return append_number<arrow::Int8Array>(out, array, index);
    case Type::INT16:
      return append_number<arrow::Int16Array>(out, array, index);
    case Type::INT32:
      return append_number<arrow::Int32Array>(out, array, index);
    case Type::INT64:
      return append_number<arrow::Int64Array>(out, array, index);
    case Type::UINT8:
      return append_number<arrow::UInt8Array>(out, array, index);
    case Type::UINT16:
      return append_number<arrow::UInt16Array>(out, array, index);
    case Type::UINT32:
      return append_number<arrow::UInt32Array>(out, array, index);
    case Type::UINT64:
      return append_number<arrow::UInt64Array>(out, array, index);
    case Type::FLOAT:
      return append_number<arrow::FloatArray>(out, array, index);
    case Type::DOUBLE:
      return append_number<arrow::DoubleArray>(out, array, index);
    case Type::STRING:
      return append_text<arrow::StringArray>(out, array, index);
    case Type::LARGE_STRING:
      return append_text<arrow::LargeStringArray>(out, array, index);
    case Type::BINARY:
      return append_text<arrow::BinaryArray>(out, array, index);
    case Type::LARGE_BINARY:
      return append_text<arrow::LargeBinaryArray>(out, array, index);
    case Type::DATE32:
      out += '"' + date_text(static_cast<const arrow::Date32Array&>(array).Value(index)) + '"';
      return;
    case Type::TIMESTAMP:
      return append_timestamp(out, array, index);
    case Type::LIST:
      return append_list<arrow::ListArray>(out, array, index);
    case Type::LARGE_LIST:
      return append_list<arrow::LargeListArray>(out, array, index);
    case Type::FIXED_SIZE_LIST:
      return append_list<arrow::FixedSizeListArray>(out, array, index);
    case Type::STRUCT:
      return append_struct(out, array, index);
    case Type::MAP:
      return append_list<arrow::MapArray>(out, array, index);
    case Type::DICTIONARY:
      return append_dictionary(out, array, index);
    default:
      return append_other(out, array, index);
  }
}

}  // namespace trireme
