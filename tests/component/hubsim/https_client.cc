// SPDX-License-Identifier: Apache-2.0
#include "tests/component/hubsim/https_client.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "gateway/net/endpoint.h"

namespace trunkline::hubsim {

std::string https_bytes(HubServer& hub, const std::string& bytes) {
  namespace asio = boost::asio;
  asio::io_context io;
  asio::ssl::context context(asio::ssl::context::tls_client);
  context.load_verify_file(hub.ca_file());
  context.set_verify_mode(asio::ssl::verify_peer);
  asio::ssl::stream<asio::ip::tcp::socket> stream(io, context);
  const auto peer = net::Endpoint::parse(hub.https_address()).value();
  stream.next_layer().connect({asio::ip::make_address(peer.host), peer.port});
  stream.handshake(asio::ssl::stream_base::client);
  asio::write(stream, asio::buffer(bytes));
  std::string got;
  boost::system::error_code error;
  char in[4096];
  while (!error) {
    const auto count = stream.read_some(asio::buffer(in), error);
    got.append(in, count);
  }
  return got;
}

HttpsAnswer https(HubServer& hub, const std::string& token, const std::string& method, const std::string& target,
                  const std::string& body, const std::string& if_match) {
  auto path = target;
  if (path.find("api-version") == path.npos) {
    path += (path.find('?') == path.npos ? "?" : "&") + std::string("api-version=2021-04-12");
  }
  auto request = method + " " + path + " HTTP/1.1\r\nHost: " + hub.host() + "\r\nConnection: close\r\n";
  if (!token.empty()) request += "Authorization: " + token + "\r\n";
  if (!if_match.empty()) request += "If-Match: " + if_match + "\r\n";
  request += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  const auto got = https_bytes(hub, request);
  HttpsAnswer answer;
  const auto end = got.find("\r\n\r\n");
  if (!got.starts_with("HTTP/1.1 ") || end == got.npos) return answer;
  answer.status = std::stoi(got.substr(9, 3));
  answer.head = got.substr(0, end);
  if (end + 4 < got.size()) answer.body = json::parse(got.substr(end + 4));
  return answer;
}

}  // namespace trunkline::hubsim
