// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "config/loader.h"

namespace trunkline::config {
namespace {

constexpr std::size_t kMaxFile = 4 * 1024 * 1024;
constexpr std::size_t kMaxFiles = 10'000;

Result<std::string> read_text(const std::string& file) {
  // O_NONBLOCK: a FIFO in the folder must not hold us up.
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return fail(ErrorCode::unavailable, "cannot read it: " + errno_text(errno));
  const std::unique_ptr<const int, void (*)(const int*)> closer(&descriptor, [](const int* d) { close(*d); });
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return fail(ErrorCode::unavailable, "cannot read it: " + errno_text(errno));
  if (S_ISDIR(status.st_mode)) return fail(ErrorCode::invalid, "cannot read it: it is a folder, name a file");
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::invalid, "cannot read it: it is no regular file");
  std::string text;
  char buffer[64 * 1024];
  for (;;) {
    const auto count = read(descriptor, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(ErrorCode::unavailable, "cannot read it: " + errno_text(errno));
    if (count == 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > kMaxFile) return fail(ErrorCode::exhausted, "it is larger than 4 MiB; split it");
  }
}

struct Folder {
  std::vector<std::string> files;  // sorted
  std::vector<Problem> problems;
};

Folder list_maps(const std::string& folder) {
  Folder out;
  const auto problem = [&](std::string message) { out.problems.push_back({{folder, 0, 0}, std::move(message)}); };
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(folder.c_str()), closedir);
  if (!directory) {
    if (errno != ENOENT) problem("cannot read this folder: " + errno_text(errno));
    return out;
  }
  errno = 0;
  while (const auto* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name.size() <= 5 || name.front() == '.' || name.substr(name.size() - 5) != ".toml") continue;
    if (out.files.size() == kMaxFiles) {
      problem("it holds more than 10000 files; put more than one [[device]] into a file");
      break;
    }
    out.files.push_back(folder + "/" + std::string(name));
    errno = 0;
  }
  if (errno != 0) problem("cannot read all of this folder: " + errno_text(errno));
  std::sort(out.files.begin(), out.files.end());
  return out;
}

void check_named_file(const NamedFile& named, std::vector<Problem>& problems) {
  if (auto text = read_text(named.path); !text) {
    problems.push_back({named.place, named.option + " is " + named.path + ": " + text.error().message});
    return;
  }
  struct stat status {};
  if (named.secret && stat(named.path.c_str(), &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    problems.push_back(
        {named.place, named.option + " is " + named.path + ", which others may read; chmod 600 " + named.path});
  }
}

}  // namespace

std::string Problem::text() const {
  std::string out = place.file;
  if (place.line != 0) out += ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
  out += ": " + message;
  // Names in the message come from files; none of them may drive the terminal.
  for (auto& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return out;
}

Loaded load(const std::string& file) {
  const auto slash = file.rfind('/');
  const auto folder = (slash == std::string::npos ? std::string() : file.substr(0, slash + 1)) + "devices.d";
  const SourceFile main{file, read_text(file)};
  auto listed = list_maps(folder);
  std::vector<SourceFile> maps;
  maps.reserve(listed.files.size());
  for (const auto& name : listed.files) maps.push_back({name, read_text(name)});

  auto [loaded, named] = load_texts_and_names(main, maps);
  for (const auto& one : named) check_named_file(one, loaded.problems);
  for (auto& problem : listed.problems) loaded.problems.push_back(std::move(problem));
  std::vector<std::string> order{file, folder};
  order.insert(order.end(), listed.files.begin(), listed.files.end());
  sort_by_place(loaded.problems, order);
  return loaded;
}

}  // namespace trunkline::config
