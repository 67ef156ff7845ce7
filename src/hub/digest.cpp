#include "hub/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "base/bytes.h"
#include "base/error.h"

namespace pajamas::hub {

struct Digest::Impl {
  explicit Impl(const EVP_MD* kind) : context(EVP_MD_CTX_new()) {
    PJ_CHECK(context != nullptr && EVP_DigestInit_ex(context, kind, nullptr) == 1);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() { EVP_MD_CTX_free(context); }

  EVP_MD_CTX* context;
};

Digest::Digest(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

Digest Digest::sha256() { return Digest(std::make_unique<Impl>(EVP_sha256())); }

Digest Digest::git_blob(std::uint64_t size) {
  Digest digest(std::make_unique<Impl>(EVP_sha1()));
  std::string header = fmt::format("blob {}", size);
  header += '\0';
  digest.update(as_byte_span(header));
  return digest;
}

void Digest::update(std::span<const std::byte> bytes) {
  PJ_CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
}

std::string Digest::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int length = 0;
  PJ_CHECK(EVP_DigestFinal_ex(impl_->context, raw.data(), &length) == 1);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", raw[i]);
  return text;
}

}  // namespace pajamas::hub
