// HMAC-SHA-256 (RFC 2104), by OpenSSL: how ranks on several hosts show each other that they know
// the secret.
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace trireme {

using Digest = std::array<std::byte, 32>;

/// Throws Error(resource) where OpenSSL refuses.
Digest hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> bytes);

/// Takes the same time wherever they differ.
bool equal_digests(const Digest& a, const Digest& b);

}  // namespace trireme
