// TLS 1.3 between two ends that share a key, by OpenSSL. Bytes in, bytes out: no socket, no clock.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "net/shared_key.h"

struct ssl_ctx_st;
struct ssl_st;
struct bio_st;

namespace trireme {

enum class TlsRole { client, server };

/// What all sessions of one role with one key have in common. TLS_AES_256_GCM_SHA384, the key as
/// external PSK with (EC)DHE: who learns the key later cannot read what was sent before. No
/// certificates, no tickets, no early data.
class TlsContext {
 public:
  TlsContext(const SharedKey& key, TlsRole role);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* get() const { return context_; }
  TlsRole role() const { return role_; }
  const SharedKey& key() const { return key_; }

 private:
  SharedKey key_;
  TlsRole role_;
  ssl_ctx_st* context_ = nullptr;
};

/// One connection.
class TlsSession {
 public:
  explicit TlsSession(const TlsContext& context);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// Takes in what has come over the wire, appends to `plain` what the peer said, if it has proved
  /// that it knows the key.
  void receive(std::string_view wire, std::string& plain);
  /// Encrypts; once authenticated. Not after end().
  void send(std::string_view plain);
  /// What is to go over the wire, and how much of it has gone.
  std::string_view outgoing() const;
  void sent(std::size_t bytes);
  /// Says that nothing more will be sent.
  void end();

  /// The peer has proved that it knows the key.
  bool authenticated() const { return authenticated_; }
  /// The peer has said that nothing more will come.
  bool ended() const { return ended_; }
  /// Why this connection is of no use; empty while it is.
  const std::string& failure() const { return failure_; }
  /// The peer has another key: trying again is of no use.
  bool other_key() const { return other_key_; }

 private:
  void handshake();
  void read(std::string& plain);
  void fail_with(int result);
  void collect();

  TlsRole role_;
  ssl_st* ssl_ = nullptr;
  bio_st* in_ = nullptr;   ///< owned by ssl_
  bio_st* out_ = nullptr;  ///< owned by ssl_
  std::string wire_;
  std::size_t wire_sent_ = 0;
  bool authenticated_ = false;
  bool ended_ = false;
  bool other_key_ = false;
  std::string failure_;
};

}  // namespace trireme
