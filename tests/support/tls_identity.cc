// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tls_identity.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>

namespace trunkline::tests {

namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

// Its declaration carries attributes, which a template's argument cannot have.
struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

Key make_key() {
  return Key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
}

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  auto* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (extension == nullptr) throw std::runtime_error("bad certificate extension " + value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate make_certificate(const std::string& subject, long serial, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                             const std::string& san, long begins = -3600, long ends = 24L * 3600) {
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), begins);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), ends);
  auto* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(subject.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer == nullptr ? certificate.get() : issuer));
  X509_set_pubkey(certificate.get(), key);
  auto* signer = issuer == nullptr ? certificate.get() : issuer;
  if (san.empty()) {
    add_extension(certificate.get(), signer, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate.get(), signer, NID_key_usage, "critical,keyCertSign");
  } else {
    add_extension(certificate.get(), signer, NID_subject_alt_name, san);
  }
  if (X509_sign(certificate.get(), issuer_key, EVP_sha256()) == 0) throw std::runtime_error("cannot sign");
  return certificate;
}

File open_for_writing(const std::string& path) {
  File file(std::fopen(path.c_str(), "w"));
  if (!file) throw std::runtime_error("cannot write " + path);
  return file;
}

bool is_address(const std::string& name) {
  return name.find_first_not_of("0123456789.") == std::string::npos || name.find(':') != std::string::npos;
}

}  // namespace

TlsIdentity::TlsIdentity(const std::string& name, long begins, long ends) {
  std::string pattern = std::filesystem::temp_directory_path() / "trunkline-tls-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
  directory_ = pattern;
  const auto ca_key = make_key();
  const auto ca = make_certificate("trunkline test CA", 1, ca_key.get(), nullptr, ca_key.get(), "");
  const auto key = make_key();
  const auto certificate = make_certificate("trunkline test server", 2, key.get(), ca.get(), ca_key.get(),
                                            (is_address(name) ? "IP:" : "DNS:") + name, begins, ends);
  PEM_write_X509(open_for_writing(ca_file()).get(), ca.get());
  PEM_write_X509(open_for_writing(certificate_file()).get(), certificate.get());
  PEM_write_PrivateKey(open_for_writing(key_file()).get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

TlsIdentity::~TlsIdentity() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace trunkline::tests
