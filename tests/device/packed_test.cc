// Packing against plain loops that say where each weight belongs, at awkward sizes and addresses;
// and the integers of weights against the plain search for them.
#include "kernels/packed.h"

#include <algorithm>

#include "core/bulk_hash.h"
#include "kernels/quantize.h"
#include "support.h"

namespace trireme::test {
namespace {

using Bytes = std::vector<std::byte>;

/// One shard of f32, f16 or bf16: where element_index says.
void put_shard(const MatrixShape& shape, const std::byte* row, std::int64_t lane,
               std::int64_t width, std::byte* shard) {
  const std::size_t unit = size_of(shape.dtype);
  for (std::int64_t k = 0; k < width; ++k) {
    const auto at = static_cast<std::size_t>(packed::element_index(shape.dtype, lane, k));
    std::memcpy(shard + at * unit, row + static_cast<std::size_t>(k) * unit, unit);
  }
}

/// The integers of one group of one row; puts what stands before them.
std::vector<std::uint8_t> put_header(DType dtype, const float* w, std::int64_t lane,
                                     std::int64_t width, std::byte* group) {
  std::vector<std::uint8_t> q(static_cast<std::size_t>(width));
  std::uint16_t scale = 0;
  if (dtype == DType::u4) {
    for (std::int64_t k = 0; k < width; ++k) {
      q[static_cast<std::size_t>(k)] = std::bit_cast<CodedWeight>(w[k]).code;
    }
    scale = std::bit_cast<CodedWeight>(w[0]).scale;
    const std::uint16_t zero = f32_to_f16(std::bit_cast<CodedWeight>(w[0]).zero);
    std::memcpy(group + 64 + lane * 2, &zero, 2);
  } else {
    scale = quant::quantize_weights(w, width, dtype, q.data());
  }
  std::memcpy(group + lane * 2, &scale, 2);
  return q;
}

/// One group of i8, i4 or u4 of one row, as packed.h draws it.
void put_group(DType dtype, const float* w, std::int64_t lane, std::int64_t width,
               std::byte* group) {
  const std::vector<std::uint8_t> q = put_header(dtype, w, lane, width, group);
  std::byte* integers = group + (dtype == DType::u4 ? 128 : 64);
  for (std::int64_t k = 0; k < width; ++k) {
    const std::byte value{q[static_cast<std::size_t>(k)]};
    if (dtype == DType::i8) {
      integers[(k / 4 * 32 + lane) * 4 + k % 4] = value;
      continue;
    }
    std::byte& both = integers[(k / 8 * 32 + lane) * 4 + k % 4];
    both = k % 8 < 4 ? (both & std::byte{0xf0}) | value : (both & std::byte{0x0f}) | value << 4;
  }
}

/// What lies there where no weight does.
Bytes empty_group(DType dtype, std::int64_t width) {
  const std::byte fill{static_cast<std::uint8_t>(dtype == DType::i8   ? 0x80
                                                 : dtype == DType::i4 ? 0x88
                                                                      : 0)};
  Bytes group(packed_group_bytes(dtype, width), fill);
  std::fill_n(group.begin(), 64, std::byte{0});
  return group;
}

void put_groups(const MatrixShape& shape, const Floats& source, std::int64_t rows,
                std::int64_t k_begin, std::int64_t width, Bytes& out) {
  for (std::int64_t k = 0; k < width; k += shape.group) {
    const std::int64_t count = std::min(shape.group, width - k);
    Bytes group = empty_group(shape.dtype, count);
    for (std::int64_t lane = 0; lane < rows; ++lane) {
      put_group(shape.dtype, source.data() + lane * shape.k() + k_begin + k, lane, count,
                group.data());
    }
    out.insert(out.end(), group.begin(), group.end());
  }
}

Bytes expected_panel(const MatrixShape& shape, const Floats& source, std::int64_t rows) {
  const Bytes bytes = encoded(source, shape.group > 0 ? DType::f32 : shape.dtype);
  Bytes panel;
  std::int64_t k_begin = 0;
  for (const std::int64_t width : shape.k_shards) {
    if (shape.group > 0) {
      put_groups(shape, source, rows, k_begin, width, panel);
    } else {
      Bytes shard(packed_shard_bytes(shape.format(), width));
      for (std::int64_t lane = 0; lane < rows; ++lane) {
        const auto first = static_cast<std::size_t>(lane * shape.k() + k_begin);
        put_shard(shape, bytes.data() + first * size_of(shape.dtype), lane, width, shard.data());
      }
      panel.insert(panel.end(), shard.begin(), shard.end());
    }
    k_begin += width;
  }
  return panel;
}

/// Packs from an odd address into memory that holds rubbish: every byte must be written.
Bytes packed_panel(const MatrixShape& shape, const Floats& source) {
  const Bytes bytes = encoded(source, shape.group > 0 ? DType::f32 : shape.dtype);
  Bytes shifted(bytes.size() + 1);
  std::ranges::copy(bytes, shifted.begin() + 1);
  Bytes panel(packed::panel_bytes(shape), std::byte{0xa5});
  packed::pack_panel(shape, 0, shifted.data() + 1, panel.data());
  return panel;
}

const std::vector<Format> formats{DType::f32,      DType::f16,       DType::bf16,
                                  {DType::i8, 64}, {DType::i8, 128}, {DType::i4, 64},
                                  {DType::i4, 8},  {DType::i8, 512}, {DType::u4, 128},
                                  {DType::u4, 32}, {DType::u4, 8}};

TEST(PackPanel, PutsEveryWeightInItsPlace) {
  Random random(11);
  const std::vector<std::vector<std::int64_t>> shards{
      {1}, {2}, {3}, {7}, {8}, {15}, {16}, {33}, {64}, {129}, {5, 0, 31, 100}, {256, 256}, {600}};
  for (const Format& format : formats) {
    for (const auto& widths : shards) {
      for (const std::int64_t rows : {1, 3, 4, 7, 8, 31, 32}) {
        const MatrixShape shape{rows, widths, format.dtype, format.group};
        const Floats source = Matrix(random, rows, widths, format).source;
        EXPECT_EQ(packed_panel(shape, source), expected_panel(shape, source, rows))
            << name_of(format) << ", " << rows << " rows, k " << shape.k();
      }
    }
  }
}

/// Numbers that need no library: the same on every machine.
Floats plain_values(std::int64_t count, bool codes) {
  Floats values;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto number = static_cast<float>(i * 7919 % 20011 - 10000) / 65536.0f;
    const CodedWeight code{static_cast<std::uint8_t>(i * 7 % 16), 3, f32_to_f16(0.5f)};
    values.push_back(codes ? std::bit_cast<float>(code) : number);
  }
  return values;
}

/// Packed weights are kept on disk and found again by Backend::packing(). Whoever gives a weight
/// other bytes on purpose raises the version there, and then changes this hash.
TEST(PackPanel, BytesBelongToTheVersionOfThePacking) {
  Bytes all;
  for (const Format& format : formats) {
    const MatrixShape shape{29, {5, 96, 600}, format.dtype, format.group};
    const Floats source = plain_values(29 * shape.k(), format.dtype == DType::u4);
    const Bytes panel = packed_panel(shape, source);
    all.insert(all.end(), panel.begin(), panel.end());
  }
  EXPECT_EQ(bulk_hash(all), 16193517201447608959ull);
  for (const std::string& name : available_backends()) {
    EXPECT_EQ(make_backend(name)->packing(), "panels of 32, version 1") << name;
  }
}

/// Seven scales, one after another, each with its squared error's plain sum.
float plain_four_bit_scale(const Floats& w) {
  float extreme = 0;
  for (const float value : w) extreme = std::fabs(value) > std::fabs(extreme) ? value : extreme;
  float most = -1;
  float scale = 0;
  for (const float level : {-8.0f, -7.6f, -7.2f, -6.8f, -8.5f, -9.1f, 7.0f}) {
    const float inverse = level / extreme;
    float products = 0;
    float squares = 0;
    for (const float value : w) {
      const float q = std::clamp(std::nearbyint(value * inverse), -8.0f, 7.0f);
      products += value * q;
      squares += q * q;
    }
    if (squares == 0 || !(products * products / squares > most)) continue;
    most = products * products / squares;
    scale = products / squares;
  }
  return extreme == 0 ? 0 : scale;
}

TEST(QuantizeWeights, FourBitsHaveTheScaleOfThePlainSearch) {
  Random random(12);
  for (const std::int64_t count : {1, 2, 3, 5, 8, 63, 64, 65, 512}) {
    for (int turn = 0; turn < 200; ++turn) {
      Floats w = random.values(count);
      if (turn % 8 == 0) std::ranges::fill(w, w[0]);
      if (turn % 8 == 1) {
        for (float& value : w) value *= 1e-37f;  // down to denormals: an inverse may be infinite
      }
      std::vector<std::uint8_t> q(w.size());
      EXPECT_EQ(quant::quantize_weights(w.data(), count, DType::i4, q.data()),
                f32_to_f16(plain_four_bit_scale(w)))
          << count << " weights, turn " << turn;
    }
  }
}

}  // namespace
}  // namespace trireme::test
