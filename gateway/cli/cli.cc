// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/cli.h"

#include <CLI/CLI.hpp>
#include <cstring>
#include <iostream>

#include "gateway/cli/commands.h"
#include "gateway/cli/key_input.h"

namespace trunkline {
namespace {

using cli::Streams;

struct Arguments {
  cli::Place place;
  bool json = false;
  std::string id;
  std::string file;
  cli::AddKey key;
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
      app.add_subcommand("identity", "The devices' keys: add, import, list, show, enable, disable, remove");
  identity->require_subcommand(1);
  auto* add = identity->add_subcommand("add", "Add a device, or give a known one another key");
  add_id(*add, arguments);
  auto* source = add->add_option_group("key", "The device's key at the hub, base64");
  source->add_option("--key-file", arguments.key.file, "A file with the key, or - for standard input")
      ->type_name("FILE");
  source->add_option("--key", arguments.key.text, "The key itself; other users may see it while this runs")
      ->type_name("BASE64");
  source->add_flag("--generate", arguments.key.generate, "Make a key and print it once, to register it at the hub");
  source->require_option(1);
  auto* import = identity->add_subcommand("import", "Add devices from CSV: id,primary,secondary,psk");
  import->add_option("file", arguments.file, "The CSV file, or - for standard input")->required();
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

int run_identity(const CLI::App& identity, const Arguments& arguments, const Streams& streams) {
  const auto name = identity.get_subcommands().front()->get_name();
  const auto& place = arguments.place;
  if (name == "add") return cli::identity_add(place, arguments.id, arguments.key, streams);
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
  auto* status = app.add_subcommand("status", "Is the data safe, is every device alive, what to do now");
  add_config(*status, arguments);
  add_json(*status, arguments);
  add_identity(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, streams.out, streams.err) == 0 ? cli::kDone : cli::kUsage;
  }
  cli::wipe_key_arguments(argc, argv);
  const auto* chosen = app.get_subcommands().front();
  if (chosen == check) return cli::check(arguments.place, arguments.json, streams);
  if (chosen == status) return cli::status(arguments.place, arguments.json, streams);
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
