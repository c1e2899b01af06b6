// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gateway/cli/cli.h"

namespace trunkline::cli {

// A folder with a configuration of its own; the control socket's path is free.
struct CliFolder {
  CliFolder() {
    std::string name = std::filesystem::temp_directory_path() / "trunkline-cli-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path = name;
    config = path / "trunkline.toml";
    socket = path / "c.sock";
    write("trunkline.toml", "[hub]\nhost = \"h.example.net\"\n[identity]\nstore = \"" +
                                (path / "identity.db").string() + "\"\n[status]\ncontrol = \"" + socket + "\"\n");
  }
  ~CliFolder() { std::filesystem::remove_all(path); }
  CliFolder(const CliFolder&) = delete;
  CliFolder& operator=(const CliFolder&) = delete;
  void write(const std::string& name, const std::string& text) const { std::ofstream(path / name) << text; }

  std::filesystem::path path;
  std::string config, socket;
};

struct CliResult {
  int status = 0;
  std::string out, err;
  std::vector<std::string> arguments;  // as the command left them
};

inline CliResult run_cli(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), "trunkline");
  std::vector<char*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::istringstream in(input);
  std::ostringstream out, err;
  const int status = cli_main(static_cast<int>(arguments.size()), pointers.data(), in, out, err);
  return {status, out.str(), err.str(), arguments};
}

}  // namespace trunkline::cli
