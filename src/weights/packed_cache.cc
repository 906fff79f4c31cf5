#include "weights/packed_cache.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <system_error>

#include "core/bulk_hash.h"
#include "core/error.h"
#include "core/read_file.h"

namespace trireme {

namespace {

namespace fs = std::filesystem;

PackedHeader read_header(const InputFile& file) {
  if (file.size() < packed_cache_prefix) {
    fail(ErrorKind::input, "{}: no packed cache: it has {} bytes", file.name(), file.size());
  }
  std::array<std::byte, packed_cache_prefix> prefix;
  file.read(0, prefix.data(), prefix.size());
  std::vector<std::byte> bytes(checked_packed_header_bytes(prefix, file.size(), file.name()));
  file.read(0, bytes.data(), bytes.size());
  return parse_packed_header(bytes, file.name());
}

std::span<const std::byte> piece(std::span<const std::byte> payload, std::uint64_t index) {
  const std::uint64_t begin = index * packed_cache_piece;
  return payload.subspan(begin, std::min(packed_cache_piece, payload.size() - begin));
}

/// Compares every piece with its hash.
class Proof {
 public:
  Proof(const FileMap& map, std::uint64_t begin, const std::vector<std::uint64_t>& hashes)
      : map_(map), begin_(begin), payload_(map.bytes().subspan(begin)), hashes_(hashes) {}

  void run(ThreadPool& threads, const std::function<void()>& progress) {
    const auto look = [&](std::int64_t index, int thread) {
      if (!bad_.load(std::memory_order_relaxed)) look_at(static_cast<std::uint64_t>(index));
      if (thread == 0 && progress) progress();
    };
    threads.parallel_for_with_thread(static_cast<std::int64_t>(hashes_.size()), look);
  }

  /// A byte of the payload that is not as it was written lies in the piece that begins here.
  std::optional<std::uint64_t> wrong_at() const {
    if (!bad_) return std::nullopt;
    return where_.load();
  }

 private:
  void look_at(std::uint64_t index) {
    const std::span<const std::byte> bytes = piece(payload_, index);
    const std::uint64_t offset = begin_ + index * packed_cache_piece;
    // While this piece is hashed a disk reads the one that this thread takes next.
    if (index + 1 < hashes_.size()) {
      map_.will_read(offset + packed_cache_piece, piece(payload_, index + 1).size());
    }
    if (map_.populate(offset, bytes.size()) && bulk_hash(bytes) == hashes_[index]) return;
    where_ = index * packed_cache_piece;
    bad_ = true;
  }

  const FileMap& map_;
  std::uint64_t begin_;
  std::span<const std::byte> payload_;
  const std::vector<std::uint64_t>& hashes_;
  std::atomic<std::uint64_t> where_{0};
  std::atomic<bool> bad_{false};
};

/// Throws unless so much can be written with something to spare, which others on the disk need: a
/// job's own journal, for one.
void check_room(const fs::path& path, std::uint64_t bytes) {
  constexpr std::uint64_t spare = std::uint64_t{1} << 30;
  std::error_code unknown;  // then writing tells
  const fs::space_info space = fs::space(path.parent_path(), unknown);
  if (unknown || space.available >= bytes + std::min(spare, bytes)) return;
  fail(ErrorKind::resource,
       "{}: not written: it would take {} bytes, and {} are free there, of which some must remain; "
       "free some space or choose another place",
       path.string(), bytes, space.available);
}

/// A writer writes all the time: what nobody has written to for so long has lost its writer.
constexpr std::chrono::hours dead_after{1};

void remove_leftovers(const fs::path& directory) {
  const std::string inside = std::string(packed_cache_suffix) + ".";
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(AtomicFile::temporary_suffix) || name.find(inside) == name.npos) continue;
    const auto written_at = entry.last_write_time(ignored);
    if (ignored || fs::file_time_type::clock::now() - written_at < dead_after) continue;
    fs::remove(entry.path(), ignored);
  }
}

}  // namespace

std::optional<PackedCache> PackedCache::open(const fs::path& path, const PackedContents& expected,
                                             ThreadPool& threads,
                                             const std::function<void()>& progress) {
  if (!there_is(path)) return std::nullopt;
  const InputFile file(path);
  const PackedHeader header = read_header(file);
  const std::string wrong = difference(header.contents, expected);
  if (!wrong.empty()) fail(ErrorKind::input, "{}: {}", file.name(), wrong);
  FileMap map(file);
  const std::uint64_t begin = file.size() - expected.payload_bytes;
  Proof proof(map, begin, header.hashes);
  proof.run(threads, progress);
  if (const std::optional<std::uint64_t> at = proof.wrong_at()) {
    fail(ErrorKind::input, "{}: its weights are not as they were written, near byte {}",
         file.name(), begin + *at);
  }
  return PackedCache(std::move(map), begin);
}

void write_packed_cache(const fs::path& path, const PackedContents& contents,
                        std::span<const std::byte> payload, const std::atomic<bool>& stop) {
  TRIREME_ASSERT(contents.payload_bytes == payload.size());
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) {
    fail(ErrorKind::resource, "{}: cannot create this directory: {}", path.parent_path().string(),
         error.message());
  }
  remove_leftovers(path.parent_path());
  check_room(path, payload.size());
  PackedHeader header{contents, {}};
  const std::uint64_t pieces = piece_count(payload.size());
  for (std::uint64_t i = 0; i < pieces && !stop; ++i) {
    header.hashes.push_back(bulk_hash(piece(payload, i)));
  }
  if (stop) return;
  AtomicFile file(path);
  const std::vector<std::byte> front = encode_packed_header(header);
  file.write(front.data(), front.size());
  for (std::uint64_t i = 0; i < pieces; ++i) {
    if (stop) return;
    const std::span<const std::byte> bytes = piece(payload, i);
    file.write(bytes.data(), bytes.size());
  }
  file.commit();
}

}  // namespace trireme
