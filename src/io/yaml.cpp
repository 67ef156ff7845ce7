// The one file that knows libyaml, of which only the events are used: they come in a loop, so that
// neither depth nor aliases cost more than the text has bytes.
#include "io/yaml.h"

#include <fmt/format.h>
#include <yaml.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace pajamas::io {
namespace {

using nlohmann::json;

constexpr std::size_t kDeepest = 100;

std::string place(const yaml_mark_t& mark) {
  return fmt::format("line {}, column {}", mark.line + 1, mark.column + 1);
}

[[noreturn]] void throw_unsupported(const yaml_event_t& event, std::string_view what) {
  throw Error(ErrorCode::kUnsupported, fmt::format("{}: {}", place(event.start_mark), what),
              "write it out as plain YAML");
}

class Event {
 public:
  explicit Event(yaml_parser_t& parser) {
    if (yaml_parser_parse(&parser, &event_) == 1) return;
    const char* const said = parser.problem != nullptr ? parser.problem : "unreadable";
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("is not YAML: {}: {}", place(parser.problem_mark), said),
                "correct it, or remove it");
  }
  ~Event() { yaml_event_delete(&event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  const yaml_event_t& get() const noexcept { return event_; }

 private:
  yaml_event_t event_{};
};

class Parser {
 public:
  explicit Parser(std::string_view text) {
    if (yaml_parser_initialize(&parser_) != 1) throw std::bad_alloc();
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Parser() { yaml_parser_delete(&parser_); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  json document() {
    while (!done_) {
      const Event event(parser_);
      take(event.get());
    }
    return std::move(root_);
  }

 private:
  // A list or object that is not complete. A key waits for its value.
  struct Open {
    json value;
    std::string key;
    bool has_key = false;
  };

  void take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_SCALAR_EVENT:
        return scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return begin(event, json::array());
      case YAML_MAPPING_START_EVENT:
        return begin(event, json::object());
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: {
        json complete = std::move(open_.back().value);
        open_.pop_back();
        return put(std::move(complete));
      }
      case YAML_ALIAS_EVENT:
        throw_unsupported(event, "aliases are not read");
      case YAML_DOCUMENT_END_EVENT:
      case YAML_STREAM_END_EVENT:
        done_ = true;
        return;
      default:
        return;
    }
  }

  bool wants_key() const {
    return !open_.empty() && open_.back().value.is_object() && !open_.back().has_key;
  }

  void scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    std::string text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    if (wants_key()) {
      open_.back().key = std::move(text);
      open_.back().has_key = true;
      return;
    }
    const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
    const bool null = plain && (text.empty() || text == "~" || text == "null");
    put(null ? json() : json(std::move(text)));
  }

  void begin(const yaml_event_t& event, json empty) {
    if (wants_key()) throw_unsupported(event, "a key is no text");
    if (open_.size() == kDeepest) throw_unsupported(event, "too many levels");
    open_.push_back({std::move(empty), {}, false});
  }

  void put(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& inner = open_.back(); inner.value.is_array()) {
      inner.value.push_back(std::move(value));
    } else {
      inner.value[inner.key] = std::move(value);
      inner.has_key = false;
    }
  }

  yaml_parser_t parser_{};
  std::vector<Open> open_;
  json root_;
  bool done_ = false;
};

}  // namespace

json parse_yaml(std::string_view text) { return Parser(text).document(); }

}  // namespace pajamas::io
