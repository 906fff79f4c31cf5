// TLS with a shared key, byte by byte: who knows the key gets through, nobody else does.
#include "net/tls.h"

#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <random>

#include "unit/net/ends.h"

namespace trireme {
namespace {

class Tls : public ::testing::Test {
 protected:
  static void carry(TlsSession& from, TlsSession& to, std::string& plain) {
    const std::string wire(from.outgoing());
    from.sent(wire.size());
    to.receive(wire, plain);
  }
  void exchange(TlsSession& client, TlsSession& server) {
    for (int i = 0; i < 3; ++i) {
      carry(client, server, at_server_);
      carry(server, client, at_client_);
    }
  }

  TlsContext server_context_{good_key(), TlsRole::server};
  TlsContext client_context_{good_key(), TlsRole::client};
  std::string at_server_;
  std::string at_client_;
};

TEST_F(Tls, TheSameKeyOnBothSides) {
  TlsSession server(server_context_);
  TlsSession client(client_context_);
  exchange(client, server);
  ASSERT_TRUE(client.authenticated()) << client.failure();
  ASSERT_TRUE(server.authenticated()) << server.failure();
  client.send("secret words");
  EXPECT_EQ(client.outgoing().find("secret"), std::string_view::npos) << "sent as they are";
  server.send("answer");
  exchange(client, server);
  EXPECT_EQ(at_server_, "secret words");
  EXPECT_EQ(at_client_, "answer");
  client.end();
  exchange(client, server);
  EXPECT_TRUE(server.ended());
}

TEST_F(Tls, AnotherKeyIsToldApart) {
  TlsContext other(key_of("another key, long enough"), TlsRole::client);
  TlsSession server(server_context_);
  TlsSession client(other);
  exchange(client, server);
  EXPECT_FALSE(server.authenticated());
  EXPECT_FALSE(client.authenticated());
  EXPECT_EQ(server.failure(), "it has another key");
  EXPECT_EQ(client.failure(), "the keys differ");
}

/// A peer with a handshake of its own making: OpenSSL without our settings.
class Foreign {
 public:
  explicit Foreign(const SSL_METHOD* method) : context_(SSL_CTX_new(method)) {}
  ~Foreign() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
  }
  SSL_CTX* context() { return context_; }
  std::string first_flight() {
    ssl_ = SSL_new(context_);
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), out_);
    SSL_connect(ssl_);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(out_, &bytes);
    return {bytes, static_cast<std::size_t>(size)};
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  BIO* out_ = nullptr;
};

TEST_F(Tls, ClientsWithoutAKeyOrWithAnotherSuiteAreRefused) {
  for (const char* const suite : {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    Foreign client(TLS_client_method());
    SSL_CTX_set_ciphersuites(client.context(), suite);
    TlsSession server(server_context_);
    server.receive(client.first_flight(), at_server_);
    EXPECT_FALSE(server.authenticated());
    EXPECT_NE(server.failure(), "") << suite;
  }
  Foreign old(TLS_client_method());
  SSL_CTX_set_max_proto_version(old.context(), TLS1_2_VERSION);
  TlsSession server(server_context_);
  server.receive(old.first_flight(), at_server_);
  EXPECT_NE(server.failure(), "") << "TLS 1.2";
  EXPECT_EQ(at_server_, "");
}

/// A certificate that its owner has signed himself.
void add_certificate(SSL_CTX* context) {
  EVP_PKEY* const pair = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, pair);
  X509_sign(certificate, pair, EVP_sha256());
  ASSERT_EQ(SSL_CTX_use_certificate(context, certificate), 1);
  ASSERT_EQ(SSL_CTX_use_PrivateKey(context, pair), 1);
  X509_free(certificate);
  EVP_PKEY_free(pair);
}

/// It has a certificate in place of the key, which other clients of TLS might take.
TEST_F(Tls, AServerThatKnowsNoKeyIsRefused) {
  Foreign foreign(TLS_server_method());
  add_certificate(foreign.context());
  SSL* const ssl = SSL_new(foreign.context());
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, in, out);
  TlsSession client(client_context_);
  BIO_write(in, client.outgoing().data(), static_cast<int>(client.outgoing().size()));
  SSL_accept(ssl);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  client.receive({bytes, static_cast<std::size_t>(size)}, at_client_);
  EXPECT_FALSE(client.authenticated());
  EXPECT_NE(client.failure(), "");
  SSL_free(ssl);
}

TEST_F(Tls, GarbageAndOtherProtocolsAreRefused) {
  for (const std::string& wire :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string("SSH-2.0-OpenSSH_9.2\r\n"),
        std::string(64, '\0'), std::string(300, '\xff')}) {
    TlsSession server(server_context_);
    server.receive(wire, at_server_);
    EXPECT_FALSE(server.authenticated());
    EXPECT_NE(server.failure(), "") << wire;
    server.receive(wire, at_server_);  // what comes after is of no interest
  }
  EXPECT_EQ(at_server_, "");
}

/// Whatever is changed on the way to the server: nobody is let in, and nothing is passed on.
TEST_F(Tls, AFlippedByteIsNoticed) {
  std::mt19937 random(1);
  for (int round = 0; round < 200; ++round) {
    TlsSession server(server_context_);
    TlsSession client(client_context_);
    std::string hello(client.outgoing());
    client.sent(hello.size());
    const bool in_handshake = round % 2 == 0;
    constexpr std::size_t header = 5;  // of the record; its version says nothing (RFC 8446, 5.1)
    std::size_t at = header + random() % (hello.size() - header);
    if (in_handshake) hello[at] ^= static_cast<char>(1 + random() % 255);
    server.receive(hello, at_server_);
    exchange(client, server);
    if (in_handshake) {
      EXPECT_FALSE(server.authenticated() && client.authenticated()) << round;
      continue;
    }
    client.send("message");
    std::string wire(client.outgoing());
    at = header + random() % (wire.size() - header);
    wire[at] ^= static_cast<char>(1 + random() % 255);
    server.receive(wire, at_server_);
  }
  EXPECT_EQ(at_server_, "");
}

}  // namespace
}  // namespace trireme
