#include "batch/compressed_source.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::size_t piece_bytes = std::size_t{64} << 10;
constexpr std::string_view gzip_magic = "\x1f\x8b";
constexpr std::string_view zstd_magic = "\x28\xb5\x2f\xfd";
constexpr std::size_t magic_bytes = 4;

struct Step {
  std::size_t consumed = 0;
  std::size_t produced = 0;
  std::string damage = {};  ///< what is wrong with the bytes that come next; empty: nothing
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual const char* format() const = 0;
  /// Takes some of `in`, fills some of `out`.
  virtual Step decode(std::span<const char> in, std::span<char> out) = 0;
  /// Whether the file may end here.
  virtual bool at_boundary() const = 0;
};

class GzipDecoder : public Decoder {
 public:
  GzipDecoder() {
    constexpr int largest_window_gzip_only = 15 + 16;
    if (inflateInit2(&stream_, largest_window_gzip_only) != Z_OK) {
      fail(ErrorKind::resource, "not enough memory to decompress gzip");
    }
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  const char* format() const override { return "gzip"; }
  bool at_boundary() const override { return member_ended_; }

  Step decode(std::span<const char> in, std::span<char> out) override {
    if (member_ended_) {
      if (in.empty()) return {};
      if (in[0] == '\0' || padded_) return skip_padding(in);
      inflateReset(&stream_);
      member_ended_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) fail(ErrorKind::resource, "not enough memory to decompress gzip");
    member_ended_ = result == Z_STREAM_END;
    Step step{in.size() - stream_.avail_in, out.size() - stream_.avail_out};
    // Z_BUF_ERROR: nothing to do just now.
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      step.damage = stream_.msg != nullptr ? stream_.msg : "a preset dictionary";
    }
    return step;
  }

 private:
  /// Tapes and block devices fill up with zeros; gzip takes them for the end, too.
  Step skip_padding(std::span<const char> in) {
    padded_ = true;
    if (std::ranges::any_of(in, [](char c) { return c != '\0'; })) {
      return {0, 0, "other bytes follow its end"};
    }
    return {in.size(), 0};
  }

  z_stream stream_{};
  bool member_ended_ = false;
  bool padded_ = false;
};

class ZstdDecoder : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    if (context_ == nullptr) fail(ErrorKind::resource, "not enough memory to decompress zstd");
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, zstd_window_log);
  }
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;

  const char* format() const override { return "zstd"; }
  bool at_boundary() const override { return frame_ended_; }

  Step decode(std::span<const char> in, std::span<char> out) override {
    if (in.empty() && frame_ended_) return {};
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t hint = ZSTD_decompressStream(context_, &output, &input);
    frame_ended_ = hint == 0;
    return {input.pos, output.pos, ZSTD_isError(hint) ? reason(hint) : ""};
  }

 private:
  static std::string reason(std::size_t error) {
    switch (ZSTD_getErrorCode(error)) {
      case ZSTD_error_memory_allocation:
        fail(ErrorKind::resource, "not enough memory to decompress zstd");
      case ZSTD_error_frameParameter_windowTooLarge:
        return fmt::format(
            "its window is larger than {} MiB, which decompressing would hold in memory; "
            "compress it without --ultra and --long: zstdcat --memory=2048MB FILE | zstd > NEW.zst",
            (1 << zstd_window_log) >> 20);
      case ZSTD_error_prefix_unknown:
        return "other bytes follow its end";
      default:
        return ZSTD_getErrorName(error);
    }
  }

  ZSTD_DCtx* context_;
  bool frame_ended_ = false;
};

class Decompressor : public ByteSource {
 public:
  Decompressor(std::unique_ptr<ByteSource> source, std::unique_ptr<Decoder> decoder)
      : source_(std::move(source)), decoder_(std::move(decoder)), in_(piece_bytes) {}

  std::size_t read(std::span<char> out) override {
    while (position_ == out_.size() && !ended_) step();
    const std::size_t count = std::min(out.size(), out_.size() - position_);
    std::copy_n(out_.data() + position_, count, out.data());
    position_ += count;
    return count;
  }

  bool ready() override {
    while (position_ == out_.size() && !ended_) {
      const bool waits = in_begin_ == in_end_ && !may_hold_more_;
      if (waits && !source_->ready()) return false;
      step();
    }
    return true;
  }

  const std::string& name() const override { return source_->name(); }

 private:
  /// Decodes what is there, or takes in some more. Damage is told when all before it is taken.
  void step() {
    if (!damage_.empty()) {
      fail(ErrorKind::input, "{}: the {} data is damaged near byte {}: {}", name(),
           decoder_->format(), offset_, damage_);
    }
    if (in_begin_ == in_end_ && !may_hold_more_) {
      in_begin_ = 0;
      in_end_ = source_->read(in_);
      if (in_end_ == 0) return end();
    }
    out_.resize(piece_bytes);
    Step done = decoder_->decode(std::span(in_).subspan(in_begin_, in_end_ - in_begin_), out_);
    in_begin_ += done.consumed;
    offset_ += done.consumed;
    out_.resize(done.produced);
    damage_ = std::move(done.damage);
    position_ = 0;
    may_hold_more_ = out_.size() == piece_bytes;
  }

  void end() {
    if (!decoder_->at_boundary()) {
      fail(ErrorKind::input,
           "{}: the {} data is cut short at byte {}: is the file still being written, or was it "
           "not copied whole?",
           name(), decoder_->format(), offset_);
    }
    ended_ = true;
  }

  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<char> in_;
  std::size_t in_begin_ = 0, in_end_ = 0;
  std::vector<char> out_;
  std::size_t position_ = 0;  ///< of the first byte in out_ that nobody has taken
  bool may_hold_more_ = false;
  bool ended_ = false;
  std::string damage_;
  std::uint64_t offset_ = 0;  ///< compressed bytes decoded
};

/// The bytes that were taken to look at, and then the rest.
class Rejoined : public ByteSource {
 public:
  Rejoined(std::string start, std::unique_ptr<ByteSource> rest)
      : start_(std::move(start)), rest_(std::move(rest)) {}

  std::size_t read(std::span<char> out) override {
    if (start_.empty()) return rest_->read(out);
    const std::size_t count = std::min(out.size(), start_.size());
    start_.copy(out.data(), count);
    start_.erase(0, count);
    return count;
  }
  bool ready() override { return !start_.empty() || rest_->ready(); }
  const std::string& name() const override { return rest_->name(); }

 private:
  std::string start_;
  std::unique_ptr<ByteSource> rest_;
};

std::string first_bytes(ByteSource& source) {
  std::string start(magic_bytes, '\0');
  std::size_t size = 0;
  while (size < start.size()) {
    const std::size_t got = source.read(std::span(start).subspan(size));
    if (got == 0) break;
    size += got;
  }
  start.resize(size);
  return start;
}

/// With a frame, or with one that is to be skipped, as pzstd does.
bool begins_as_zstd(std::string_view start) {
  const bool skippable = start.size() >= magic_bytes && (start[0] & 0xf0) == 0x50 &&
                         start.substr(1).starts_with("\x2a\x4d\x18");
  return skippable || start.starts_with(zstd_magic);
}

/// Text that calls itself compressed was renamed, or decompressed on its way by a download.
void check_name(std::string_view name, std::string_view start) {
  for (const auto& [extension, right, format] :
       {std::tuple{".gz", start.starts_with(gzip_magic), "gzip"},
        std::tuple{".zst", begins_as_zstd(start), "zstd"}}) {
    if (!name.ends_with(extension) || right) continue;
    fail(ErrorKind::input,
         "{}: its name says {}, but its first bytes do not; rename it if it is not compressed, "
         "else make it again",
         name, format);
  }
}

}  // namespace

std::string_view without_compression(std::string_view name) {
  for (const std::string_view extension : {".gz", ".zst"}) {
    if (name.ends_with(extension)) name.remove_suffix(extension.size());
  }
  return name;
}

std::unique_ptr<ByteSource> decompressed(std::unique_ptr<ByteSource> source) {
  std::string start = first_bytes(*source);
  check_name(source->name(), start);
  const bool gzip = start.starts_with(gzip_magic);
  const bool zstd = begins_as_zstd(start);
  auto whole = std::make_unique<Rejoined>(std::move(start), std::move(source));
  if (gzip)
    return std::make_unique<Decompressor>(std::move(whole), std::make_unique<GzipDecoder>());
  if (zstd)
    return std::make_unique<Decompressor>(std::move(whole), std::make_unique<ZstdDecoder>());
  return whole;
}

}  // namespace trireme
