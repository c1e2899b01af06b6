// SPDX-License-Identifier: Apache-2.0
#include "config/map_options.h"

namespace trunkline::config {

// clang-format off
std::span<const MapOption> map_options() {
  static const std::vector<MapOption> rows = {
      {{"id"}, "required", "the device's id at the hub, exactly"},
      {{"content_type", "content_encoding"}, "the adapter's", "of its telemetry, such as `\"application/json\"` and `\"utf-8\"`"},
      {{"expect_every"}, "none", "silence of three times this means that it is away; `\"1s\"` to `\"30d\"`"},
      {{"priority"}, "`\"normal\"`", "ranks devices when not all can be served at once: `\"alarm\"`, `\"normal\"`, `\"bulk\"`"},
      {{"in_flight"}, "64", "unsettled messages at the hub at the same time, 1 to 1000"},
      {{"command_done"}, "`\"replied\"`", "what says that a command is done: `\"replied\"`, `\"acknowledged\"` (a broker took it for somebody: with MQTT 5 nobody listening is a release), `\"written\"` (handed to the connection). Must be said where no reply is mapped. `\"stored\"` is queue mode, see below"},
      {{"max_commands", "max_command_bytes"}, "100, `\"256KiB\"`", "of queue mode: what may wait for this device; the rest stays at the hub"},
      {{"command_keep"}, "`\"48h\"`", "of queue mode: longest that a command waits here; an earlier expiry of its own counts"},
      {{"command_timeout"}, "`\"45s\"`", "a cloud-to-device message whose outcome is not known by then is released; `\"1s\"` to `\"50s\"`"},
      {{"method_timeout"}, "`\"30s\"`", "a method that is not answered by then is 504 for its caller; `\"1s\"` to `\"300s\"`"},
      {{"max_bytes", "max_messages"}, "its share", "of the spool, the most that it holds; from `\"1KiB\"`, from 1"},
      {{"max_age"}, "`spool.max_age`", "of its messages"},
      {{"on_full"}, "`\"refuse\"`, for MQTT `\"drop_newest\"`", "what happens at its own limit: it is asked to wait, the new message is dropped, or (`\"drop_oldest\"`) its oldest waiting one; drops are counted"},
      {{"mqtt.broker"}, "the only one, else `\"default\"`", "name of a `[[mqtt]]` table"},
      {{"mqtt.telemetry"}, "required", "topic that the device publishes on, or an array of them; `{name}` is one level that varies, `{name+}` several"},
      {{"mqtt.command", "mqtt.command_reply"}, "none", "topic of its commands, and on which it says that one is done; a `{name}` that is left in the former is filled by the command's application property of that name"},
      {{"mqtt.command_payload"}, "the command's body", "template with `{payload}`, `{object}` (the body, or `{}`), `{id}`, `{device}`, captures and the command's properties"},
      {{"mqtt.method", "mqtt.method_reply"}, "none", "topic of method calls, with `{name}` and `{id}` as levels if wanted, and of their answers"},
      {{"mqtt.desired"}, "none", "topic on which changes of the desired properties are published, a JSON merge patch"},
      {{"mqtt.reported"}, "none", "topic on which the device says its state, a JSON object; saying what was desired confirms it. Without it the broker's acknowledgement does"},
      {{"mqtt.presence"}, "none", "topic, or `{ topic, online = \"online\", offline = \"offline\" }`, such as a last will: its payload, or the member `state` of a JSON object"},
      {{"mqtt.bridge"}, "none", "the same for what stands between many devices and the broker"},
      {{"mqtt.retained"}, "`\"state\"`", "what becomes of retained messages: sent up with the property `retained=true`, `\"drop\"`, or `\"forward\"` as if new"},
      {{"mqtt.ignore"}, "none", "topics that mean nothing though a wider one would match; `#` may end them"},
      {{"map"}, "none", "how its payloads become what goes up, see below; without it the bytes pass untouched"},
      {{"samples"}, "none", "`[{ topic = \"…\", in = '…', out = '…' }]`, run when the file is read; without `out` nothing may go up. TCP: `{ bytes = \"02 31 32 03\", out = ['…', \"hex:ff\"] }`, a stream through framing, heartbeats and `map`, run by `trunkline check`"},
      {{"coap.identity"}, "none", "PSK identity or certificate name: the device is heard on `coap.listen_dtls`, and nowhere else"},
      {{"coap.address"}, "none", "IP address that is this device on the plain listener; without it the path is"},
      {{"coap.telemetry"}, "required", "path that it POSTs to"},
      {{"coap.command"}, "none", "path that it observes for its commands"},
      {{"coap.piggyback"}, "`false`", "instead: commands come in the 2.04 to its telemetry"},
      {{"coap.push"}, "none", "instead: commands are POSTed to its own server, `\"coap://10.0.0.7:5683/cmd\"`"},
      {{"coap.result"}, "none", "path to which it POSTs `?id=` when a command is done; with `coap.push` its 2.xx says so"},
      {{"coap.time"}, "none", "where it says when its message was: `{ query = \"ts\" }` for `?ts=…`, or `{ option = 65000, format = \"unix_ms\" }`; `format` and `assume_utc` as in `map.time`. An empty option asks for our time, which the answer carries in the same option"},
      {{"coap.method", "coap.method_reply"}, "none", "path that it observes for method calls (`id=` and `name=` as Location-Query), and to which it POSTs `?id=…&status=…` and its answer. With `coap.push` the former is a path of its own server, whose answer is the method's"},
      {{"coap.desired", "coap.reported"}, "none", "the same for changes of the desired properties (`id=`, `version=`), and the path to which it POSTs its state as JSON; with `?id=…` that confirms the change. With `coap.push` a 2.xx confirms it"},
      {{"tcp.listen", "tcp.connect"}, "required", "IP address and port to listen on, or host and port to dial"},
      {{"tcp.framing"}, "`{ kind = \"line\", end = \"\\n\", max = \"64KiB\" }`", "how the stream is cut into messages; `adapters/tcp/README.md` has the kinds and their options"},
      {{"tcp.ack"}, "none", "sent for each message once it is safe; here and in whatever else is sent, `\\xHH` is a byte (in single quotes)"},
      {{"tcp.sequence"}, "none", "a field (below) that names a message: it fills `{sequence}` in `tcp.ack`, and the same name with the same bytes is a repeat"},
      {{"tcp.cumulative"}, "`false`", "of several acknowledgements that are due only the last is sent"},
      {{"tcp.identify"}, "the device is alone there", "`{ by = \"…\", is = \"…\" }`, `is` being the device's id unless said: devices that share an address, told apart by `\"address\"` (`is` an IP address or network), `\"registration\"` (the first message, a field of it; or `bytes = 15`, so many bytes before the first frame; `answer` is sent when it is known), `\"frame\"` (a field of each message, several devices on one connection), `\"certificate\"` (common name), `\"psk\"` (identity). `hold` (`\"4KiB\"`), `hold_time` (`\"10s\"`): what an unknown peer gets before it is closed"},
      {{"tcp.second"}, "`\"replace\"`", "a second connection of a device takes the place of the first, or `\"refuse\"`"},
      {{"tcp.command"}, "none", "`{ send = \"…\", reply = \"…\" }` with `{payload}`, `{id}`, `{device}` and check values; `reply` is a message without its end; `timeout` and `retries` of one sending, `expire` (a command that the hub took longer ago is rejected, never sent late), `framing` of what is sent, polls too, if it differs"},
      {{"tcp.method"}, "none", "`{ send, reply }` as `tcp.command` has them; `send` has `{name}` too, `reply` takes `{id}`, `{status}` and `{payload}` out of the line"},
      {{"tcp.desired"}, "none", "`{ send, reply }`; `send` has `{version}` too. Without a reply, written is confirmed"},
      {{"tcp.reported"}, "none", "template with `{payload}`, such as `\"STATE {payload}\"`: lines that say the device's state as a JSON object"},
      {{"tcp.poll"}, "none", "`[{ send = \"…\", every = \"10s\", timeout = \"2s\" }]`: asked again and again, what the device answers is its telemetry"},
      {{"tcp.gap"}, "none", "pause between anything heard or sent and what is sent next"},
      {{"tcp.heartbeat"}, "none", "`[{ match = '^ping', answer = 'pong' }]`: messages that only say that the device lives"},
      {{"tcp.probe"}, "none", "`{ send = \"…\", every = \"30s\", timeout = \"10s\" }`: sent after silence; nothing heard then, and the connection is dead"},
      {{"tcp.silence"}, "none", "nothing heard for so long, and the connection is dead"},
      {{"tcp.dead_after"}, "`\"1m\"`", "the network path is dead when nothing is acknowledged for so long (TCP keepalive and user timeout)"},
      {{"tcp.release"}, "stay", "dialling: connect only when there is something to send, let go after so much idle time"},
      {{"tcp.retry"}, "`\"30s\"`", "dialling: longest wait between attempts, growing from 0.5 s"},
      {{"tcp.bind"}, "none", "dialling: our own address, or an interface"},
      {{"tcp.allow"}, "everybody", "listening: addresses and networks that may connect, `[\"10.0.7.0/24\"]`; plain TCP on `0.0.0.0` without it is warned about"},
      {{"tcp.max_connections", "tcp.max_per_address"}, "20000, no limit", "of one listener, and from one source address"},
      {{"tcp.tls"}, "none", "listening: `{ cert, key, ca_file, psk = true }`, with `ca_file` the device must show a certificate from there. Dialling: `{ ca_file, name, cert, key }`, the latter two being our own certificate if the device asks for one, or `{ psk = true, identity = \"…\" }`, who we are (the device's id) with the key that the identity store has for it"},
  };
  return rows;
}
// clang-format on

std::string map_options_markdown() {
  std::string out = "| key | default | meaning |\n|---|---|---|\n";
  for (const auto& row : map_options()) {
    std::string names;
    for (const auto name : row.names) names += (names.empty() ? "`" : ", `") + std::string(name) + "`";
    out += "| " + names + " | " + std::string(row.unset) + " | " + std::string(row.meaning) + " |\n";
  }
  return out;
}

}  // namespace trunkline::config
