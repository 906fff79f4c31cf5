#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstring>
#include <limits>

#include "core/error.h"

namespace trireme {

namespace {

/// Tells a coordinator which key is meant: there is one. Not secret.
constexpr std::string_view identity = "trireme-join-1";
constexpr unsigned char aes_256_gcm_sha384[] = {0x13, 0x02};  // RFC 8446, B.4
constexpr const char* suite = "TLS_AES_256_GCM_SHA384";

const TlsContext& context_of(const SSL* ssl) {
  return *static_cast<const TlsContext*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0));
}

/// The external PSK as OpenSSL wants it; null when it has no memory.
SSL_SESSION* psk_session(SSL* ssl) {
  const std::span<const unsigned char> psk = context_of(ssl).key().psk();
  SSL_SESSION* const session = SSL_SESSION_new();
  const SSL_CIPHER* const cipher = SSL_CIPHER_find(ssl, aes_256_gcm_sha384);
  const bool made = session != nullptr && cipher != nullptr &&
                    SSL_SESSION_set1_master_key(session, psk.data(), psk.size()) == 1 &&
                    SSL_SESSION_set_cipher(session, cipher) == 1 &&
                    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1;
  if (made) return session;
  SSL_SESSION_free(session);
  return nullptr;
}

int offer_psk(SSL* ssl, const EVP_MD* md, const unsigned char** id, std::size_t* size,
              SSL_SESSION** session) {
  *session = nullptr;
  if (md != nullptr && EVP_MD_get_type(md) != EVP_MD_get_type(EVP_sha384())) return 1;
  *id = reinterpret_cast<const unsigned char*>(identity.data());
  *size = identity.size();
  *session = psk_session(ssl);
  return *session != nullptr ? 1 : 0;
}

int find_psk(SSL* ssl, const unsigned char* id, std::size_t size, SSL_SESSION** session) {
  *session = nullptr;
  // Another's: the handshake goes on without a key, and fails for want of one.
  if (size != identity.size() || std::memcmp(id, identity.data(), size) != 0) return 1;
  *session = psk_session(ssl);
  return *session != nullptr ? 1 : 0;
}

[[noreturn]] void fail_setup() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof(text));
  fail(ErrorKind::resource, "OpenSSL cannot be set up for TLS 1.3: {}", text);
}

/// A server that does not find its PSK in what it got says so by one of these.
bool means_other_key(int reason) {
  return reason == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER ||
         reason == SSL_R_TLSV1_ALERT_DECRYPT_ERROR ||
         reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE ||
         reason == SSL_R_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY;
}

bool tells_other_key(TlsRole role, unsigned long error) {
  const int reason = ERR_GET_REASON(error);
  return role == TlsRole::server ? reason == SSL_R_BINDER_DOES_NOT_VERIFY : means_other_key(reason);
}

std::string explain(unsigned long error) {
  const char* const text = ERR_reason_error_string(error);
  return fmt::format("it does not speak as Trireme does ({})", text != nullptr ? text : "TLS");
}

}  // namespace

TlsContext::TlsContext(const SharedKey& key, TlsRole role)
    : key_(key),
      role_(role),
      context_(SSL_CTX_new(role == TlsRole::server ? TLS_server_method() : TLS_client_method())) {
  if (context_ == nullptr) fail_setup();
  const bool set = SSL_CTX_set_ex_data(context_, 0, this) == 1 &&
                   SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_max_proto_version(context_, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_ciphersuites(context_, suite) == 1 &&
                   SSL_CTX_set_num_tickets(context_, 0) == 1;
  if (!set) {
    SSL_CTX_free(context_);
    fail_setup();
  }
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context_, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);
  if (role == TlsRole::server) {
    SSL_CTX_set_psk_find_session_callback(context_, find_psk);
  } else {
    SSL_CTX_set_psk_use_session_callback(context_, offer_psk);
    // No authority is trusted: a server with a certificate in place of the key is none of ours.
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  }
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

TlsSession::TlsSession(const TlsContext& context)
    : role_(context.role()),
      ssl_(SSL_new(context.get())),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())) {
  if (ssl_ == nullptr || in_ == nullptr || out_ == nullptr) {
    BIO_free(in_);
    BIO_free(out_);
    SSL_free(ssl_);
    fail_setup();
  }
  SSL_set_bio(ssl_, in_, out_);
  if (role_ == TlsRole::server) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
    handshake();  // the client speaks first
  }
}

TlsSession::~TlsSession() { SSL_free(ssl_); }

void TlsSession::receive(std::string_view wire, std::string& plain) {
  if (!failure_.empty() || wire.empty()) return;
  TRIREME_ASSERT(wire.size() <= std::numeric_limits<int>::max());
  if (BIO_write(in_, wire.data(), static_cast<int>(wire.size())) != static_cast<int>(wire.size())) {
    failure_ = "out of memory";
    return;
  }
  if (!authenticated_) handshake();
  if (authenticated_) read(plain);
}

void TlsSession::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result == 1) {
    // The key, and not anything else that TLS has to offer, has been used.
    authenticated_ = SSL_session_reused(ssl_) == 1;
    if (!authenticated_) failure_ = "it does not prove that it knows the key";
  } else {
    fail_with(result);
  }
  collect();
}

void TlsSession::read(std::string& plain) {
  char bytes[16384];  // a TLS record at most
  for (;;) {
    ERR_clear_error();
    const int count = SSL_read(ssl_, bytes, sizeof(bytes));
    if (count <= 0) {
      fail_with(count);
      break;
    }
    plain.append(bytes, static_cast<std::size_t>(count));
  }
  collect();
}

void TlsSession::fail_with(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return;
    case SSL_ERROR_ZERO_RETURN:
      ended_ = true;
      return;
    default:
      break;
  }
  const unsigned long error = ERR_peek_error();
  other_key_ = !authenticated_ && tells_other_key(role_, error);
  const char* const keys = role_ == TlsRole::server ? "it has another key" : "the keys differ";
  failure_ = other_key_ ? keys : explain(error);
}

/// Takes what OpenSSL wants to say, an alert perhaps.
void TlsSession::collect() {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out_, &bytes);
  if (size <= 0) return;
  wire_.append(bytes, static_cast<std::size_t>(size));
  (void)BIO_reset(out_);
}

void TlsSession::send(std::string_view plain) {
  if (!failure_.empty() || plain.empty()) return;
  TRIREME_ASSERT(authenticated_ && plain.size() <= std::numeric_limits<int>::max());
  ERR_clear_error();
  const int count = SSL_write(ssl_, plain.data(), static_cast<int>(plain.size()));
  // Into memory: whole or not at all.
  if (count <= 0) fail_with(count);
  collect();
}

std::string_view TlsSession::outgoing() const { return std::string_view(wire_).substr(wire_sent_); }

void TlsSession::sent(std::size_t bytes) {
  wire_sent_ += bytes;
  constexpr std::size_t worth_moving = 1 << 20;
  if (wire_sent_ < wire_.size() && wire_sent_ < worth_moving) return;
  wire_.erase(0, wire_sent_);
  wire_sent_ = 0;
}

void TlsSession::end() {
  if (!authenticated_ || !failure_.empty()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  collect();
}

}  // namespace trireme
