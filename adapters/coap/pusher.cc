// SPDX-License-Identifier: Apache-2.0
#include "adapters/coap/pusher.h"

#include <algorithm>
#include <utility>

#include "adapters/coap/device.h"
#include "adapters/coap/server.h"
#include "gateway/base/crypto.h"
#include "gateway/mapping/method_answer.h"

namespace trunkline::coap {

namespace {

// The hub carries no more of a method's answer; what is larger by a little is told so by read_answer.
constexpr std::size_t kLargestAnswer = 2 * MethodResponse::kMaxPayload;

Token to_token(std::uint64_t number) {
  Token out;
  out.size = 8;
  for (auto& byte : out.bytes) {
    byte = static_cast<std::uint8_t>(number >> 56);
    number <<= 8;
  }
  return out;
}

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    const auto end = std::min(path.find('/'), path.size());
    out.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

std::string to_text(Code code) {
  const auto number = static_cast<unsigned>(code);
  return std::to_string(number >> 5) + (number % 32 < 10 ? ".0" : ".") + std::to_string(number % 32);
}

// C-01: 2.xx is the device's word; 4.xx will not get better by asking again, but for those that say so.
Outcome outcome_of(Code code) {
  const auto number = static_cast<unsigned>(code);
  if (number >> 5 == 2) return Outcome::accepted();
  const auto why = "the device's server answered " + to_text(code);
  const bool passing = number >> 5 != 4 || code == Code::incomplete || code == Code::too_many;
  return passing ? Outcome::released(why) : Outcome::rejected("amqp:precondition-failed", why);
}

// A method is answered by whatever comes; a refusal is the device's own word, with the status of the same name.
Outcome outcome_of_method(Code code, std::string_view payload) {
  const auto number = static_cast<unsigned>(code);
  if (number >> 5 == 2) return Outcome::answered(read_answer(payload));
  return Outcome::answered(read_answer(payload, static_cast<int>(100 * (number >> 5) + number % 32)));
}

}  // namespace

// Tokens begin at a random place, so that an answer cannot be guessed from outside.
Pusher::Pusher(Done done) : done_(std::move(done)), last_token_(random_seed()) {}

void Pusher::begin(std::size_t device, const CoapPush& to, const Command& command) {
  cancel(device);
  auto session = server_->connect(to.host, to.port);
  if (!session) {
    done_(device, Outcome::released("no socket to the device's server"), false);
    return;
  }
  auto& push = pushes_
                   .emplace(device, Push{std::move(*session),
                                         to,
                                         queries_of(command),
                                         command.kind == CommandKind::method,
                                         command.body,
                                         content_format(command.content_type),
                                         ++last_token_,
                                         {}})
                   .first->second;
  if (!send_block(push)) finish(device, Outcome::released("the device's server cannot be reached"), false);
}

void Pusher::cancel(std::size_t device) {
  const auto found = pushes_.find(device);
  if (found == pushes_.end()) return;
  spent_.push_back(std::move(found->second.session));
  pushes_.erase(found);
}

bool Pusher::send_block(Push& push) {
  const auto& block = push.block;
  const auto part = std::string_view(push.body).substr(block.offset(), block.size());
  Response request;
  request.post = true;
  request.path = segments_of(push.to.path);
  request.queries = push.queries;
  request.content_format = push.content_format;
  request.payload = part;
  if (push.body.size() > block.size()) {
    push.block.more = block.offset() + part.size() < push.body.size();
    request.block1 = push.block.option();
    if (block.number == 0) request.size1 = static_cast<std::uint32_t>(push.body.size());
  }
  return send(push.session.get(), true, to_token(push.token), request);
}

std::optional<std::size_t> Pusher::find(coap_session_t* session, const Token& token) const {
  for (const auto& [device, push] : pushes_) {
    if (push.session.get() == session && to_token(push.token) == token) return device;
  }
  return std::nullopt;
}

void Pusher::on_answer(coap_session_t* session, const Token& token, const PushAnswer& answer) {
  const auto device = find(session, token);
  if (!device) return;
  auto& push = pushes_.at(*device);
  // Said again to an earlier block: the network repeats what it likes.
  if (answer.code == Code::next_part && answer.block1 && answer.block1->number != push.block.number) return;
  if (answer.code != Code::next_part || !push.block.more) {
    if (push.method && answer.code != Code::next_part) return take_answer(*device, answer);
    finish(*device,
           answer.code == Code::next_part ? Outcome::released("the device's server wants more than there is")
                                          : outcome_of(answer.code),
           true);
    return;
  }
  // It may ask for smaller blocks (section 2.3); what it has by then is counted in its size.
  auto next = push.block.offset() + push.block.size();
  if (answer.block1 && answer.block1->exponent < push.block.exponent) push.block.exponent = answer.block1->exponent;
  push.block.number = static_cast<std::uint32_t>(next / push.block.size());
  if (!send_block(push)) finish(*device, Outcome::released("the device's server cannot be reached"), false);
}

void Pusher::take_answer(std::size_t device, const PushAnswer& answer) {
  auto& push = pushes_.at(device);
  const auto refuse = [&](std::string_view why) {
    finish(device, Outcome::answered(own_answer(MethodResponse::kUnusable, why)), true);
  };
  const auto part = answer.block2.value_or(Block{});
  // A part that was asked for before: the network repeats what it likes.
  if (push.answer_part && part.offset() < push.answer_part->offset()) return;
  if (part.offset() != push.answer.size()) return refuse("a part of the device's answer is missing");
  if (part.more && answer.payload.size() != part.size()) return refuse("a part of the device's answer is too short");
  if (push.answer.size() + answer.payload.size() > kLargestAnswer) return refuse("the device's answer is too large");
  push.answer += answer.payload;
  if (!part.more) return finish(device, outcome_of_method(answer.code, push.answer), true);
  if (!ask_rest(push, part)) finish(device, Outcome::released("the device's server cannot be reached"), false);
}

// The next part of the answer: the same request again without its body.
bool Pusher::ask_rest(Push& push, const Block& last) {
  push.answer_part = Block{last.number + 1, false, last.exponent};
  Response request;
  request.post = true;
  request.path = segments_of(push.to.path);
  request.queries = push.queries;
  request.block2 = push.answer_part->option();
  return send(push.session.get(), true, to_token(push.token), request);
}

void Pusher::on_undelivered(coap_session_t* session, const Token& token) {
  if (const auto device = find(session, token)) {
    finish(*device, Outcome::released("the device's server did not answer"), false);
  }
}

void Pusher::finish(std::size_t device, Outcome outcome, bool heard) {
  cancel(device);
  done_(device, std::move(outcome), heard);
}

void Pusher::close() {
  pushes_.clear();
  spent_.clear();
}

}  // namespace trunkline::coap
