// What the keys of a tokenizer.json mean, and which of its many parts are refused.
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "text/tokenizer_json_reader.h"
#include "text/tokenizer_spec.h"

namespace pajamas::text {
namespace {

using nlohmann::json;

constexpr std::uint64_t kSpareIds = 65536;  // ids that may be missing, beyond 3 for each token

[[noreturn]] void corrupt(std::string problem) {
  throw Error(ErrorCode::kCorruptFile, std::move(problem));
}

[[noreturn]] void unsupported(std::string_view where, std::string_view what) {
  throw Error(ErrorCode::kUnsupported, fmt::format("{} {} is not supported", where, what),
              "byte-level BPE tokenizers are");
}

// The value of `key`, or null; `object` must be one.
const json& member(const json& object, std::string_view where, const char* key) {
  static const json kNull;
  if (!object.is_object()) corrupt(fmt::format("{} is not an object", where));
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

bool flag(const json& object, std::string_view where, const char* key, bool otherwise) {
  const json& value = member(object, where, key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) corrupt(fmt::format("{}.{} is not true or false", where, key));
  return value.get<bool>();
}

const std::string& text_of(const json& object, std::string_view where, const char* key) {
  const json& value = member(object, where, key);
  if (!value.is_string()) corrupt(fmt::format("{}.{} is not a string", where, key));
  return value.get_ref<const std::string&>();
}

const json& list_of(const json& object, std::string_view where, const char* key) {
  const json& value = member(object, where, key);
  if (!value.is_array()) corrupt(fmt::format("{}.{} is not a list", where, key));
  return value;
}

std::string quoted_literal(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("^$\\.*+?()[]{}|-").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

class Parser {
 public:
  explicit Parser(TokenizerDocument document) : document_(std::move(document)) {}

  TokenizerSpec run() {
    const json& root = document_.rest;
    model(member(root, "the file", "model"));
    tokens();
    added_tokens(member(root, "the file", "added_tokens"));
    normalizer(member(root, "the file", "normalizer"), "normalizer");
    pre_tokenizer(member(root, "the file", "pre_tokenizer"), "pre_tokenizer");
    if (!byte_level_) unsupported("pre_tokenizer", "without ByteLevel");
    post_processor(member(root, "the file", "post_processor"), "post_processor");
    return std::move(spec_);
  }

 private:
  void model(const json& model) {
    if (model.is_null()) corrupt("it has no \"model\"");
    const json& type = member(model, "model", "type");
    if (!type.is_null() && text_of(model, "model", "type") != "BPE") {
      unsupported("model.type", printable(text_of(model, "model", "type"), 40));
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const json& value = member(model, "model", key);
      if (!value.is_null() && !text_of(model, "model", key).empty()) unsupported("model", key);
    }
    if (flag(model, "model", "byte_fallback", false)) unsupported("model", "byte_fallback");
    const json& dropout = member(model, "model", "dropout");
    if (!dropout.is_null()) {
      if (!dropout.is_number()) corrupt("model.dropout is not a number");
      if (dropout.get<double>() != 0) unsupported("model", "dropout");
    }
    spec_.ignore_merges = flag(model, "model", "ignore_merges", false);
    const json& unk = member(model, "model", "unk_token");
    if (!unk.is_null()) unk_ = text_of(model, "model", "unk_token");
    spec_.fuse_unk = flag(model, "model", "fuse_unk", false);
    if (!document_.has_vocabulary) corrupt("model.vocab is missing or not an object");
    if (!document_.has_merges) corrupt("model.merges is missing or not a list");
    spec_.merges = std::move(document_.merges);
  }

  void tokens() {
    max_id_ = 4 * document_.vocabulary.size() + kSpareIds;
    std::uint32_t highest = 0;
    for (const auto& [token, id] : document_.vocabulary) {
      if (id > max_id_) too_far(fmt::format("model.vocab: '{}'", printable(token, 40)), id);
      highest = std::max(highest, id);
    }
    if (document_.vocabulary.empty()) corrupt("model.vocab is empty");
    spec_.tokens.resize(highest + 1);
    for (auto& [token, id] : document_.vocabulary) {
      std::string& slot = spec_.tokens[id];
      if (!slot.empty()) {
        corrupt(fmt::format("model.vocab gives id {} to '{}' and to '{}'", id, printable(slot, 40),
                            printable(token, 40)));
      }
      if (token == unk_) spec_.unk = static_cast<std::int32_t>(id);
      slot = std::move(token);
    }
    document_.vocabulary = {};
  }

  [[noreturn]] void too_far(std::string_view what, std::uint64_t id) const {
    corrupt(fmt::format("{} has id {}, far beyond the size of the vocabulary", what, id));
  }

  void added_tokens(const json& list) {
    if (list.is_null()) return;
    if (!list.is_array()) corrupt("added_tokens is not a list");
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string where = fmt::format("added_tokens[{}]", i);
      AddedToken token;
      token.content = text_of(list[i], where, "content");
      const json& id = member(list[i], where, "id");
      if (!id.is_number_unsigned()) corrupt(where + ".id is not a number from 0");
      if (id.get<std::uint64_t>() > max_id_ + list.size()) {
        too_far(where, id.get<std::uint64_t>());
      }
      if (token.content.empty()) corrupt(where + ".content is empty");
      token.id = static_cast<std::int32_t>(id.get<std::uint64_t>());
      token.special = flag(list[i], where, "special", false);
      token.single_word = flag(list[i], where, "single_word", false);
      token.lstrip = flag(list[i], where, "lstrip", false);
      token.rstrip = flag(list[i], where, "rstrip", false);
      token.normalized = flag(list[i], where, "normalized", !token.special);
      place(token, where);
      spec_.added_tokens.push_back(std::move(token));
    }
  }

  void place(const AddedToken& token, const std::string& where) {
    const auto id = static_cast<std::size_t>(token.id);
    if (id >= spec_.tokens.size()) spec_.tokens.resize(id + 1);
    std::string& slot = spec_.tokens[id];
    if (!slot.empty() && slot != token.content) {
      corrupt(fmt::format("{} '{}' has id {}, which is '{}'", where, printable(token.content, 40),
                          id, printable(slot, 40)));
    }
    slot = token.content;
  }

  void normalizer(const json& value, const std::string& where) {
    if (value.is_null()) return;
    const std::string& type = text_of(value, where, "type");
    if (type == "NFC") {
      spec_.nfc = true;
    } else if (type == "Sequence") {
      const json& list = list_of(value, where, "normalizers");
      for (std::size_t i = 0; i < list.size(); ++i) {
        normalizer(list[i], fmt::format("{}.normalizers[{}]", where, i));
      }
    } else {
      unsupported(where, printable(type, 40));
    }
  }

  void pre_tokenizer(const json& value, const std::string& where) {
    if (value.is_null()) return;
    const std::string& type = text_of(value, where, "type");
    if (type == "Sequence") {
      const json& list = list_of(value, where, "pretokenizers");
      for (std::size_t i = 0; i < list.size(); ++i) {
        pre_tokenizer(list[i], fmt::format("{}.pretokenizers[{}]", where, i));
      }
    } else if (type == "Split") {
      split(value, where);
    } else if (type == "Digits") {
      add_pattern(flag(value, where, "individual_digits", false) ? "\\p{N}" : "\\p{N}+");
    } else if (type == "Punctuation") {
      punctuation(value, where);
    } else if (type == "ByteLevel") {
      if (byte_level_) unsupported(where, "ByteLevel behind ByteLevel");
      byte_level_ = true;
      spec_.add_prefix_space = flag(value, where, "add_prefix_space", true);
      spec_.patterns_before_prefix = spec_.patterns.size();
      if (flag(value, where, "use_regex", true)) {
        spec_.patterns.push_back(text::pre_tokenizer("gpt-2")->patterns.front());
      }
    } else {
      unsupported(where, printable(type, 40));
    }
  }

  void add_pattern(std::string pattern) {
    spec_.patterns.push_back(std::move(pattern));
    if (byte_level_) ++spec_.patterns_on_letters;
  }

  void punctuation(const json& value, const std::string& where) {
    constexpr const char* kMarks = "[\\p{P}$+<=>^`|~]";
    const bool named = !member(value, where, "behavior").is_null();
    const std::string behavior = named ? text_of(value, where, "behavior") : "Isolated";
    if (behavior == "Isolated") {
      add_pattern(kMarks);
    } else if (behavior == "Contiguous") {
      add_pattern(std::string(kMarks) + "+");
    } else {
      unsupported(where, "with behavior " + printable(behavior, 40));
    }
  }

  void split(const json& value, const std::string& where) {
    const std::string& behavior = text_of(value, where, "behavior");
    const json& pattern = member(value, where, "pattern");
    const std::string inner = where + ".pattern";
    const bool regex = !member(pattern, inner, "Regex").is_null();
    std::string text = regex ? text_of(pattern, inner, "Regex")
                             : quoted_literal(text_of(pattern, inner, "String"));
    // To remove what does not match removes nothing where everything does.
    const bool keeps_all =
        behavior == "Removed" && flag(value, where, "invert", false) && matches_everything(text);
    if (behavior != "Isolated" && !keeps_all) {
      unsupported(where, "with behavior " + printable(behavior, 40));
    }
    add_pattern(std::move(text));
  }

  void post_processor(const json& value, const std::string& where) {
    if (value.is_null()) return;
    const std::string& type = text_of(value, where, "type");
    if (type == "Sequence") {
      const json& list = list_of(value, where, "processors");
      for (std::size_t i = 0; i < list.size(); ++i) {
        post_processor(list[i], fmt::format("{}.processors[{}]", where, i));
      }
    } else if (type == "TemplateProcessing") {
      const json& single = list_of(value, where, "single");
      const auto special = [](const json& piece) {
        return piece.is_object() && piece.contains("SpecialToken");
      };
      spec_.adds_bos = !single.empty() && special(single.front());
      spec_.adds_eos = !single.empty() && special(single.back());
    }
  }

  TokenizerDocument document_;
  TokenizerSpec spec_;
  std::optional<std::string> unk_;
  std::uint64_t max_id_ = 0;
  bool byte_level_ = false;
};

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view text) {
  return Parser(read_tokenizer_document(text)).run();
}

}  // namespace pajamas::text
