#include "batch/compressed_sink.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace trireme {

namespace {

constexpr std::size_t piece_bytes = std::size_t{64} << 10;

class GzipSink : public CompressingSink {
 public:
  explicit GzipSink(ByteSink& sink) : sink_(sink), out_(piece_bytes) {
    constexpr int level = 6, window_with_gzip_header = 15 + 16, memory = 8;
    if (deflateInit2(&stream_, level, Z_DEFLATED, window_with_gzip_header, memory,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
      fail(ErrorKind::resource, "not enough memory to compress");
    }
  }
  ~GzipSink() override { deflateEnd(&stream_); }
  GzipSink(const GzipSink&) = delete;
  GzipSink& operator=(const GzipSink&) = delete;

  void write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::string_view piece =
          bytes.substr(0, std::size_t{1} << 30);  // zlib counts in 32 bits
      deflate_all(piece, Z_NO_FLUSH);
      bytes.remove_prefix(piece.size());
    }
  }
  void finish() override { deflate_all({}, Z_FINISH); }

 private:
  void deflate_all(std::string_view bytes, int flush) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(out_.data());
      stream_.avail_out = static_cast<uInt>(out_.size());
      deflate(&stream_, flush);
      sink_.write({out_.data(), out_.size() - stream_.avail_out});
    } while (stream_.avail_out == 0);
  }

  ByteSink& sink_;
  z_stream stream_{};
  std::vector<char> out_;
};

class ZstdSink : public CompressingSink {
 public:
  explicit ZstdSink(ByteSink& sink)
      : sink_(sink), context_(ZSTD_createCCtx()), out_(ZSTD_CStreamOutSize()) {
    if (context_ == nullptr) fail(ErrorKind::resource, "not enough memory to compress");
    ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
  }
  ~ZstdSink() override { ZSTD_freeCCtx(context_); }
  ZstdSink(const ZstdSink&) = delete;
  ZstdSink& operator=(const ZstdSink&) = delete;

  void write(std::string_view bytes) override { compress(bytes, ZSTD_e_continue); }
  void finish() override { compress({}, ZSTD_e_end); }

 private:
  void compress(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (bool done = false; !done;) {
      ZSTD_outBuffer out{out_.data(), out_.size(), 0};
      const std::size_t left = ZSTD_compressStream2(context_, &out, &in, directive);
      if (ZSTD_isError(left)) {
        fail(ErrorKind::resource, "cannot compress: {}", ZSTD_getErrorName(left));
      }
      sink_.write({out_.data(), out.pos});
      done = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
    }
  }

  ByteSink& sink_;
  ZSTD_CCtx* context_;
  std::vector<char> out_;
};

}  // namespace

std::unique_ptr<CompressingSink> compressing(OutputFormat::Compression compression,
                                             ByteSink& sink) {
  if (compression == OutputFormat::Compression::gzip) return std::make_unique<GzipSink>(sink);
  return std::make_unique<ZstdSink>(sink);
}

}  // namespace trireme
