// SPDX-License-Identifier: Apache-2.0
#include "gateway/cli/key_input.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>
#include <string_view>

namespace trunkline::cli {

Result<Secret> read_secret_text(const std::string& file, std::istream& in, std::size_t most) {
  std::ifstream opened;
  if (file != "-") {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0) return fail(ErrorCode::not_found, file + ": " + errno_text(errno));
    if (S_ISDIR(status.st_mode)) return fail(ErrorCode::invalid, file + ": this is a folder");
    opened.open(file, std::ios::binary);
    if (!opened) return fail(ErrorCode::denied, file + ": " + errno_text(errno));
  }
  std::istream& source = file == "-" ? in : opened;
  // Sized once: growing would leave copies of the text behind.
  std::string text(4096, '\0');
  std::size_t size = 0;
  while (source.read(text.data() + size, static_cast<std::streamsize>(text.size() - size)) || source.gcount() > 0) {
    size += static_cast<std::size_t>(source.gcount());
    if (size > most) break;
    if (size == text.size()) {
      std::string larger(text.size() * 4, '\0');
      std::memcpy(larger.data(), text.data(), size);
      const Secret wiped(std::move(text));
      text = std::move(larger);
    }
  }
  if (size > most) {
    const Secret wiped(std::move(text));
    return fail(ErrorCode::exhausted, file + ": larger than " + std::to_string(most) + " bytes");
  }
  text.resize(size);
  return Secret(std::move(text));
}

bool others_may_read(const std::string& file) {
  struct stat status {};
  return file != "-" && stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         (status.st_mode & (S_IRGRP | S_IROTH)) != 0;
}

void wipe_key_arguments(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    for (const std::string_view option : {"--key", "--connection-string"}) {
      const std::string_view argument = argv[i];
      char* value = nullptr;
      if (argument == option && i + 1 < argc) {
        value = argv[i + 1];
      } else if (argument.starts_with(option) && argument.substr(option.size()).starts_with('=')) {
        value = argv[i] + option.size() + 1;
      }
      if (value != nullptr) std::memset(value, '*', std::strlen(value));
    }
  }
}

}  // namespace trunkline::cli
