// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/cli.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <iostream>

#include "gateway/cli/commands.h"
#include "gateway/cli/hub_commands.h"
#include "gateway/cli/key_input.h"

namespace trunkline {
namespace {

using cli::Streams;

struct Arguments {
  cli::Place place;
  bool json = false;
  bool live = false;
  bool dry_run = false;
  std::string id;
  std::string file;
  cli::AddKey key;
  cli::AddKey psk;
  std::string since;
  double every = 2;
  std::uint64_t rounds = 0;
  cli::LetterChoice letters;
};

void add_config(CLI::App& command, Arguments& arguments) {
  command.add_option("--config", arguments.place.config, "The configuration")->type_name("FILE")->capture_default_str();
}
void add_store(CLI::App& command, Arguments& arguments) {
  add_config(command, arguments);
  command.add_option("--store", arguments.place.store, "The identity store, where there is no configuration")
      ->type_name("FILE");
}
void add_json(CLI::App& command, Arguments& arguments) {
  command.add_flag("--json", arguments.json, "Print JSON");
}
void add_id(CLI::App& command, Arguments& arguments) {
  command.add_option("id", arguments.id, "The device's id at the hub")->required();
  add_store(command, arguments);
}

void add_identity(CLI::App& app, Arguments& arguments) {
  auto* identity =
      app.add_subcommand("identity", "The devices' keys: add, import, list, show, rotate, enable, disable, remove");
  identity->require_subcommand(1);
  auto* add = identity->add_subcommand("add", "Add a device, or give a known one another key");
  add_id(*add, arguments);
  auto* source = add->add_option_group("key", "The device's key at the hub, base64");
  source->add_option("--key-file", arguments.key.file, "A file with the key, or - for standard input")
      ->type_name("FILE");
  source->add_option("--key", arguments.key.text, "The key itself; other users may see it while this runs")
      ->type_name("BASE64");
  source->add_flag("--generate", arguments.key.generate, "Make a key and print it once, to register it at the hub");
  source->require_option(0, 1);
  auto* psk = add->add_option_group("psk", "The key that the device shows us in a DTLS or TLS handshake");
  psk->add_option("--psk-file", arguments.psk.file,
                  "A file with it, or - for standard input: text, hex:... or base64:...")
      ->type_name("FILE");
  psk->add_flag("--generate-psk", arguments.psk.generate, "Make one and print it once, to put it into the device");
  psk->require_option(0, 1);
  auto* rotate = identity->add_subcommand("rotate", "Take over a device's new key, once the hub takes it");
  add_id(*rotate, arguments);
  rotate->add_option("--key-file", arguments.key.file, "A file with the new key, or - for standard input")
      ->type_name("FILE")
      ->required();
  auto* import = identity->add_subcommand(
      "import", "Add devices from CSV (id,primary,secondary,psk) or a registry's export in JSON");
  import->add_option("file", arguments.file, "The file, or - for standard input")->required();
  add_store(*import, arguments);
  auto* list = identity->add_subcommand("list", "All devices, without their keys");
  add_store(*list, arguments);
  add_json(*list, arguments);
  auto* show = identity->add_subcommand("show", "One device, without its keys");
  add_id(*show, arguments);
  add_json(*show, arguments);
  add_id(*identity->add_subcommand("enable", "Let a device connect again"), arguments);
  add_id(*identity->add_subcommand("disable", "Keep a device's key, but do not connect it"), arguments);
  add_id(*identity->add_subcommand("remove", "Forget a device and its keys"), arguments);
}

void add_kept(CLI::App& app, Arguments& arguments) {
  auto* ledger =
      app.add_subcommand("ledger", "What came in, what the hub has, what waits, what was dropped; per day and device");
  add_config(*ledger, arguments);
  add_json(*ledger, arguments);
  ledger->add_option("--device", arguments.letters.device, "Of one device")->type_name("ID");
  ledger->add_option("--since", arguments.since, "From this day on, UTC")->type_name("YYYY-MM-DD");
  auto* spool = app.add_subcommand("spool", "How much is kept, how old it is, and when the spool would be full");
  add_config(*spool, arguments);
  add_json(*spool, arguments);
  auto* letters =
      app.add_subcommand("deadletters", "What the hub refused for ever: list, show, requeue, export, purge");
  letters->require_subcommand(1);
  const auto add = [&](const char* name, const char* help) {
    auto* command = letters->add_subcommand(name, help);
    add_config(*command, arguments);
    return command;
  };
  const auto choose = [&](CLI::App* command, bool changes) {
    auto* id = command->add_option("id", arguments.letters.id, "The dead letter, as list names it");
    auto* device = command->add_option("--device", arguments.letters.device, "All of one device")->type_name("ID");
    id->excludes(device);
    if (changes) command->add_flag("--all", arguments.letters.all, "All of them")->excludes(id)->excludes(device);
  };
  auto* list = add("list", "All of them, with the hub's reason");
  list->add_option("--device", arguments.letters.device, "Of one device")->type_name("ID");
  add_json(*list, arguments);
  auto* show = add("show", "One, without its payload");
  show->add_option("id", arguments.letters.id, "The dead letter, as list names it")->required();
  add_json(*show, arguments);
  choose(add("requeue", "Send again what the hub may take now, as new messages"), true);
  choose(add("purge", "Throw away for good; counted in the ledger"), true);
  auto* out = add("export", "Write with payload as lines of JSON");
  choose(out, false);
  out->add_option("--file", arguments.file, "Where to; - for standard output")->type_name("FILE")->required();
}

int run_dead_letters(const CLI::App& letters, const Arguments& arguments, const Streams& streams) {
  const auto name = letters.get_subcommands().front()->get_name();
  const auto& place = arguments.place;
  if (name == "list") return cli::dead_letters(place, arguments.letters, arguments.json, streams);
  if (name == "show") return cli::dead_letter_show(place, arguments.letters, arguments.json, streams);
  if (name == "export") return cli::dead_letters_export(place, arguments.letters, arguments.file, streams);
  return cli::dead_letters_change(place, arguments.letters, name, streams);
}

int run_identity(const CLI::App& identity, const Arguments& arguments, const Streams& streams) {
  const auto name = identity.get_subcommands().front()->get_name();
  const auto& place = arguments.place;
  if (name == "add") return cli::identity_add(place, arguments.id, arguments.key, arguments.psk, streams);
  if (name == "rotate") return cli::identity_rotate(place, arguments.id, arguments.key, streams);
  if (name == "import") return cli::identity_import(place, arguments.file, streams);
  if (name == "list") return cli::identity_list(place, arguments.json, streams);
  if (name == "show") return cli::identity_show(place, arguments.id, arguments.json, streams);
  if (name == "remove") return cli::identity_remove(place, arguments.id, streams);
  return cli::identity_enable(place, arguments.id, name == "enable", streams);
}

int parse_and_run(int argc, char** argv, const Streams& streams) {
  CLI::App app("trunkline gives legacy devices their own identity at an IoT hub.", "trunkline");
  Arguments arguments;
  app.set_version_flag("--version", std::string("trunkline ") + TRUNKLINE_VERSION);
  app.require_subcommand(1);
  app.footer("Exit status: 0 done, 1 failed or not well, 2 wrong usage or configuration, 3 not running.");
  add_config(*app.add_subcommand("run", "Run the gateway until SIGTERM"), arguments);
  auto* check = app.add_subcommand("check", "Check the whole configuration, every problem at once");
  add_config(*check, arguments);
  add_json(*check, arguments);
  check->add_flag("--live", arguments.live,
                  "Also try each MQTT broker, the hub and every key: do they keep what the promise needs");
  auto* config = app.add_subcommand("config", "The configuration: print what holds, or every option there is");
  config->require_subcommand(1);
  add_config(*config->add_subcommand("print", "What holds, as TOML"), arguments);
  config->add_subcommand("options", "Every option with its default, as Markdown");
  config->add_subcommand("manual", "The same as a manual page");
  auto* status = app.add_subcommand("status", "Is the data safe, is every device alive, what to do now");
  add_config(*status, arguments);
  add_json(*status, arguments);
  auto* devices = app.add_subcommand("devices", "Every device: is it alive, what waits, what is wrong");
  add_config(*devices, arguments);
  add_json(*devices, arguments);
  auto* device = app.add_subcommand("device", "One device, all that is known of it");
  device->add_option("id", arguments.id, "The device's id at the hub")->required();
  add_config(*device, arguments);
  add_json(*device, arguments);
  auto* top = app.add_subcommand("top", "A live view: the busiest devices first; Ctrl-C ends it");
  add_config(*top, arguments);
  top->add_option("--every", arguments.every, "Seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  top->add_option("--rounds", arguments.rounds, "End after so many looks; 0 for never")->capture_default_str();
  auto* reload = app.add_subcommand("reload", "Let the running gateway take over the changed configuration");
  add_config(*reload, arguments);
  add_json(*reload, arguments);
  reload->add_flag("--dry-run", arguments.dry_run, "Only say what would change");
  add_kept(app, arguments);
  add_identity(app, arguments);
  const cli::HubCommands hub(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, streams.out, streams.err) == 0 ? cli::kDone : cli::kUsage;
  }
  cli::wipe_key_arguments(argc, argv);
  const auto* chosen = app.get_subcommands().front();
  if (chosen == check) return cli::check(arguments.place, arguments.json, arguments.live, streams);
  if (chosen == config) {
    return cli::config_text(arguments.place, config->get_subcommands().front()->get_name(), streams);
  }
  if (chosen == reload) return cli::reload(arguments.place, arguments.dry_run, arguments.json, streams);
  if (chosen == status) return cli::status(arguments.place, arguments.json, streams);
  if (chosen == devices) return cli::devices(arguments.place, arguments.json, streams);
  if (chosen == device) return cli::device(arguments.place, arguments.id, arguments.json, streams);
  if (chosen == top) {
    const auto pause = std::chrono::duration<double>(arguments.every);
    return cli::top(arguments.place, std::chrono::duration_cast<Milliseconds>(pause), arguments.rounds, streams);
  }
  if (chosen->get_name() == "ledger") {
    return cli::ledger(arguments.place, arguments.letters.device, arguments.since, arguments.json, streams);
  }
  if (chosen->get_name() == "spool") return cli::spool(arguments.place, arguments.json, streams);
  if (chosen->get_name() == "deadletters") return run_dead_letters(*chosen, arguments, streams);
  if (chosen->get_name() == "hub") return hub.run(streams);
  if (chosen->get_name() == "identity") return run_identity(*chosen, arguments, streams);
  streams.err << "trunkline run: write \"run\" as the first argument\n";
  return cli::kUsage;
}

}  // namespace

int cli_main(int argc, char** argv, std::istream& in, std::ostream& out, std::ostream& err) {
  try {
    return parse_and_run(argc, argv, {in, out, err});
  } catch (const std::exception& error) {
    // CLI11 and the streams are the only throwers left here.
    err << "trunkline: " << error.what() << '\n';
    return cli::kFailed;
  }
}

int cli_main(int argc, char** argv) {
  return cli_main(argc, argv, std::cin, std::cout, std::cerr);
}

}  // namespace trunkline
