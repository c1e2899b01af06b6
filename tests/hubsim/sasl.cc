// SPDX-License-Identifier: Apache-2.0
#include "tests/hubsim/sasl.h"

#include "tests/hubsim/amqp_value.h"

namespace trunkline::hubsim {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kMaxFrameBytes = 16 * 1024;
constexpr auto kAmqpHeader = "AMQP\x00\x01\x00\x00"sv;
constexpr auto kSaslHeader = "AMQP\x03\x01\x00\x00"sv;

enum Performative : std::uint8_t { mechanisms = 0x40, init = 0x41, challenge = 0x42, response = 0x43, outcome = 0x44 };

void put_frame(std::string& out, Performative code, std::uint32_t count, std::string_view fields) {
  std::string body;
  wire::put_descriptor(body, code);
  wire::put_list(body, count, fields);
  const auto size = static_cast<std::uint32_t>(kHeaderBytes + body.size());
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift & 0xFF));
  out.append("\x02\x01\x00\x00"sv);  // data offset 2 words, type SASL, no channel
  out.append(body);
}

void put_mechanisms(std::string& out) {
  std::string fields;
  wire::put_symbol_array(fields, {"EXTERNAL", "MSSBCBS", "ANONYMOUS", "PLAIN"});
  put_frame(out, Performative::mechanisms, 1, fields);
}

SaslServer::State put_outcome(std::string& out, bool good) {
  std::string fields;
  wire::put_ubyte(fields, good ? 0 : 1);
  if (good) wire::put_binary(fields, "Welcome!");
  put_frame(out, Performative::outcome, good ? 2 : 1, fields);
  return good ? SaslServer::State::accepted : SaslServer::State::refused;
}

}  // namespace

SaslServer::State SaslServer::feed(std::string_view bytes, std::string& output) {
  if (state_ != State::waiting) return state_;
  input_.append(bytes);
  while (state_ == State::waiting) {
    if (phase_ == Phase::header) {
      if (input_.size() < kHeaderBytes) return state_;
      state_ = on_header(output);
      continue;
    }
    if (input_.size() < kHeaderBytes) return state_;
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(input_[i]);
    const std::size_t offset = std::size_t{4} * static_cast<unsigned char>(input_[4]);
    if (size > kMaxFrameBytes || offset < kHeaderBytes || offset > size || input_[5] != '\x01') {
      state_ = State::refused;
      return state_;
    }
    if (input_.size() < size) return state_;
    const auto body = input_.substr(offset, size - offset);
    input_.erase(0, size);
    state_ = on_frame(body, output);
  }
  return state_;
}

SaslServer::State SaslServer::on_header(std::string& output) {
  if (std::string_view(input_).starts_with(kAmqpHeader)) return State::accepted;
  // AMQP 1.0 section 2.2: to an unsupported header answer with a supported one and close.
  output.append(kSaslHeader);
  if (!std::string_view(input_).starts_with(kSaslHeader)) return State::refused;
  input_.erase(0, kHeaderBytes);
  put_mechanisms(output);
  phase_ = Phase::init;
  return State::waiting;
}

SaslServer::State SaslServer::on_frame(std::string_view body, std::string& output) {
  wire::Reader reader(body);
  const auto raw = reader.next();
  const auto performative = raw ? wire::described(*raw) : std::nullopt;
  const auto fields = performative ? wire::elements(performative->value) : std::nullopt;
  if (!fields || fields->empty()) return State::refused;
  if (phase_ == Phase::response) {
    const auto answer = wire::as_binary((*fields)[0]);
    if (performative->code != Performative::response || !answer) return State::refused;
    return judge_plain(*answer, output);
  }
  const auto mechanism = wire::as_text((*fields)[0]);
  if (performative->code != Performative::init || !mechanism) return State::refused;
  mechanism_ = *mechanism;
  if (mechanism_ == "ANONYMOUS" || mechanism_ == "MSSBCBS") return put_outcome(output, true);
  if (mechanism_ != "PLAIN") return put_outcome(output, false);
  if (fields->size() > 1) {
    if (const auto answer = wire::as_binary((*fields)[1])) return judge_plain(*answer, output);
  }
  std::string empty;
  wire::put_binary(empty, {});
  put_frame(output, Performative::challenge, 1, empty);
  phase_ = Phase::response;
  return State::waiting;
}

SaslServer::State SaslServer::judge_plain(std::string_view response, std::string& output) {
  // RFC 4616: authzid NUL authcid NUL passwd.
  const auto first = response.find('\0');
  const auto second = first == response.npos ? first : response.find('\0', first + 1);
  if (second == response.npos) return put_outcome(output, false);
  return put_outcome(output,
                     verify_plain_(response.substr(first + 1, second - first - 1), response.substr(second + 1)));
}

}  // namespace trunkline::hubsim
