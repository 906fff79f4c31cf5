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
  bool still_named() const override { return disk_.find(name_) == inode_; }

 private:
  TestDisk& disk_;
  std::shared_ptr<TestDisk::Inode> inode_;
  std::string name_;
  std::uint64_t position_ = 0;
};

/// Nothing if the path leads nowhere.
std::shared_ptr<TestDisk::Inode> TestDisk::find(const fs::path& path) const {
  std::shared_ptr<Inode> inode = root_;
  for (const fs::path& name : path) {
    const auto entry = inode->names.find(name.string());
    if (entry == inode->names.end()) return nullptr;
    inode = entry->second;
  }
  return inode;
}

TestDisk::Inode& TestDisk::folder_of(const fs::path& path) const {
  const std::shared_ptr<Inode> folder = find(path.parent_path());
  TRIREME_ASSERT(folder && folder->folder);
  return *folder;
}

std::unique_ptr<File> TestDisk::open(const fs::path& path, Opening opening) {
  std::shared_ptr<Inode> inode = find(path);
  if (!inode) {
    begin_or_fail("open", path.string());
    inode = std::make_shared<Inode>();
    change_name(folder_of(path), {"", path.filename().string(), inode});
  } else if (opening == Opening::replace) {
    begin_or_fail("open", path.string());
    change(*inode, {0, "", true});
  }
  return std::make_unique<TestFile>(*this, inode, path.string());
}

Files::Kind TestDisk::kind(const fs::path& path) {
  const auto inode = find(path);
  if (!inode) return Kind::absent;
  return inode->folder ? Kind::directory : Kind::regular;
}

void TestDisk::rename(const fs::path& from, const fs::path& to) {
  begin_or_fail("rename", from.string());
  TRIREME_ASSERT(from.parent_path() == to.parent_path());
  change_name(folder_of(from), {from.filename().string(), to.filename().string(), find(from)});
}

void TestDisk::remove(const fs::path& path) {
  if (ended_ || !find(path)) return;
  begin_or_fail("remove", path.string());
  change_name(folder_of(path), {path.filename().string(), "", nullptr});
}

void TestDisk::make_directory(const fs::path& path) {
  begin_or_fail("open", path.string());
  const auto inode = std::make_shared<Inode>();
  inode->folder = true;
  change_name(folder_of(path), {"", path.filename().string(), inode});
}

void TestDisk::remove_tree(const fs::path& path) {
  const auto folder = find(path);
  if (ended_ || !folder) return;
  const Names names = folder->names;
  for (const auto& [name, inode] : names) remove(path / name);
  remove(path);
}

void TestDisk::sync_directory_of(const fs::path& path) {
  const int error = begin("sync");
  Inode& folder = folder_of(path);
  const std::vector<NameChange> pending = std::move(folder.pending_names);
  folder.pending_names.clear();
  if (error != 0) {
    fail(ErrorKind::resource, "the folder of {}: {}", path.string(), std::strerror(error));
  }
  for (const NameChange& name : pending) apply(name, folder.durable_names);
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

void TestDisk::change_name(Inode& folder, NameChange change) {
  apply(change, folder.names);
  folder.pending_names.push_back(std::move(change));
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

void TestDisk::unlock(Inode& inode) {
  inode.lock = nullptr;
  for (const auto& [name, inner] : inode.names) unlock(*inner);
}

void TestDisk::restart_after_kill() {
  unlock(*root_);
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

void TestDisk::lose_power(Inode& inode, double share) {
  inode.seen = inode.durable = survivor(inode, share);
  inode.pending.clear();
  for (const NameChange& change : inode.pending_names) {
    if (chance(share)) apply(change, inode.durable_names);
  }
  inode.pending_names.clear();
  inode.names = inode.durable_names;
  for (const auto& [name, inner] : inode.names) lose_power(*inner, share);
}

void TestDisk::restart_after_power_loss() {
  lose_power(*root_, std::vector{0.0, 0.2, 0.5, 0.9, 1.0}[random_() % 5]);
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
  const auto inode = find(path);
  return inode ? std::optional(inode->seen) : std::nullopt;
}

void TestDisk::write(const std::string& path, const std::string& bytes) {
  const auto inode = std::make_shared<Inode>();
  inode->seen = inode->durable = bytes;
  const std::string name = fs::path(path).filename().string();
  folder_of(path).names[name] = folder_of(path).durable_names[name] = inode;
}

std::vector<std::string> TestDisk::names() const {
  std::vector<std::string> out;
  const auto add = [&out](const auto& self, const Inode& folder,
                          const std::string& before) -> void {
    for (const auto& [name, inode] : folder.names) {
      out.push_back(before + name);
      self(self, *inode, before + name + "/");
    }
  };
  add(add, *root_, "");
  return out;
}

}  // namespace trireme::testing
