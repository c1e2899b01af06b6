// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <iostream>
#include <string>

#include "gateway/app/application.h"
#include "gateway/cli/cli.h"

// `run` goes to the daemon, everything else to the CLI.
int main(int argc, char** argv) {
  if (argc < 2 || std::strcmp(argv[1], "run") != 0) return trunkline::cli_main(argc, argv);
  std::string config = "/etc/trunkline/trunkline.toml";
  for (int i = 2; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--config" && i + 1 < argc) {
      config = argv[++i];
    } else if (argument.rfind("--config=", 0) == 0) {
      config = argument.substr(9);
    } else if (argument == "--help" || argument == "-h") {
      std::cout << "trunkline run [--config FILE]   runs the gateway until SIGTERM (default file: " << config << ")\n";
      return 0;
    } else {
      std::cerr << "trunkline run: unknown argument '" << argument << "'; known is --config FILE\n";
      return 2;
    }
  }
  return trunkline::app::run(config);
}
