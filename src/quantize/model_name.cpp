// Facts: gguf-py, Metadata.get_model_id_components and utility.size_label (gguf 0.19).
#include "quantize/model_name.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <regex>
#include <vector>

namespace pajamas::quantize {
namespace {

enum class Kind { kNone, kVersion, kType, kSize, kFinetune };

struct NamePart {
  std::string text;
  Kind kind = Kind::kNone;
  bool basename = false;
};

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool is_alpha(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

bool full_match(const std::string& text, const char* pattern) {
  return std::regex_match(text, std::regex(pattern, std::regex::icase));
}

std::vector<NamePart> split_name(std::string_view name) {
  std::vector<NamePart> parts;
  while (!name.empty()) {
    const auto dash = name.find('-');
    if (dash != 0) parts.push_back({std::string(name.substr(0, dash))});
    name.remove_prefix(dash == std::string_view::npos ? name.size() : dash + 1);
  }
  return parts;
}

// "7b1" is 7.1B, "7_5b" 7.5B. A size far from the model's own is a context length: "128k".
void annotate_size(NamePart& part, std::uint64_t parameters) {
  std::string& text = part.text;
  std::replace(text.begin(), text.end(), '_', '.');
  if (is_digit(text.back()) && text.size() > 2) {
    text =
        fmt::format("{}.{}{}", text.substr(0, text.size() - 2), text.back(), text[text.size() - 2]);
  }
  const bool counted = text.size() > 1 && is_digit(text[text.size() - 2]);
  if (counted)
    text.back() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.back())));
  part.kind = Kind::kSize;
  const auto unit = std::string_view(" KMBT").find(text.back());
  if (!counted || unit == std::string_view::npos || !is_digit(text.front())) return;
  if (text.find('x') != std::string::npos) return;
  const double label = std::stod(text) * std::pow(1000.0, static_cast<double>(unit));
  const double actual = static_cast<double>(parameters);
  if (parameters == 0 || std::abs(label - actual) <= std::floor(7 * actual / 8)) return;
  part.kind = Kind::kFinetune;
  text.back() = static_cast<char>(std::tolower(static_cast<unsigned char>(text.back())));
}

void annotate(std::vector<NamePart>& parts, std::uint64_t parameters) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    NamePart& part = parts[i];
    if (full_match(part.text, R"((v|iter)?\d+([.]\d+)*)")) {
      part.kind = Kind::kVersion;
    } else if (full_match(part.text, R"(i?q\d(_\w)*|b?fp?(16|32))")) {
      part.kind = Kind::kType;
    } else if (i > 0 &&
               full_match(
                   part.text,
                   R"((([A]|\d+[x])?\d+([._]\d+)?[KMBT][\d]?|small|mini|medium|large|x?xl))")) {
      annotate_size(part, parameters);
    } else if (i > 0 && full_match(part.text, "chat|instruct|vision|lora")) {
      part.kind = Kind::kFinetune;
    }
  }
  // "large" says nothing beside "7B".
  const bool counted = std::any_of(parts.begin(), parts.end(), [](const NamePart& p) {
    return p.kind == Kind::kSize && std::any_of(p.text.begin(), p.text.end(), is_digit);
  });
  for (NamePart& part : parts) {
    if (counted && part.kind == Kind::kSize &&
        std::all_of(part.text.begin(), part.text.end(), is_alpha)) {
      part.kind = Kind::kNone;
    }
  }
}

void find_basename(std::vector<NamePart>& parts) {
  bool at_start = true;
  for (NamePart& part : parts) {
    const bool plain = part.kind == Kind::kNone && is_alpha(part.text.front());
    if (at_start && (plain || part.kind == Kind::kVersion)) {
      part.basename = true;
    } else {
      at_start = false;
      if (part.kind == Kind::kNone) part.kind = Kind::kFinetune;
    }
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!part->basename || part->kind == Kind::kNone) break;
    part->basename = false;
  }
}

std::string title_of(std::string_view folder) {
  std::string title;
  for (const NamePart& part : split_name(folder)) {
    std::string word = part.text;
    const bool has_lower =
        std::any_of(word.begin(), word.end(), [](unsigned char c) { return std::islower(c) != 0; });
    const bool has_upper =
        std::any_of(word.begin(), word.end(), [](unsigned char c) { return std::isupper(c) != 0; });
    if (has_lower && !has_upper && !full_match(word, R"(v\d+(\.\d+)*|\d.*)")) {
      bool in_word = false;  // as Python's str.title
      for (char& c : word) {
        if (is_alpha(c) && !in_word)
          c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        in_word = is_alpha(c);
      }
    }
    if (!title.empty()) title += ' ';
    title += word;
  }
  return title;
}

}  // namespace

ModelName parse_model_name(std::string_view folder, std::uint64_t parameters) {
  ModelName name;
  if (folder.find(' ') != std::string_view::npos) {
    name.title = std::string(folder);
    return name;
  }
  name.title = title_of(folder);
  std::vector<NamePart> parts = split_name(folder);
  annotate(parts, parameters);
  find_basename(parts);
  const auto join = [&](auto&& belongs) {
    std::vector<std::string> texts;
    for (const NamePart& part : parts) {
      if (belongs(part)) texts.push_back(part.text);
    }
    return fmt::format("{}", fmt::join(texts, "-"));
  };
  name.basename = join([](const NamePart& p) { return p.basename; });
  name.finetune = join([](const NamePart& p) { return p.kind == Kind::kFinetune; });
  name.version = join([](const NamePart& p) { return p.kind == Kind::kVersion && !p.basename; });
  name.size_label = join([](const NamePart& p) { return p.kind == Kind::kSize; });
  if (name.size_label.empty() && name.finetune.empty() && name.version.empty())
    name.basename.clear();
  return name;
}

std::string size_label(std::uint64_t parameters) {
  const double count = static_cast<double>(parameters);
  const auto scaled = [](double value, char unit) {
    const auto rounded = static_cast<long>(std::nearbyint(value));
    const int digits = rounded == 0 ? 0 : static_cast<int>(std::to_string(rounded).size());
    return fmt::format("{:.{}f}{}", value, std::max(2 - digits, 0), unit);
  };
  if (count > 1e12) return scaled(count * 1e-12, 'T');
  if (count > 1e9) return scaled(count * 1e-9, 'B');
  if (count > 1e6) return scaled(count * 1e-6, 'M');
  return scaled(count * 1e-3, 'K');
}

}  // namespace pajamas::quantize
