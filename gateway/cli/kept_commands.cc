// SPDX-License-Identifier: Apache-2.0
// ledger, spool and deadletters: asked of the running gateway, or read from its file when it is down.
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>

#include "config/settings.h"
#include "gateway/base/json.h"
#include "gateway/cli/commands.h"
#include "gateway/cli/control_client.h"
#include "gateway/cli/kept_text.h"
#include "gateway/pipeline/spool_reader.h"

namespace trunkline::cli {
namespace {

constexpr Milliseconds kPatience{60'000};

// Where answers come from: the control socket, or the file.
class Source {
 public:
  static Result<Source> open(const config::Settings& settings) {
    Source out;
    out.socket_ = settings.status.control;
    if (ask_gateway(out.socket_, R"({"op":"spool"})", kPatience)) return out;
    auto reader = SpoolReader::open(settings.spool.directory, settings.spool.max_bytes);
    if (!reader) return fail(reader.error());
    out.reader_ = std::move(*reader);
    return out;
  }

  [[nodiscard]] Result<json::object> ask(const json::object& request) const {
    auto text = reader_ ? Result<std::string>(answer(reader_->kept(), json::serialize(request)))
                        : ask_gateway(socket_, json::serialize(request), kPatience);
    if (!text) return fail(text.error());
    boost::system::error_code bad;
    auto value = json::parse(*text, bad);
    if (bad || !value.is_object()) return fail(ErrorCode::internal, "an answer that makes no sense");
    if (const auto* wrong = value.as_object().if_contains("error"); wrong != nullptr && wrong->is_string()) {
      return fail(ErrorCode::invalid, std::string(wrong->as_string()));
    }
    return std::move(value.as_object());
  }

 private:
  std::string socket_;
  std::unique_ptr<SpoolReader> reader_;
};

using Act = std::function<Result<void>(const Source&)>;

int run(const Place& place, const Streams& streams, const Act& act) {
  const auto loaded = config::load(place.config);
  if (!loaded.paths_usable) {
    for (const auto& problem : loaded.problems) streams.err << problem.text() << '\n';
    return kUsage;
  }
  const auto source = Source::open(loaded.settings);
  const auto done = source ? act(*source) : Result<void>(fail(source.error()));
  if (done) return kDone;
  streams.err << "trunkline: " << done.error().message << '\n';
  return done.error().code == ErrorCode::not_found ? kNotRunning : kFailed;
}

int ask_and_print(const Place& place, bool as_json, const Streams& streams, const json::object& request,
                  std::string (*text)(const json::object&)) {
  return run(place, streams, [&](const Source& source) -> Result<void> {
    const auto found = source.ask(request);
    if (!found) return fail(found.error());
    streams.out << (as_json ? json::serialize(*found) + '\n' : text(*found));
    return {};
  });
}

json::object request_of(std::string_view act, const LetterChoice& choice) {
  json::object out{{"op", "deadletters"}, {"do", act}};
  if (!choice.device.empty()) out["device"] = choice.device;
  if (!choice.id.empty()) out["id"] = choice.id;
  return out;
}

// Page after page.
Result<void> each_page(const Source& source, json::object request,
                       const std::function<void(const json::object&)>& take) {
  for (;;) {
    const auto page = source.ask(request);
    if (!page) return fail(page.error());
    take(*page);
    const auto* next = page->if_contains("next");
    if (next == nullptr || !next->is_string()) return {};
    request["after"] = *next;
  }
}

}  // namespace

int ledger(const Place& place, const std::string& device, const std::string& since, bool as_json,
           const Streams& streams) {
  json::object request{{"op", "ledger"}};
  if (!device.empty()) request["device"] = device;
  if (!since.empty()) request["since"] = since;
  return ask_and_print(place, as_json, streams, request, ledger_text);
}

int spool(const Place& place, bool as_json, const Streams& streams) {
  return ask_and_print(place, as_json, streams, {{"op", "spool"}}, spool_text);
}

int dead_letters(const Place& place, const LetterChoice& choice, bool as_json, const Streams& streams) {
  return run(place, streams, [&](const Source& source) -> Result<void> {
    json::array all;
    const auto done = each_page(source, request_of("list", choice), [&all](const json::object& page) {
      for (const auto& letter : page.at("dead_letters").as_array()) all.push_back(letter);
    });
    if (!done) return fail(done.error());
    streams.out << (as_json ? json::serialize(all) + '\n' : dead_letters_text(all));
    return {};
  });
}

int dead_letter_show(const Place& place, const LetterChoice& choice, bool as_json, const Streams& streams) {
  return run(place, streams, [&](const Source& source) -> Result<void> {
    const auto found = source.ask(request_of("show", choice));
    if (!found) return fail(found.error());
    const auto& letters = found->at("dead_letters").as_array();
    if (letters.empty()) return fail(ErrorCode::invalid, "there is no dead letter " + choice.id);
    const auto& letter = letters.front().as_object();
    streams.out << (as_json ? json::serialize(letter) + '\n' : dead_letter_text(letter));
    return {};
  });
}

int dead_letters_export(const Place& place, const LetterChoice& choice, const std::string& file,
                        const Streams& streams) {
  return run(place, streams, [&](const Source& source) -> Result<void> {
    std::ofstream opened;
    if (file != "-") {
      opened.open(file, std::ios::binary | std::ios::trunc);
      if (!opened) return fail(ErrorCode::invalid, file + " cannot be written");
    }
    auto& out = file == "-" ? streams.out : opened;
    std::size_t count = 0;
    const auto done = each_page(source, request_of("export", choice), [&](const json::object& page) {
      for (const auto& letter : page.at("dead_letters").as_array()) {
        out << json::serialize(letter) << '\n';
        ++count;
      }
    });
    if (!done) return fail(done.error());
    out.flush();
    if (!out) return fail(ErrorCode::invalid, file + " cannot be written to its end");
    if (file != "-") streams.out << count << " exported to " << file << '\n';
    return {};
  });
}

int dead_letters_change(const Place& place, const LetterChoice& choice, const std::string& act,
                        const Streams& streams) {
  if (choice.id.empty() && choice.device.empty() && !choice.all) {
    streams.err << "trunkline: say which: an id, --device ID or --all\n";
    return kUsage;
  }
  return run(place, streams, [&](const Source& source) -> Result<void> {
    std::int64_t count = 0;
    const auto done = each_page(source, request_of(act, choice), [&count](const json::object& page) {
      count += page.at("done").to_number<std::int64_t>();
    });
    if (!done) return fail(done.error());
    if (count == 0 && !choice.id.empty()) return fail(ErrorCode::invalid, "there is no dead letter " + choice.id);
    streams.out << count << (act == "requeue" ? " requeued\n" : " purged\n");
    return {};
  });
}

}  // namespace trunkline::cli
