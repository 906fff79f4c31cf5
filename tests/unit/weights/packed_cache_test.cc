// A packed cache gives the bytes that were put into it, or says why not: at every field, at every
// end, for every byte, and whoever writes at the same time.
#include "weights/packed_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "core/error.h"
#include "support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using testing::read_file;
using testing::TemporaryFolder;
using testing::write_file;

std::vector<std::byte> some_bytes(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 167 + i / 4099);
  return bytes;
}

class PackedCacheFile : public ::testing::Test {
 protected:
  void write(const fs::path& path) { write_packed_cache(path, contents, payload, never); }
  void write() { write(file); }

  std::optional<PackedCache> open() { return PackedCache::open(file, contents, threads); }

  /// What is wrong with the file; empty if nothing is.
  std::string trouble() {
    try {
      const std::optional<PackedCache> cache = open();
      if (!cache) return "absent";
      const std::span<const std::byte> bytes = cache->payload();
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), payload.begin(), payload.end()));
      return "";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(file.string()), std::string::npos) << error.what();
      return error.what();
    }
  }

  /// The same after `change` to the file's bytes.
  template <typename Change>
  std::string trouble_after(const Change& change) {
    std::string bytes = read_file(file);
    change(bytes);
    write_file(file, bytes);
    std::string text = trouble();
    write();
    return text;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(file.parent_path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  const TemporaryFolder folder;
  const fs::path file = folder / "cache" / "deeper" / "x.packed";
  const std::atomic<bool> never{false};
  ThreadPool threads{2};
  // Two whole pieces and a tail.
  std::vector<std::byte> payload = some_bytes(2 * packed_cache_piece + 12345);
  PackedContents contents{"packing=a\nmodel=b\n",
                          {{"embed [0:3]", 0, 4096}, {"norm", 4096, payload.size() - 4096}},
                          payload.size()};
};

TEST_F(PackedCacheFile, GivesWhatWasPutIntoIt) {
  EXPECT_EQ(trouble(), "absent");
  write();
  EXPECT_EQ(trouble(), "");
  EXPECT_EQ(names(), std::vector<std::string>{"x.packed"});
  const auto address = reinterpret_cast<std::uintptr_t>(open()->payload().data());
  EXPECT_EQ(address % 4096, 0u) << "kernels read whole vectors";
}

TEST_F(PackedCacheFile, GivesPayloadsOfEverySize) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{64}, std::size_t{packed_cache_piece},
                                 std::size_t{packed_cache_piece + 1}}) {
    payload = some_bytes(size);
    contents = {"k\n", {{"all", 0, size}}, size};
    write();
    EXPECT_EQ(trouble(), "") << size;
  }
}

TEST_F(PackedCacheFile, NoticesAChangeOfAnyByteOfTheHeader) {
  write();
  std::uint64_t header = 0;
  std::memcpy(&header, read_file(file).data() + 16, sizeof(header));
  ASSERT_GT(header, packed_cache_prefix + contents.key.size());
  std::string bytes = read_file(file);
  for (std::uint64_t at = 0; at < header; ++at) {
    for (const int bit : {0, 7}) {
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      const auto span = std::as_bytes(std::span<const char>(bytes));
      EXPECT_THROW(
          {
            const std::uint64_t size =
                checked_packed_header_bytes(span.first(packed_cache_prefix), bytes.size(), "file");
            parse_packed_header(span.first(size), "file");
          },
          Error)
          << "byte " << at;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
    }
  }
}

TEST_F(PackedCacheFile, SaysWhichFieldIsWrong) {
  write();
  const auto says = [&](std::size_t offset, const std::string& text) {
    const std::string said = trouble_after([&](std::string& bytes) { ++bytes[offset]; });
    EXPECT_NE(said.find(text), std::string::npos) << said;
  };
  says(0, "does not begin as one");
  says(8, "of version");
  says(12, "of version");
  says(16, "not as it was written");  // header_bytes, by one
  says(20, "cannot be");              // header_bytes, by 4 GB
  says(24, "cut short");              // payload_bytes
  says(32, "not as it was written");  // the hash
  says(40, "not as it was written");  // what is not used
  says(72, "not as it was written");  // the key
}

TEST_F(PackedCacheFile, NoticesAByteOfThePayloadAndWhere) {
  write();
  const std::size_t begin = read_file(file).size() - payload.size();
  for (const std::size_t at : {std::size_t{0}, packed_cache_piece - 1, packed_cache_piece,
                               2 * packed_cache_piece + 7, payload.size() - 1}) {
    const std::string said = trouble_after(
        [&](std::string& bytes) { bytes[begin + at] = static_cast<char>(~bytes[begin + at]); });
    EXPECT_NE(said.find("not as they were written, near byte " +
                        std::to_string(begin + at / packed_cache_piece * packed_cache_piece)),
              std::string::npos)
        << said;
  }
}

TEST_F(PackedCacheFile, NoticesEveryTruncationAndWhatIsAppended) {
  write();
  const std::size_t whole = read_file(file).size();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, packed_cache_prefix - 1, packed_cache_prefix,
        std::size_t{200}, whole - payload.size(), whole / 2, whole - 1, whole + 1}) {
    EXPECT_NE(trouble_after([&](std::string& bytes) { bytes.resize(size); }), "") << size;
  }
}

TEST_F(PackedCacheFile, IsRefusedWhereOtherContentsAreNeeded) {
  write();
  const PackedContents before = contents;
  contents.key = "packing=a\nmodel=c\n";
  EXPECT_NE(trouble().find("made of \"model=b\", where \"model=c\" is needed"), std::string::npos)
      << trouble();
  contents.key = "packing=a\n";
  EXPECT_NE(trouble().find("\"model=b\", where \"nothing more\""), std::string::npos) << trouble();
  contents = before;
  contents.entries[1].name = "another norm";
  EXPECT_NE(trouble().find("in another order or form"), std::string::npos) << trouble();
  contents = before;
  contents.entries[1].offset -= 64;
  EXPECT_NE(trouble(), "");
  contents = before;
  contents.entries.pop_back();
  EXPECT_NE(trouble(), "");
  contents = before;
  EXPECT_EQ(trouble(), "");
}

/// What a program with other ideas could seal: every number is checked all the same.
TEST_F(PackedCacheFile, ChecksWhatIsSealed) {
  const auto parse = [](const PackedHeader& header) {
    std::vector<std::byte> bytes = encode_packed_header(header);
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data() + 16, sizeof(size));
    bytes.resize(size);
    return parse_packed_header(bytes, "file");
  };
  PackedHeader header{contents, std::vector<std::uint64_t>(3)};
  EXPECT_EQ(difference(parse(header).contents, contents), "");
  header.hashes.push_back(0);
  EXPECT_THROW(parse(header), Error);
  header.hashes.resize(3);
  header.contents.entries[0].bytes = contents.payload_bytes + 1;
  EXPECT_THROW(parse(header), Error);
  header.contents.entries[0] = {"x", ~std::uint64_t{0}, 2};
  EXPECT_THROW(parse(header), Error);
  std::vector<std::byte> bytes = encode_packed_header({contents, std::vector<std::uint64_t>(3)});
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data() + 16, sizeof(size));
  for (const std::uint64_t less : {size - 1, size - 24, std::uint64_t{80}, std::uint64_t{64}}) {
    std::vector<std::byte> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(less));
    std::memcpy(cut.data() + 16, &less, sizeof(less));
    seal_packed_header(cut);
    EXPECT_THROW(parse_packed_header(cut, "file"), Error) << less;
  }
}

TEST_F(PackedCacheFile, TwoWritersLeaveOneWholeFile) {
  for (int round = 0; round < 5; ++round) {
    std::vector<std::thread> writers;
    for (int i = 0; i < 2; ++i) writers.emplace_back([this] { write(); });
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(trouble(), "");
    EXPECT_EQ(names(), std::vector<std::string>{"x.packed"});
  }
}

TEST_F(PackedCacheFile, AMapOutlivesTheFileThatReplacesIt) {
  write();
  const std::optional<PackedCache> cache = open();
  const std::vector<std::byte> before = payload;
  payload[5] = ~payload[5];
  write();
  EXPECT_TRUE(std::ranges::equal(cache->payload(), before));
  EXPECT_EQ(trouble(), "");
}

TEST_F(PackedCacheFile, AStoppedWriterLeavesNothing) {
  const std::atomic<bool> at_once{true};
  write_packed_cache(file, contents, payload, at_once);
  EXPECT_EQ(names(), std::vector<std::string>{});
}

TEST_F(PackedCacheFile, RemovesWhatDeadWritersLeftAndNothingElse) {
  fs::create_directories(file.parent_path());
  const auto old = fs::file_time_type::clock::now() - std::chrono::hours(2);
  for (const char* const name : {"y.packed.0123.partial", "y.packed", "notes.partial"}) {
    write_file(file.parent_path() / name, "x");
    fs::last_write_time(file.parent_path() / name, old);
  }
  write_file(file.parent_path() / "z.packed.4567.partial", "x");  // somebody is at work
  write();
  std::vector<std::string> left = names();
  std::ranges::sort(left);
  EXPECT_EQ(left, (std::vector<std::string>{"notes.partial", "x.packed", "y.packed",
                                            "z.packed.4567.partial"}));
}

TEST_F(PackedCacheFile, SaysWhenItCannotBeWritten) {
  write_file(folder / "cache", "a file where a directory should be");
  try {
    write();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::resource);
    EXPECT_NE(std::string(error.what()).find("cannot create this directory"), std::string::npos);
  }
}

TEST_F(PackedCacheFile, IsNoDirectory) {
  fs::create_directories(file);
  EXPECT_NE(trouble().find("not a regular file"), std::string::npos);
}

}  // namespace
}  // namespace trireme
