// SPDX-License-Identifier: Apache-2.0
#include "gateway/hub/route.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <charconv>
#include <utility>

#include "gateway/base/log.h"

namespace trunkline::hub {

namespace {

using Kind = LinkFault::Kind;

bool is_address(const std::string& text) {
  boost::system::error_code error;
  boost::asio::ip::make_address(text, error);
  return !error;
}

// Lower case and without the root's dot, so that equal names are equal texts; empty if it cannot be a host's.
std::string canonical(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty() || name.size() > 253) return {};
  std::string result(name);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) == 0 && c != '-' && c != '.' && c != ':') return {};
    c = static_cast<char>(std::tolower(byte));
  }
  return result;
}

std::string_view entry(const amqp::Condition& condition, std::string_view key) {
  const auto found = condition.info.find(key);
  return found == condition.info.end() ? std::string_view() : std::string_view(found->second);
}

std::uint16_t port_or(std::string_view text, std::uint16_t otherwise) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0 ? port : otherwise;
}

}  // namespace

Route::Route(std::string host, net::Endpoint configured) : host_(std::move(host)), configured_(std::move(configured)) {
  go_home();
}

void Route::go_home() {
  stop_ = {configured_, host_};
  redirected_ = false;
  in_a_row_ = 0;
}

bool Route::in_domain(std::string_view name) const {
  const auto candidate = canonical(name);
  const auto host = canonical(host_);
  if (candidate.empty()) return false;
  if (candidate == host || candidate == canonical(configured_.host)) return true;
  if (is_address(host) || is_address(candidate)) return false;
  // The parent of "contoso.azure-devices.net" is a domain of somebody; that of "example.net" is not.
  const auto dot = host.find('.');
  if (dot == std::string::npos || host.find('.', dot + 1) == std::string::npos) return false;
  const auto parent = std::string_view(host).substr(dot);
  return candidate.size() > parent.size() && candidate.ends_with(parent);
}

LinkFault Route::redirect(const amqp::Condition& condition) {
  const auto hostname = entry(condition, "hostname");
  auto target = entry(condition, "network-host");
  if (target.empty()) target = hostname;
  const auto refused = [&](std::string why) {
    log::warning("uplink_redirect_refused", {{"to", target}, {"error", why}});
    go_home();
    return LinkFault{Kind::transport, std::string(kRedirect), std::move(why), {}};
  };
  if (target.empty()) return refused("the hub redirected us without saying where");
  if (!in_domain(target))
    return refused("the hub redirected us to " + std::string(target) + ", outside the hub's domain");
  if (++in_a_row_ > kMaxRedirects) {
    return refused("the hub redirected us " + std::to_string(kMaxRedirects) + " times in a row and again");
  }
  const bool named = !hostname.empty() && in_domain(hostname) && !is_address(std::string(hostname));
  stop_ = {{std::string(target), port_or(entry(condition, "port"), configured_.port)},
           named ? canonical(hostname) : host_};
  redirected_ = true;
  log::info("uplink_redirected", {{"to", stop_.address.text()}, {"name", stop_.name}});
  return {Kind::redirect, std::string(kRedirect), "the hub wants us at " + stop_.address.text(), {}};
}

void Route::ended(bool was_ready) {
  if (redirected_ && !was_ready) {
    log::info("uplink_redirect_left", {{"to", configured_.text()}});
    go_home();
  }
}

}  // namespace trunkline::hub
