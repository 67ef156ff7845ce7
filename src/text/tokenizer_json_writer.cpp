// The way back: a tokenizer.json for a tokenizer that came from elsewhere (GGUF has none).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer_spec.h"
#include "text/utf8.h"

namespace pajamas::text {
namespace {

using nlohmann::ordered_json;

void require_text(std::string_view token) {
  if (find_invalid_utf8(token) == std::string_view::npos) return;
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("the token '{}' is not UTF-8", printable(token, 40)));
}

// Half a million strings: building a document of them would take several times their memory.
void append_json_string(std::string& out, std::string_view text) {
  require_text(text);
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

std::vector<bool> ids_of_added(const TokenizerSpec& spec) {
  std::vector<bool> added(spec.tokens.size());
  for (const AddedToken& token : spec.added_tokens) {
    PJ_CHECK(token.id >= 0 && static_cast<std::size_t>(token.id) < added.size());
    added[static_cast<std::size_t>(token.id)] = true;
  }
  return added;
}

// The reference library numbers added tokens itself, from the size of the vocabulary up, unless
// the vocabulary names them: it must where that would give other ids.
bool vocabulary_names_added(const TokenizerSpec& spec, const std::vector<bool>& added) {
  const auto first =
      static_cast<std::size_t>(std::find(added.begin(), added.end(), true) - added.begin());
  std::size_t last = added.size();
  while (last > first && !added[last - 1]) --last;
  for (std::size_t id = 0; id < last; ++id) {
    if (id < first ? spec.tokens[id].empty() : !added[id]) return true;
  }
  for (std::size_t id = last; id < spec.tokens.size(); ++id) {
    if (!spec.tokens[id].empty()) return true;
  }
  return false;
}

void append_vocabulary(std::string& out, const TokenizerSpec& spec) {
  const std::vector<bool> added = ids_of_added(spec);
  const bool all = spec.unk || vocabulary_names_added(spec, added);
  const char* separator = "\n";
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.tokens[id].empty() || (added[id] && !all)) continue;
    out += separator;
    append_json_string(out, spec.tokens[id]);
    fmt::format_to(std::back_inserter(out), ": {}", id);
    separator = ",\n";
  }
}

// "left right", which every version of the reference library reads, unless one of the merges
// could be taken for something else: a part with a space in it, or what looks like the comment
// with which merges.txt begins.
void append_merges(std::string& out, const TokenizerSpec& spec) {
  const bool pairs = std::any_of(spec.merges.begin(), spec.merges.end(), [](const Merge& merge) {
    return merge.text.starts_with("#version") ||
           std::count(merge.text.begin(), merge.text.end(), ' ') != 1;
  });
  const char* separator = "\n";
  for (const Merge& merge : spec.merges) {
    out += separator;
    if (pairs) {
      out += '[';
      append_json_string(out, merge.left());
      out += ", ";
      append_json_string(out, merge.right());
      out += ']';
    } else {
      append_json_string(out, merge.text);
    }
    separator = ",\n";
  }
}

ordered_json added_tokens(const TokenizerSpec& spec) {
  std::vector<AddedToken> tokens = spec.added_tokens;
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  ordered_json list = ordered_json::array();
  for (const AddedToken& token : tokens) {
    require_text(token.content);
    list.push_back({{"id", token.id},
                    {"content", token.content},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  }
  return list;
}

ordered_json byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

ordered_json pre_tokenizer_of(const TokenizerSpec& spec) {
  // Between the prefix space and the letters there can be ByteLevel's own pattern.
  const std::size_t before = spec.patterns_before_prefix;
  PJ_CHECK(before + spec.patterns_on_letters <= spec.patterns.size());
  const std::size_t letters = spec.patterns.size() - spec.patterns_on_letters;
  const bool own = letters > before;
  PJ_CHECK(letters - before <= 1);
  PJ_CHECK(!own || spec.patterns[before] == pre_tokenizer("gpt-2")->patterns.front());
  ordered_json list = ordered_json::array();
  const auto split = [&](std::size_t i) {
    list.push_back({{"type", "Split"},
                    {"pattern", {{"Regex", spec.patterns[i]}}},
                    {"behavior", "Isolated"},
                    {"invert", false}});
  };
  for (std::size_t i = 0; i < before; ++i) split(i);
  list.push_back(byte_level(spec.add_prefix_space, own));
  for (std::size_t i = letters; i < spec.patterns.size(); ++i) split(i);
  return {{"type", "Sequence"}, {"pretokenizers", std::move(list)}};
}

ordered_json post_processor(const TokenizerSpec& spec, const SurroundingTokens& around) {
  ordered_json bytes = byte_level(false, false);
  if (!around.bos && !around.eos) return bytes;
  ordered_json single = ordered_json::array(), pair = ordered_json::array();
  ordered_json special = ordered_json::object();
  const auto text_piece = [](const char* name, int type) -> ordered_json {
    return {{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  const auto special_piece = [&](std::int32_t id, int type) -> ordered_json {
    const std::string& content = spec.tokens.at(static_cast<std::size_t>(id));
    special[content] = {{"id", content}, {"ids", {id}}, {"tokens", {content}}};
    return {{"SpecialToken", {{"id", content}, {"type_id", type}}}};
  };
  for (const int type : {0, 1}) {
    for (ordered_json* list : {&single, &pair}) {
      if (list == &single && type == 1) continue;
      if (around.bos) list->push_back(special_piece(*around.bos, type));
      list->push_back(text_piece(type == 0 ? "A" : "B", type));
      if (around.eos) list->push_back(special_piece(*around.eos, type));
    }
  }
  ordered_json templates = {{"type", "TemplateProcessing"},
                            {"single", std::move(single)},
                            {"pair", std::move(pair)},
                            {"special_tokens", std::move(special)}};
  return {{"type", "Sequence"},
          {"processors", ordered_json::array({std::move(bytes), std::move(templates)})}};
}

}  // namespace

std::string write_tokenizer_json(const TokenizerSpec& spec, const SurroundingTokens& around) {
  std::string out;
  std::size_t expected = 4096;
  for (const std::string& token : spec.tokens) expected += token.size() + 14;
  for (const Merge& merge : spec.merges) expected += merge.text.size() + 6;
  out.reserve(expected);
  const auto member = [&out](const char* key, const ordered_json& value) {
    out += fmt::format("\"{}\": {},\n", key, value.dump());
  };
  out += "{\n";
  member("version", "1.0");
  member("truncation", nullptr);
  member("padding", nullptr);
  member("added_tokens", added_tokens(spec));
  member("normalizer", spec.nfc ? ordered_json{{"type", "NFC"}} : ordered_json());
  member("pre_tokenizer", pre_tokenizer_of(spec));
  member("post_processor", post_processor(spec, around));
  member("decoder", byte_level(true, true));
  out += "\"model\": {\n\"type\": \"BPE\",\n";
  member("dropout", nullptr);
  member("unk_token", spec.unk ? ordered_json(spec.tokens.at(static_cast<std::size_t>(*spec.unk)))
                               : ordered_json());
  member("continuing_subword_prefix", nullptr);
  member("end_of_word_suffix", nullptr);
  member("fuse_unk", spec.fuse_unk);
  member("byte_fallback", false);
  member("ignore_merges", spec.ignore_merges);
  out += "\"vocab\": {";
  append_vocabulary(out, spec);
  out += "\n},\n\"merges\": [";
  append_merges(out, spec);
  out += "\n]\n}\n}\n";
  return out;
}

}  // namespace pajamas::text
