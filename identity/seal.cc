// SPDX-License-Identifier: Apache-2.0
#include "identity/seal.h"

#include <openssl/evp.h>

#include <memory>

#include "gateway/base/check.h"
#include "gateway/base/crypto.h"

namespace trunkline::identity {
namespace {

constexpr std::size_t kNonce = 12;
constexpr std::size_t kTag = 16;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

Context make_context() {
  Context context(EVP_CIPHER_CTX_new());
  TRUNKLINE_CHECK(context, "OpenSSL gives a cipher context");
  return context;
}

}  // namespace

Seal::Seal(Secret key) : key_(std::move(key)) {
  TRUNKLINE_CHECK(key_.reveal().size() == kKeyBytes, "a sealing key has 32 bytes");
}

std::string Seal::close(const Secret& secret, std::string_view context_text) const {
  const auto plain = secret.reveal();
  auto out = random_bytes(kNonce);
  const auto nonce = out;
  out.resize(kNonce + plain.size() + kTag);
  auto* const body = bytes(out) + kNonce;
  const auto context = make_context();
  int length = 0;
  bool good = EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes(key_.reveal()), bytes(nonce)) == 1;
  good = good && EVP_EncryptUpdate(context.get(), nullptr, &length, bytes(context_text),
                                   static_cast<int>(context_text.size())) == 1;
  good = good && EVP_EncryptUpdate(context.get(), body, &length, bytes(plain), static_cast<int>(plain.size())) == 1;
  good = good && EVP_EncryptFinal_ex(context.get(), body + plain.size(), &length) == 1;
  good = good &&
         EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(kTag), body + plain.size()) == 1;
  TRUNKLINE_CHECK(good, "OpenSSL has AES-256-GCM");
  return out;
}

Result<Secret> Seal::open(std::string_view sealed, std::string_view context_text) const {
  if (sealed.size() < kNonce + kTag) return fail(ErrorCode::corrupt, "a sealed value is too short");
  const auto body = sealed.substr(kNonce, sealed.size() - kNonce - kTag);
  std::string tag(sealed.substr(sealed.size() - kTag));
  std::string plain(body.size() + 1, '\0');
  const auto context = make_context();
  int length = 0;
  bool good = EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes(key_.reveal()), bytes(sealed)) == 1;
  good = good && EVP_DecryptUpdate(context.get(), nullptr, &length, bytes(context_text),
                                   static_cast<int>(context_text.size())) == 1;
  good =
      good && EVP_DecryptUpdate(context.get(), bytes(plain), &length, bytes(body), static_cast<int>(body.size())) == 1;
  good = good && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(kTag), tag.data()) == 1;
  TRUNKLINE_CHECK(good, "OpenSSL has AES-256-GCM");
  good = EVP_DecryptFinal_ex(context.get(), bytes(plain) + body.size(), &length) == 1;
  plain.resize(body.size());
  Secret secret(std::move(plain));
  if (!good) return fail(ErrorCode::corrupt, "a sealed value does not open with this key");
  return secret;
}

}  // namespace trunkline::identity
