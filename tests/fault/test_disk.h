// A disk in memory for the code under test that loses power, whose process is killed, or that
// fails: it knows what a real one would have kept.
//
// What was written is durable after the file's sync, names after their directory's. At a loss of
// power any part of what was not, sector by sector and in any order, may have reached the disk.
// What a failed sync should have made durable is visible in memory, and never gets there: so Linux
// has it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "batch/files.h"

namespace trireme::testing {

/// The process that works on the disk ends here: by no Error, so that nobody tidies up after it.
struct ProcessEnds {};

class TestDisk : public Files {
 public:
  explicit TestDisk(unsigned seed) : random_(seed) { root_->folder = true; }

  std::unique_ptr<File> open(const std::filesystem::path& path, Opening opening) override;
  Kind kind(const std::filesystem::path& path) override;
  std::filesystem::path resolve(const std::filesystem::path& path) override { return path; }
  void rename(const std::filesystem::path& from, const std::filesystem::path& to) override;
  void remove(const std::filesystem::path& path) override;
  void make_directory(const std::filesystem::path& path) override;
  void remove_tree(const std::filesystem::path& path) override;
  void sync_directory_of(const std::filesystem::path& path) override;

  /// Operations so far that change the disk or make it durable.
  std::uint64_t operations() const { return operations_; }
  /// The process ends in place of operation number `operation`, counted from 0.
  void end_at(std::uint64_t operation) { end_at_ = operation; }
  /// The process has ended; the next may begin.
  void restart_after_kill();
  void restart_after_power_loss();

  /// From the `first`-th (from 1) "write", "sync", "rename", "remove" or "cut" on, each fails.
  void fail_from(const std::string& operation, std::uint64_t first, int error);
  /// Nothing fails any more. Returns whether something had.
  bool mend();

  std::optional<std::string> read(const std::string& path) const;
  void write(const std::string& path, const std::string& bytes);  ///< durable
  /// Paths of all files and folders, in the order of their bytes; a folder before what is in it.
  std::vector<std::string> names() const;

 private:
  friend class TestFile;
  struct Change {
    std::uint64_t offset = 0;
    std::string bytes;
    bool cut = false;  ///< at `offset`
  };
  struct Inode;
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  struct NameChange {
    std::string from;  ///< that is gone; or empty
    std::string to;    ///< that names the inode; or empty
    std::shared_ptr<Inode> inode;
  };
  struct Inode {
    // A file's.
    std::string seen;     ///< by whoever reads
    std::string durable;  ///< after the last sync
    std::vector<Change> pending;
    const void* lock = nullptr;
    // A folder's.
    bool folder = false;
    Names names;
    Names durable_names;
    std::vector<NameChange> pending_names;
  };

  /// Counts an operation, ends the process at it, or returns the error that it is to have.
  int begin(const std::string& operation);
  void begin_or_fail(const std::string& operation, const std::string& name);
  std::shared_ptr<Inode> find(const std::filesystem::path& path) const;
  Inode& folder_of(const std::filesystem::path& path) const;
  static void change_name(Inode& folder, NameChange change);
  static void apply(const NameChange& change, Names& names);
  static void apply(const Change& change, std::string& bytes);
  void change(Inode& inode, Change change);
  std::string survivor(const Inode& inode, double share);
  void lose_power(Inode& inode, double share);
  static void unlock(Inode& inode);
  bool chance(double share) { return std::bernoulli_distribution(share)(random_); }

  std::mt19937 random_;
  std::shared_ptr<Inode> root_ = std::make_shared<Inode>();
  std::uint64_t operations_ = 0;
  std::uint64_t end_at_ = UINT64_MAX;
  bool ended_ = false;
  std::string failing_;
  std::uint64_t failing_from_ = 0;
  std::uint64_t failing_seen_ = 0;
  int error_ = 0;
  bool failed_ = false;
};

}  // namespace trireme::testing
