// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/certificate.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "gateway/base/check.h"

namespace trunkline::hubsim {
namespace {

constexpr long kDay = 24 * 60 * 60;
constexpr long kLifetime = 3650 * kDay;

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using File = std::unique_ptr<std::FILE, Deleter<std::fclose>>;

Key new_key() {
  Key key(EVP_EC_gen("P-256"));
  TRUNKLINE_CHECK(key != nullptr, "OpenSSL makes a key");
  return key;
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  TRUNKLINE_CHECK(extension != nullptr, "a certificate extension of ours is well formed");
  X509_add_ext(certificate, extension.get(), -1);
}

Certificate new_certificate(EVP_PKEY* key, const std::string& name) {
  Certificate certificate(X509_new());
  TRUNKLINE_CHECK(certificate != nullptr, "OpenSSL makes a certificate");
  X509_set_version(certificate.get(), X509_VERSION_3);
  unsigned char serial[8];
  TRUNKLINE_CHECK(RAND_bytes(serial, sizeof serial) == 1, "the operating system gives random bytes");
  std::uint64_t number = 0;
  for (const auto byte : serial) number = number << 8 | byte;
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), number >> 1);
  // From yesterday on: the clocks of two machines differ.
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kLifetime);
  X509_set_pubkey(certificate.get(), key);
  // A common name holds 64 characters; the names that count are in the extension.
  const auto common = name.substr(0, 64);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common.data()), static_cast<int>(common.size()), -1,
                             0);
  return certificate;
}

File open_new(const std::string& path, mode_t mode) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  return File(descriptor < 0 ? nullptr : ::fdopen(descriptor, "w"));
}

Result<void> write_key(const std::string& path, EVP_PKEY* key) {
  const auto file = open_new(path, 0600);
  if (!file || PEM_write_PrivateKey(file.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail(ErrorCode::unavailable, path + ": " + errno_text(errno));
  }
  return {};
}

Result<void> write_certificate(const std::string& path, X509* certificate) {
  const auto file = open_new(path, 0644);
  if (!file || PEM_write_X509(file.get(), certificate) != 1) {
    return fail(ErrorCode::unavailable, path + ": " + errno_text(errno));
  }
  return {};
}

Certificate read_certificate(const std::string& path) {
  const File file(std::fopen(path.c_str(), "re"));
  return Certificate(file ? PEM_read_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
}

Key read_key(const std::string& path) {
  const File file(std::fopen(path.c_str(), "re"));
  return Key(file ? PEM_read_PrivateKey(file.get(), nullptr, nullptr, nullptr) : nullptr);
}

bool still_good(const CertificateFiles& files, const std::string& host) {
  const auto ca = read_certificate(files.ca);
  const auto certificate = read_certificate(files.certificate);
  const auto key = read_key(files.key);
  if (!ca || !certificate || !key) return false;
  const auto authority = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>(X509_get_pubkey(ca.get()));
  std::time_t tomorrow = std::time(nullptr) + kDay;
  return X509_verify(certificate.get(), authority.get()) == 1 &&
         X509_check_private_key(certificate.get(), key.get()) == 1 &&
         X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1 &&
         X509_cmp_time(X509_get0_notAfter(certificate.get()), &tomorrow) > 0;
}

}  // namespace

Result<CertificateFiles> prepare_certificate(const std::string& directory, const std::string& host) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(ErrorCode::unavailable, directory + ": " + error.message());
  const CertificateFiles files{directory + "/ca.pem", directory + "/server.pem", directory + "/server-key.pem"};
  const auto ca_key_file = directory + "/ca-key.pem";
  if (still_good(files, host)) return files;

  auto ca = read_certificate(files.ca);
  auto ca_key = read_key(ca_key_file);
  if (!ca || !ca_key || X509_check_private_key(ca.get(), ca_key.get()) != 1) {
    ca_key = new_key();
    ca = new_certificate(ca_key.get(), "trunkline-hubsim CA");
    X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get()));
    add_extension(ca.get(), ca.get(), NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca.get(), ca.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(ca.get(), ca.get(), NID_subject_key_identifier, "hash");
    TRUNKLINE_CHECK(X509_sign(ca.get(), ca_key.get(), EVP_sha256()) != 0, "OpenSSL signs a certificate");
    if (auto written = write_key(ca_key_file, ca_key.get()); !written) return fail(written.error());
    if (auto written = write_certificate(files.ca, ca.get()); !written) return fail(written.error());
  }

  const auto key = new_key();
  const auto certificate = new_certificate(key.get(), host);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(ca.get()));
  add_extension(certificate.get(), ca.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate.get(), ca.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(certificate.get(), ca.get(), NID_ext_key_usage, "serverAuth");
  add_extension(certificate.get(), ca.get(), NID_authority_key_identifier, "keyid");
  add_extension(certificate.get(), ca.get(), NID_subject_alt_name, "DNS:" + host + ",DNS:localhost,IP:127.0.0.1");
  TRUNKLINE_CHECK(X509_sign(certificate.get(), ca_key.get(), EVP_sha256()) != 0, "OpenSSL signs a certificate");
  if (auto written = write_key(files.key, key.get()); !written) return fail(written.error());
  if (auto written = write_certificate(files.certificate, certificate.get()); !written) return fail(written.error());
  return files;
}

}  // namespace trunkline::hubsim
