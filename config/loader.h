// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "config/main_file.h"
#include "config/settings.h"

namespace trunkline::config {

// One file as read from disk, or why it could not be read.
struct SourceFile {
  std::string name;
  Result<std::string> text;
};

// What load() does once the files are in memory: pure, so that tests and the fuzzer need no disk. `maps` are in the
// order in which they count. Only what needs the file system is left to load().
Loaded load_texts(const SourceFile& main, const std::vector<SourceFile>& maps);

// The same, with the files that options name and that only the file system can judge.
struct LoadedTexts {
  Loaded loaded;
  std::vector<NamedFile> files;
};
LoadedTexts load_texts_and_names(const SourceFile& main, const std::vector<SourceFile>& maps);

// Puts findings in the order of `files`, then lines.
void sort_by_place(std::vector<Problem>& problems, const std::vector<std::string>& files);

}  // namespace trunkline::config
