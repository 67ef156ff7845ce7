#include "text/tokenizer_json_reader.h"

#include <fmt/format.h>

#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "base/json_numbers.h"

namespace pajamas::text {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 64;
constexpr std::uint64_t kMaxId = std::numeric_limits<std::int32_t>::max();

[[noreturn]] void corrupt_document(std::string problem) {
  throw Error(ErrorCode::kCorruptFile, std::move(problem));
}

// Receives the parser's events. Building a document of the 350,000 strings of a vocabulary would
// take several times the memory and time of the tables themselves.
class Reader {
 public:
  // `quoted`: strings of the text may stand for numbers that are not finite.
  Reader(std::string_view text, bool quoted) : text_(text), quoted_(quoted) {}

  // Names and signatures are those of nlohmann's SAX interface.
  bool null() { return value(json()); }
  bool boolean(bool v) { return value(json(v)); }
  bool number_integer(json::number_integer_t v) {
    if (place_ == Place::kVocabulary) bad_id(fmt::format("{}", v));
    return value(json(v));
  }
  bool number_unsigned(json::number_unsigned_t v) {
    if (place_ != Place::kVocabulary) return value(json(v));
    if (v > kMaxId) bad_id(fmt::format("{}", v));
    document_.vocabulary.push_back({std::move(key_), static_cast<std::uint32_t>(v)});
    return true;
  }
  bool number_float(json::number_float_t v, const std::string& spelt) {
    if (place_ == Place::kVocabulary) bad_id(spelt);
    return value(json(v));
  }
  bool string(std::string& v) {
    if (quoted_) {
      if (const auto number = quoted_non_finite(v)) return number_float(*number, "not finite");
    }
    if (place_ == Place::kMerges) {
      merge(v);
    } else if (place_ == Place::kPair) {
      pair_.push_back(std::move(v));
    } else {
      return value(json(std::move(v)));
    }
    return true;
  }
  bool binary(json::binary_t&) { return true; }
  bool key(std::string& v) {
    key_ = std::move(v);
    return true;
  }
  bool start_object(std::size_t) {
    if (at_model_key("vocab")) {
      once(document_.has_vocabulary, "vocab");
      place_ = Place::kVocabulary;
      return true;
    }
    return open(json::object());
  }
  bool end_object() {
    if (place_ != Place::kVocabulary) return close();
    place_ = Place::kDocument;
    return true;
  }
  bool start_array(std::size_t) {
    if (place_ == Place::kMerges) {
      pair_.clear();
      place_ = Place::kPair;
    } else if (at_model_key("merges")) {
      once(document_.has_merges, "merges");
      place_ = Place::kMerges;
    } else {
      return open(json::array());
    }
    return true;
  }
  bool end_array() {
    if (place_ == Place::kPair) {
      pair();
      place_ = Place::kMerges;
      return true;
    }
    if (place_ != Place::kMerges) return close();
    place_ = Place::kDocument;
    return true;
  }
  template <class Exception>
  bool parse_error(std::size_t end, const std::string&, const Exception& library) {
    corrupt_document(fmt::format("it is not valid JSON: {}", json_fault(text_, end, library)));
  }

  TokenizerDocument take() && {
    if (!document_.rest.is_object()) corrupt_document("it is not a JSON object");
    return std::move(document_);
  }

 private:
  enum class Place { kDocument, kVocabulary, kMerges, kPair };

  [[noreturn]] void bad_id(const std::string& spelt) const {
    corrupt_document(fmt::format("model.vocab: the id of '{}' is {}, not a number from 0 to {}",
                                 printable(key_, 40), printable(spelt, 40), kMaxId));
  }

  // Whether the value that begins now is `model.<name>`.
  bool at_model_key(std::string_view name) const {
    return place_ == Place::kDocument && open_.size() == 2 && root_key_ == "model" &&
           open_[1]->is_object() && key_ == name;
  }

  static void once(bool& seen, std::string_view name) {
    if (seen) corrupt_document(fmt::format("model.{} stands there twice", name));
    seen = true;
  }

  std::string merge_place() const {
    return fmt::format("model.merges[{}]", document_.merges.size());
  }

  void merge(std::string& v) {
    document_.merges.push_back(
        with_context(merge_place(), [&] { return parse_merge(std::move(v)); }));
  }

  void pair() {
    if (pair_.size() != 2 || pair_[0].empty() || pair_[1].empty()) {
      corrupt_document(merge_place() + " is not a pair of tokens");
    }
    const auto left_size = static_cast<std::uint32_t>(pair_[0].size());
    document_.merges.push_back({pair_[0] + " " + pair_[1], left_size});
  }

  // Puts a value where the document goes on.
  json* place(json&& v) {
    if (place_ == Place::kVocabulary) bad_id(v.type_name());
    if (place_ != Place::kDocument) corrupt_document(merge_place() + " is not a pair of tokens");
    if (open_.empty()) {
      document_.rest = std::move(v);
      return &document_.rest;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(v));
      return &parent.back();
    }
    if (open_.size() == 1) root_key_ = key_;
    return &(parent[key_] = std::move(v));
  }

  bool value(json&& v) {
    place(std::move(v));
    return true;
  }

  bool open(json&& v) {
    if (open_.size() >= kMaxDepth) corrupt_document("it is nested deeper than 64 levels");
    open_.push_back(place(std::move(v)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string_view text_;
  const bool quoted_;
  TokenizerDocument document_;
  Place place_ = Place::kDocument;
  std::vector<json*> open_;  // the objects and arrays that the parser is in
  std::string key_;
  std::string root_key_;
  std::vector<std::string> pair_;
};

}  // namespace

Merge parse_merge(std::string text) {
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || space == 0 || space + 1 == text.size() ||
      text.find(' ', space + 1) != std::string::npos) {
    corrupt_document(
        fmt::format("'{}' is not two tokens with a space between them", printable(text, 60)));
  }
  return {std::move(text), static_cast<std::uint32_t>(space)};
}

TokenizerDocument read_tokenizer_document(std::string_view text) {
  const auto quoted = quote_non_finite(text);
  if (quoted) text = *quoted;
  Reader reader(text, quoted.has_value());
  json::sax_parse(text.begin(), text.end(), &reader);
  return std::move(reader).take();
}

}  // namespace pajamas::text
