#include "io/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "tensor/shape.h"

namespace pajamas::io {
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";

// Receives the header token by token. A document tree would silently keep the last of two tensors
// of one name, and take ten times the memory.
class HeaderBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderBuilder(std::string_view text) : text_(text) {}

  SafetensorsHeader take() && { return std::move(header_); }

  bool null() override {
    if (skipped_depth_ > 0 || state_ == State::kIgnored) return after_value();
    if (state_ == State::kMetadata) return state_ = State::kTop, true;  // no metadata
    fail("null");
  }
  bool boolean(bool) override { return other_value("true or false"); }
  bool number_integer(number_integer_t value) override {
    return other_value(fmt::format("the number {}", value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return other_value(fmt::format("the number {}", printable(text, 40)));
  }
  bool binary(binary_t&) override { return other_value("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ == State::kShapeItems) {
      if (tensor_.shape.size() == Shape::kMaxRank) {
        throw placed(Error(ErrorCode::kUnsupported,
                           fmt::format("more than {} dimensions", Shape::kMaxRank)));
      }
      tensor_.shape.push_back(value);
      return true;
    }
    if (state_ == State::kOffsetItems) {
      if (offsets_seen_ == 2) corrupt("`data_offsets` has more than two numbers");
      tensor_.data_offsets[offsets_seen_++] = value;
      return true;
    }
    return other_value(fmt::format("the number {}", value));
  }

  bool string(string_t& value) override {
    switch (state_) {
      case State::kMetadataValue:
        if (!header_.metadata.emplace(std::move(metadata_key_), std::move(value)).second) {
          corrupt("a key of `__metadata__` appears twice");
        }
        state_ = State::kMetadataKeys;
        return true;
      case State::kDtype:
        tensor_.dtype = std::move(value);
        state_ = State::kFields;
        return true;
      default:
        return other_value("a text");
    }
  }

  bool start_object(std::size_t) override {
    if (skip_container()) return true;
    switch (state_) {
      case State::kStart:
        state_ = State::kTop;
        return true;
      case State::kMetadata:
        state_ = State::kMetadataKeys;
        return true;
      case State::kTensor:
        state_ = State::kFields;
        return true;
      default:
        fail("an object");
    }
  }

  bool key(string_t& name) override {
    if (skipped_depth_ > 0) return true;
    switch (state_) {
      case State::kTop:
        return begin_entry(name);
      case State::kMetadataKeys:
        metadata_key_ = std::move(name);
        state_ = State::kMetadataValue;
        return true;
      default:
        return begin_field(name);
    }
  }

  bool end_object() override {
    if (skipped_depth_ > 0) return leave_skipped();
    if (state_ == State::kFields) finish_tensor();
    state_ = State::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (skip_container()) return true;
    if (state_ == State::kShape) {
      state_ = State::kShapeItems;
    } else if (state_ == State::kOffsets) {
      state_ = State::kOffsetItems;
    } else {
      fail("an array");
    }
    return true;
  }

  bool end_array() override {
    if (skipped_depth_ > 0) return leave_skipped();
    state_ = State::kFields;
    return true;
  }

  bool parse_error(std::size_t end, const std::string&,
                   const nlohmann::detail::exception& library) override {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("its header is not JSON: {}", json_fault(text_, end, library)),
                "download or copy the file again");
  }

 private:
  // What comes next.
  enum class State {
    kStart,          // the header's object
    kTop,            // a tensor's name, or __metadata__
    kMetadata,       // the object of metadata
    kMetadataKeys,   // a key of it
    kMetadataValue,  // the text under that key
    kTensor,         // the object of a tensor
    kFields,         // a key of it
    kDtype,
    kShape,
    kShapeItems,
    kOffsets,
    kOffsetItems,
    kIgnored,  // the value of an unknown field
  };

  enum Field : unsigned { kHasDtype = 1, kHasShape = 2, kHasOffsets = 4, kHasAll = 7 };

  bool begin_entry(string_t& name) {
    tensor_ = {};
    fields_ = 0;
    offsets_seen_ = 0;
    if (name == kMetadataKey) {
      if (std::exchange(metadata_seen_, true)) corrupt("`__metadata__` appears twice");
      state_ = State::kMetadata;
      return true;
    }
    tensor_.name = std::move(name);
    state_ = State::kTensor;
    return true;
  }

  bool begin_field(const string_t& name) {
    field_ = name == "dtype"          ? kHasDtype
             : name == "shape"        ? kHasShape
             : name == "data_offsets" ? kHasOffsets
                                      : 0U;
    if ((fields_ & field_) != 0) corrupt(fmt::format("`{}` appears twice", name));
    fields_ |= field_;
    state_ = field_ == kHasDtype     ? State::kDtype
             : field_ == kHasShape   ? State::kShape
             : field_ == kHasOffsets ? State::kOffsets
                                     : State::kIgnored;
    return true;
  }

  void finish_tensor() {
    if ((fields_ & kHasDtype) == 0) corrupt("`dtype` is missing");
    if ((fields_ & kHasShape) == 0) corrupt("`shape` is missing");
    if (offsets_seen_ != 2) corrupt("`data_offsets` are not two numbers");
    header_.tensors.push_back(std::move(tensor_));
    tensor_ = {};
  }

  // An array or object that belongs to an unknown field is counted through, not understood.
  bool skip_container() noexcept {
    if (skipped_depth_ == 0 && state_ != State::kIgnored) return false;
    ++skipped_depth_;
    return true;
  }
  bool leave_skipped() noexcept {
    --skipped_depth_;
    return after_value();
  }
  bool after_value() noexcept {
    if (skipped_depth_ == 0) state_ = State::kFields;
    return true;
  }
  bool other_value(std::string_view what) {
    if (skipped_depth_ > 0 || state_ == State::kIgnored) return after_value();
    fail(what);
  }

  [[noreturn]] void fail(std::string_view what) const {
    const std::string_view wanted = [&]() -> std::string_view {
      switch (state_) {
        case State::kStart:
        case State::kTop:
        case State::kMetadata:
        case State::kTensor:
          return "an object";
        case State::kMetadataValue:
          return "a text";
        case State::kDtype:
          return "the text of `dtype`";
        case State::kShape:
        case State::kShapeItems:
          return "non-negative integers in `shape`";
        case State::kOffsets:
        case State::kOffsetItems:
          return "two non-negative integers in `data_offsets`";
        default:
          return "something else";
      }
    }();
    corrupt(fmt::format("its header has {} where it needs {}", what, wanted));
  }
  [[noreturn]] void corrupt(std::string problem) const {
    throw placed(Error(ErrorCode::kCorruptFile, std::move(problem)));
  }
  Error placed(Error error) const {
    if (!tensor_.name.empty()) error.at(printable(tensor_.name));
    return error;
  }

  const std::string_view text_;
  SafetensorsHeader header_;
  State state_ = State::kStart;
  HeaderTensor tensor_;
  unsigned field_ = 0;
  unsigned fields_ = 0;
  std::size_t offsets_seen_ = 0;
  std::string metadata_key_;
  bool metadata_seen_ = false;
  std::size_t skipped_depth_ = 0;
};

void refuse_repeated_names(const std::vector<HeaderTensor>& tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const HeaderTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return;
  throw Error(ErrorCode::kCorruptFile, "the tensor appears twice").at(printable(*twice));
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view json) {
  // The JSON library takes a byte-order mark, leading space and, as the end of the text, a zero
  // byte.
  if (!json.starts_with('{') || json.find('\0') != std::string_view::npos) {
    throw Error(ErrorCode::kCorruptFile, "its header is not a JSON object",
                "download or copy the file again");
  }
  HeaderBuilder builder(json);
  nlohmann::json::sax_parse(json.begin(), json.end(), &builder);
  SafetensorsHeader header = std::move(builder).take();
  refuse_repeated_names(header.tensors);
  return header;
}

}  // namespace pajamas::io
