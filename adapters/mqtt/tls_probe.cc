// SPDX-License-Identifier: Apache-2.0
#include "adapters/mqtt/tls_probe.h"

#include <boost/asio/io_context.hpp>
#include <optional>

#include "gateway/net/connect.h"

namespace trunkline::mqtt {

namespace {
constexpr std::chrono::seconds kPatience{10};
constexpr std::chrono::milliseconds kGlance{100};
}  // namespace

Result<void> probe_tls(const SessionOptions& options, const std::function<bool()>& abandoned) {
  if (!options.tls || !options.verify_certificate || !options.verify_host) return {};
  const auto context = net::tls_client_context({options.host, options.ca_file});
  if (!context) return fail(context.error());
  if (!options.cert.empty()) {
    boost::system::error_code failed;
    (*context)->use_certificate_chain_file(options.cert, failed);
    if (!failed) (*context)->use_private_key_file(options.key, boost::asio::ssl::context::pem, failed);
    if (failed) return fail(ErrorCode::invalid, "our certificate or its key cannot be used: " + failed.message());
  }
  boost::asio::io_context io{1};
  std::optional<Result<void>> answer;
  const auto attempt = net::connect_tls(io, {options.host, options.port}, *context, options.host, kPatience,
                                        [&answer](Result<std::unique_ptr<net::Stream>> stream) {
                                          answer = stream ? Result<void>() : fail(stream.error());
                                        });
  while (!answer && !abandoned()) {
    io.run_for(kGlance);
    if (io.stopped()) break;
  }
  if (!answer || *answer) return {};
  const auto& error = answer->error();
  auto text = error.message;
  // Whoever shows it says where it is.
  const auto peer = net::Endpoint{options.host, options.port}.text() + ": ";
  if (text.starts_with(peer)) text.erase(0, peer.size());
  if (text.starts_with("certificate")) text.insert(0, "TLS ");
  if (error.code == ErrorCode::timed_out) text += "; is it a broker, and is it alive?";
  return fail(error.code, std::move(text));
}

}  // namespace trunkline::mqtt
