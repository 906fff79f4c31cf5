// The file of a key: whose it must be, how long, and what is made of it.
#include "net/shared_key.h"

#include <sys/stat.h>

#include <algorithm>

#include "support/scratch.h"

namespace trireme {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  std::string file(const std::string& bytes, mode_t mode) {
    const std::string path = scratch_.write("key", bytes);
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  Scratch scratch_;
};

std::string psk_of(const SharedKey& key) { return {key.psk().begin(), key.psk().end()}; }

TEST_F(KeyFile, IsPrivate) {
  for (const mode_t mode : {0644u, 0640u, 0604u, 0660u, 0622u, 0610u}) {
    const std::string path = file("0123456789abcdef", mode);
    const std::string message = message_of(ErrorKind::usage, [&] { SharedKey::read(path); });
    expect_contains(message, "chmod 600");
    EXPECT_EQ(message.find("0123456789"), std::string::npos) << "a message shows the key";
  }
  SharedKey::read(file("0123456789abcdef", 0600));
  SharedKey::read(file("0123456789abcdef", 0400));
}

TEST_F(KeyFile, HasSixteenBytesAtLeast) {
  for (const std::string& bytes : {std::string(), std::string("0123456789abcde"),
                                   std::string("0123456789abcde\r\n\n"), std::string(5000, 'x')}) {
    expect_contains(message_of(ErrorKind::usage, [&] { SharedKey::read(file(bytes, 0600)); }),
                    "--new-key");
  }
  message_of(ErrorKind::usage, [&] { SharedKey::read(scratch_.file("absent")); });
  message_of(ErrorKind::usage, [&] { SharedKey::read(scratch_.path()); });
}

TEST_F(KeyFile, LineEndsDoNotCount) {
  const std::string plain = psk_of(SharedKey::read(file("0123456789abcdef", 0600)));
  EXPECT_EQ(psk_of(SharedKey::read(file("0123456789abcdef\n", 0600))), plain);
  EXPECT_EQ(psk_of(SharedKey::read(file("0123456789abcdef\r\n", 0600))), plain);
  EXPECT_NE(psk_of(SharedKey::read(file("0123456789abcdef ", 0600))), plain);
  EXPECT_EQ(plain.find("0123"), std::string::npos) << "derived, not copied";
}

TEST_F(KeyFile, NewOnesDifferAndReplaceNothing) {
  SharedKey::create(scratch_.file("a"));
  SharedKey::create(scratch_.file("b"));
  EXPECT_NE(psk_of(SharedKey::read(scratch_.file("a"))),
            psk_of(SharedKey::read(scratch_.file("b"))));
  EXPECT_EQ(scratch_.read("a").size(), 65u);
  struct stat info {};
  ASSERT_EQ(stat(scratch_.file("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const std::string before = scratch_.read("a");
  message_of(ErrorKind::usage, [&] { SharedKey::create(scratch_.file("a")); });
  EXPECT_EQ(scratch_.read("a"), before);
}

}  // namespace
}  // namespace trireme
