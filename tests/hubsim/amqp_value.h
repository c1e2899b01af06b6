// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The AMQP 1.0 type encoding (part 1 of the standard), as far as SASL frames and message sections need it. Pure. A
// value is handled as its encoded bytes, constructor included ("raw"), so that an identifier can be given back in its
// own type. Nothing here allocates by a length that the peer claims: every length is checked against the bytes at hand.
namespace trunkline::hubsim::wire {

// Takes complete encoded values off the front of a byte string.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  // The next value; nothing if it is cut short or of no known encoding (the reader is then of no further use).
  std::optional<std::string_view> next();

 private:
  std::string_view bytes_;
};

// A described value taken apart; nothing unless its descriptor is an unsigned long.
struct Described {
  std::uint64_t code = 0;
  std::string_view value;
};
std::optional<Described> described(std::string_view raw);

bool is_null(std::string_view raw);
std::optional<std::uint64_t> as_unsigned(std::string_view raw);  // ubyte, ushort, uint, ulong
std::optional<std::int64_t> as_signed(std::string_view raw);     // byte, short, int, long
std::optional<std::int32_t> as_int(std::string_view raw);        // int alone
std::optional<std::int64_t> as_timestamp(std::string_view raw);  // milliseconds since the epoch
std::optional<std::string_view> as_text(std::string_view raw);   // string or symbol
std::optional<std::string_view> as_binary(std::string_view raw);
// The elements of a list, or keys and values of a map in turn.
std::optional<std::vector<std::string_view>> elements(std::string_view raw);
// A scalar as a person writes it: text as it is, uuid with dashes, numbers in decimal, binary in hex; null is empty.
std::string to_text(std::string_view raw);

void put_null(std::string& out);
void put_ubyte(std::string& out, std::uint8_t value);
void put_uint(std::string& out, std::uint32_t value);
void put_ulong(std::string& out, std::uint64_t value);
void put_int(std::string& out, std::int32_t value);
void put_long(std::string& out, std::int64_t value);
void put_uuid(std::string& out, std::string_view bytes);  // 16 of them
void put_timestamp(std::string& out, std::int64_t milliseconds);
void put_string(std::string& out, std::string_view text);
void put_symbol(std::string& out, std::string_view text);
void put_binary(std::string& out, std::string_view bytes);
void put_descriptor(std::string& out, std::uint8_t code);
void put_list(std::string& out, std::uint32_t count, std::string_view encoded_elements);
void put_map(std::string& out, std::uint32_t count, std::string_view encoded_elements);  // count: keys and values
void put_symbol_array(std::string& out, const std::vector<std::string_view>& symbols);

}  // namespace trunkline::hubsim::wire
