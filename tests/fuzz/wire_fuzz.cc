// Any bytes as what a joining worker sends: to the coordinator's TLS before it has shown that it
// knows the key (the first byte chooses where in a good handshake they are put), and as messages of
// one who does.
#include <sys/socket.h>

#include <cstdint>
#include <string_view>

#include "batch/join_messages.h"
#include "batch/messages.h"
#include "core/error.h"
#include "net/secure_stream.h"

namespace {

using namespace trireme;

const SharedKey& key() {
  static const SharedKey key = SharedKey::from_bytes("0123456789abcdef");
  return key;
}

const TlsContext& context(TlsRole role) {
  static const TlsContext server(key(), TlsRole::server);
  static const TlsContext client(key(), TlsRole::client);
  return role == TlsRole::server ? server : client;
}

/// Nobody is let in who has not been heard to know the key.
void knock(std::size_t good_bytes, std::string_view bytes) {
  TlsSession server(context(TlsRole::server));
  TlsSession client(context(TlsRole::client));
  std::string plain;
  server.receive(client.outgoing().substr(0, good_bytes), plain);
  server.receive(bytes, plain);
  TRIREME_ASSERT(!server.authenticated() && plain.empty());
}

/// A whole stream, over a socket: what an unknown peer may say before it is turned away.
void knock_at_stream(std::string_view bytes) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return;
  NetDescriptor peer(ends[1]);
  SecureStream stream(NetDescriptor(ends[0]), context(TlsRole::server), {}, "fuzz");
  if (send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return;
  stream.turn();
  TRIREME_ASSERT(!stream.authenticated() && !stream.try_receive());
}

void read_message(std::string_view bytes) {
  const JoinMessage message = decode_join(bytes);
  TRIREME_ASSERT(encode(message) == bytes);
  if (const auto* replica = std::get_if<ReplicaMessage>(&message)) {
    const std::string inner = encode(decode(replica->message));
    TRIREME_ASSERT(inner == replica->message);
  }
  if (const auto* hello = std::get_if<HelloMessage>(&message)) {
    TRIREME_ASSERT(is_worker_name(hello->name));
  }
}

/// Frames within the stream of somebody who knows the key.
void send_frames(std::string_view bytes) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) return;
  constexpr std::uint32_t most_bytes = 1000;
  SecureStream stream(NetDescriptor(ends[0]), context(TlsRole::server), {.most_bytes = most_bytes},
                      "fuzz");
  const NetDescriptor peer(ends[1]);
  TlsSession client(context(TlsRole::client));
  const auto pass = [&] {
    const std::string wire(client.outgoing());
    client.sent(wire.size());
    if (!wire.empty()) send(peer.get(), wire.data(), wire.size(), MSG_NOSIGNAL);
    stream.turn();
    char back[65536];
    const ssize_t count = recv(peer.get(), back, sizeof(back), MSG_DONTWAIT);
    std::string plain;
    if (count > 0) client.receive({back, static_cast<std::size_t>(count)}, plain);
  };
  for (int i = 0; i < 3; ++i) pass();
  TRIREME_ASSERT(stream.authenticated() && client.authenticated());
  client.send(bytes);
  pass();
  while (const auto message = stream.try_receive()) {
    TRIREME_ASSERT(!message->empty() && message->size() <= most_bytes);
    try {
      read_message(*message);
    } catch (const Error&) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  try {
    switch (data[0] % 4) {
      case 0:
        knock(data[1], bytes);
        break;
      case 1:
        knock_at_stream(bytes);
        break;
      case 2:
        send_frames(bytes);
        break;
      default:
        read_message(bytes);
    }
  } catch (const Error&) {
  }
  return 0;
}
