#include "net/shared_key.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "core/error.h"
#include "net/descriptor.h"

namespace trireme {

namespace {

/// Names the purpose, so that the same file used elsewhere makes another key.
constexpr std::string_view salt = "trireme join 1";
constexpr std::string_view purpose = "tls 1.3 external psk, aes-256-gcm-sha384";

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string_view without_line_end(std::string_view bytes) {
  while (!bytes.empty() && (bytes.back() == '\n' || bytes.back() == '\r')) bytes.remove_suffix(1);
  return bytes;
}

/// As ssh does with its keys.
void check_private(const std::string& path, int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
    fail(ErrorKind::usage, "{}: a key is a file", path);
  }
  constexpr mode_t others = S_IRWXG | S_IRWXO;
  if ((info.st_mode & others) == 0) return;
  fail(ErrorKind::usage,
       "{}: others can get at this key (permissions {:04o}); `chmod 600` it, and if somebody may "
       "have read it, make a new one by `trireme worker --new-key FILE`",
       path, info.st_mode & 07777u);
}

std::string read_some(const std::string& path, int fd) {
  std::string bytes(SharedKey::most_bytes + 1, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t count = ::read(fd, bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorKind::usage, "{}: {}", path, std::strerror(errno));
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace

SharedKey SharedKey::from_bytes(std::string_view bytes) {
  bytes = without_line_end(bytes);
  if (bytes.size() < least_bytes || bytes.size() > most_bytes) {
    fail(ErrorKind::usage,
         "a key has {} to {} bytes; `trireme worker --new-key FILE` makes a good one", least_bytes,
         most_bytes);
  }
  SharedKey key;
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> kdf(
      EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr), EVP_PKEY_CTX_free);
  std::size_t size = key.psk_.size();
  const bool done =
      kdf && EVP_PKEY_derive_init(kdf.get()) > 0 &&
      EVP_PKEY_CTX_set_hkdf_md(kdf.get(), EVP_sha384()) > 0 &&
      EVP_PKEY_CTX_set1_hkdf_salt(kdf.get(), bytes_of(salt), static_cast<int>(salt.size())) > 0 &&
      EVP_PKEY_CTX_set1_hkdf_key(kdf.get(), bytes_of(bytes), static_cast<int>(bytes.size())) > 0 &&
      EVP_PKEY_CTX_add1_hkdf_info(kdf.get(), bytes_of(purpose), static_cast<int>(purpose.size())) >
          0 &&
      EVP_PKEY_derive(kdf.get(), key.psk_.data(), &size) > 0;
  if (!done || size != key.psk_.size()) {
    fail(ErrorKind::resource, "OpenSSL does not compute HKDF-SHA-384");
  }
  return key;
}

SharedKey SharedKey::read(const std::string& path) {
  const NetDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) {
    fail(ErrorKind::usage, "{}: the key cannot be read: {}", path, std::strerror(errno));
  }
  check_private(path, file.get());
  std::string bytes = read_some(path, file.get());
  try {
    SharedKey key = from_bytes(bytes);
    OPENSSL_cleanse(bytes.data(), bytes.size());
    return key;
  } catch (const Error& error) {
    OPENSSL_cleanse(bytes.data(), bytes.size());
    throw Error(error.kind(), fmt::format("{}: {}", path, error.what()));
  }
}

void SharedKey::create(const std::string& path) {
  std::array<unsigned char, 32> random{};
  if (RAND_bytes(random.data(), random.size()) != 1) {
    fail(ErrorKind::resource, "OpenSSL has no random numbers");
  }
  std::string text;
  for (const unsigned char byte : random) text += fmt::format("{:02x}", byte);
  text += "\n";
  const NetDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.open()) {
    fail(errno == EEXIST ? ErrorKind::usage : ErrorKind::resource,
         "{}: no key is written there: {}", path, std::strerror(errno));
  }
  const bool written =
      write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      fsync(file.get()) == 0;
  const int error = errno;
  OPENSSL_cleanse(text.data(), text.size());
  OPENSSL_cleanse(random.data(), random.size());
  if (written) return;
  unlink(path.c_str());
  fail(ErrorKind::resource, "{}: {}", path, std::strerror(error));
}

SharedKey::~SharedKey() { OPENSSL_cleanse(psk_.data(), psk_.size()); }

}  // namespace trireme
