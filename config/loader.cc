// SPDX-License-Identifier: Apache-2.0
#include "config/loader.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <unordered_map>

#include "config/device_file.h"
#include "config/main_file.h"

namespace trunkline::config {
namespace {

template <class T>
void append(std::vector<T>& into, std::vector<T> more) {
  into.insert(into.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

Document parse_source(const SourceFile& source) {
  if (source.text) return parse_document(source.name, *source.text);
  Document unreadable;
  unreadable.file = source.name;
  unreadable.problems.push_back({{source.name, 0, 0}, source.text.error().message});
  return unreadable;
}

}  // namespace

void sort_by_place(std::vector<Problem>& problems, const std::vector<std::string>& files) {
  std::unordered_map<std::string_view, std::size_t> order;
  for (const auto& file : files) order.emplace(file, order.size());
  const auto rank = [&order](const Problem& problem) {
    const auto found = order.find(problem.place.file);
    return found == order.end() ? order.size() : found->second;
  };
  std::stable_sort(problems.begin(), problems.end(), [&rank](const Problem& a, const Problem& b) {
    return std::tuple(rank(a), a.place.line, a.place.column) < std::tuple(rank(b), b.place.line, b.place.column);
  });
}

LoadedTexts load_texts_and_names(const SourceFile& main, const std::vector<SourceFile>& maps) {
  LoadedTexts out;
  auto& loaded = out.loaded;
  std::vector<std::string> order{main.name};

  auto document = parse_source(main);
  append(loaded.problems, std::move(document.problems));
  MainFile parsed;
  parsed.settings.file = main.name;
  if (document.usable) {
    Findings findings(main.name);
    parsed = read_main_file(document, findings);
    append(loaded.problems, std::move(findings.problems));
    append(loaded.warnings, std::move(findings.warnings));
  }
  const References references = document.usable ? &parsed : nullptr;
  loaded.paths_usable = parsed.paths_usable;

  std::vector<DeviceDraft> drafts;
  for (const auto& map : maps) {
    order.push_back(map.name);
    auto device_document = parse_source(map);
    append(loaded.problems, std::move(device_document.problems));
    if (!device_document.usable) continue;
    Findings findings(map.name);
    read_device_file(device_document, references, findings, drafts);
    append(loaded.problems, std::move(findings.problems));
    append(loaded.warnings, std::move(findings.warnings));
  }
  check_devices(drafts, references, loaded.problems, loaded.warnings);

  loaded.settings = std::move(parsed.settings);
  loaded.settings.devices.reserve(drafts.size());
  for (auto& draft : drafts) {
    append(parsed.files, std::move(draft.files));
    if (draft.family) {
      loaded.settings.families.push_back(
          {std::move(draft.id_rule), std::move(draft.map), std::move(draft.lookup), std::move(draft.key_pointer)});
    } else {
      loaded.settings.devices.push_back(std::move(draft.map));
    }
  }
  if (loaded.settings.devices.empty() && loaded.settings.families.empty() && loaded.problems.empty()) {
    loaded.warnings.push_back({{main.name, 0, 0}, "no devices; add a file with a [[device]] to the folder devices.d"});
  }
  sort_by_place(loaded.problems, order);
  sort_by_place(loaded.warnings, order);
  out.files = std::move(parsed.files);
  return out;
}

Loaded load_texts(const SourceFile& main, const std::vector<SourceFile>& maps) {
  return load_texts_and_names(main, maps).loaded;
}

}  // namespace trunkline::config
