#include "fault/test_disk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace trireme::testing {

namespace fs = std::filesystem;

class TestFile : public File {
 public:
  TestFile(TestDisk& disk, std::shared_ptr<TestDisk::Inode> inode, std::string name)
      : disk_(disk), inode_(std::move(inode)), name_(std::move(name)) {}
  ~TestFile() override {
    if (inode_->lock == this) inode_->lock = nullptr;
  }

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return inode_->seen.size(); }
  std::size_t read_at(std::uint64_t offset, char* out, std::size_t bytes) const override {
    if (offset >= inode_->seen.size()) return 0;
    return inode_->seen.copy(out, bytes, offset);
  }

  void write(std::string_view bytes, std::string_view purpose) override {
    write_at(position_, bytes, purpose);
    position_ += bytes.size();
  }

  void write_at(std::uint64_t offset, std::string_view bytes, std::string_view purpose) override {
    const int error = disk_.begin("write");
    const std::string_view put = error == 0 ? bytes : bytes.substr(0, bytes.size() / 2);
    if (!put.empty()) disk_.change(*inode_, {offset, std::string(put)});
    if (error == 0) return;
    fail(ErrorKind::resource, "{}: cannot write {} bytes: {}; {}", name_, bytes.size(),
         std::strerror(error), purpose);
  }

  void truncate(std::uint64_t bytes) override {
    disk_.begin_or_fail("cut", name_);
    disk_.change(*inode_, {bytes, "", true});
  }

  void sync() override {
    if (const int error = disk_.begin("sync")) {
      inode_->pending.clear();
      fail(ErrorKind::resource, "{}: cannot make durable: {}", name_, std::strerror(error));
    }
    for (const TestDisk::Change& change : inode_->pending) {
      TestDisk::apply(change, inode_->durable);
    }
    inode_->pending.clear();
  }
  void sync_data() override { sync(); }

  bool try_lock() override {
    if (inode_->lock != nullptr && inode_->lock != this) return false;
    inode_->lock = this;
    return true;
  }
  bool still_named() const override {
    const auto found = disk_.names_.find(name_);
    return found != disk_.names_.end() && found->second == inode_;
  }

 private:
  TestDisk& disk_;
  std::shared_ptr<TestDisk::Inode> inode_;
  std::string name_;
  std::uint64_t position_ = 0;
};

std::unique_ptr<File> TestDisk::open(const fs::path& path, Opening opening) {
  const std::string name = path.string();
  if (!names_.contains(name)) {
    begin_or_fail("open", name);
    change_name({"", name, std::make_shared<Inode>()});
  } else if (opening == Opening::replace) {
    begin_or_fail("open", name);
    change(*names_[name], {0, "", true});
  }
  return std::make_unique<TestFile>(*this, names_[name], name);
}

Files::Kind TestDisk::kind(const fs::path& path) {
  return names_.contains(path.string()) ? Kind::regular : Kind::absent;
}

void TestDisk::rename(const fs::path& from, const fs::path& to) {
  begin_or_fail("rename", from.string());
  change_name({from.string(), to.string(), names_.at(from.string())});
}

void TestDisk::remove(const fs::path& path) {
  if (ended_ || !names_.contains(path.string())) return;
  begin_or_fail("remove", path.string());
  change_name({path.string(), "", nullptr});
}

void TestDisk::sync_directory_of(const fs::path& path) {
  if (const int error = begin("sync")) {
    pending_names_.clear();
    fail(ErrorKind::resource, "the folder of {}: {}", path.string(), std::strerror(error));
  }
  for (const NameChange& change : pending_names_) apply(change, durable_names_);
  pending_names_.clear();
}

int TestDisk::begin(const std::string& operation) {
  if (ended_ || operations_ == end_at_) {
    ended_ = true;
    throw ProcessEnds();
  }
  ++operations_;
  if (operation != failing_ || ++failing_seen_ < failing_from_) return 0;
  failed_ = true;
  return error_;
}

void TestDisk::begin_or_fail(const std::string& operation, const std::string& name) {
  if (const int error = begin(operation)) {
    fail(ErrorKind::resource, "{}: cannot {}: {}", name, operation, std::strerror(error));
  }
}

void TestDisk::change_name(NameChange change) {
  apply(change, names_);
  pending_names_.push_back(std::move(change));
}

void TestDisk::apply(const NameChange& change, Names& names) {
  if (!change.from.empty()) names.erase(change.from);
  if (!change.to.empty()) names[change.to] = change.inode;
}

void TestDisk::apply(const Change& change, std::string& bytes) {
  if (change.cut) {
    bytes.resize(change.offset);
    return;
  }
  bytes.resize(std::max(bytes.size(), change.offset + change.bytes.size()));
  bytes.replace(change.offset, change.bytes.size(), change.bytes);
}

void TestDisk::change(Inode& inode, Change change) {
  apply(change, inode.seen);
  inode.pending.push_back(std::move(change));
}

void TestDisk::restart_after_kill() {
  for (const auto& [name, inode] : names_) inode->lock = nullptr;
  ended_ = false;
  end_at_ = UINT64_MAX;
}

/// `share` of the sectors that were on their way have arrived.
std::string TestDisk::survivor(const Inode& inode, double share) {
  const std::uint64_t sector = chance(0.5) ? 512 : 16;
  std::string bytes = inode.durable;
  for (const Change& change : inode.pending) {
    if (change.cut) {
      if (chance(share)) apply(change, bytes);
      continue;
    }
    for (std::uint64_t at = 0; at < change.bytes.size();) {
      const std::uint64_t count =
          std::min<std::uint64_t>(sector - (change.offset + at) % sector, change.bytes.size() - at);
      if (chance(share)) apply({change.offset + at, change.bytes.substr(at, count)}, bytes);
      at += count;
    }
  }
  // The length may have arrived without what it counts.
  if (bytes.size() < inode.seen.size() && chance(0.25)) bytes.resize(inode.seen.size());
  return bytes;
}

void TestDisk::restart_after_power_loss() {
  const double share = std::vector{0.0, 0.2, 0.5, 0.9, 1.0}[random_() % 5];
  for (const NameChange& change : pending_names_) {
    if (chance(share)) apply(change, durable_names_);
  }
  pending_names_.clear();
  names_ = durable_names_;
  for (const auto& [name, inode] : names_) {
    inode->seen = inode->durable = survivor(*inode, share);
    inode->pending.clear();
  }
  restart_after_kill();
}

void TestDisk::fail_from(const std::string& operation, std::uint64_t first, int error) {
  failing_ = operation;
  failing_from_ = first;
  failing_seen_ = 0;
  error_ = error;
  failed_ = false;
}

bool TestDisk::mend() {
  failing_.clear();
  return std::exchange(failed_, false);
}

std::optional<std::string> TestDisk::read(const std::string& path) const {
  const auto found = names_.find(path);
  if (found == names_.end()) return std::nullopt;
  return found->second->seen;
}

void TestDisk::write(const std::string& path, const std::string& bytes) {
  const auto inode = std::make_shared<Inode>();
  inode->seen = inode->durable = bytes;
  names_[path] = durable_names_[path] = inode;
}

std::vector<std::string> TestDisk::names() const {
  std::vector<std::string> out;
  for (const auto& [name, inode] : names_) out.push_back(name);
  return out;
}

}  // namespace trireme::testing
