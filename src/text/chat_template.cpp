#include "text/chat_template.h"

#include "base/error.h"
#include "jinja/ast.h"
#include "jinja/interpreter.h"
#include "jinja/lexer.h"
#include "jinja/text.h"

namespace pajamas::text {
namespace {

using jinja::Value;

const std::string& checked_text(const std::string& text) {
  jinja::charge_bytes(text.size(), jinja::kBytesSearched);
  if (!jinja::is_valid_utf8(text)) {
    throw Error(ErrorCode::kUsage, "text that is not valid UTF-8", "convert it to UTF-8");
  }
  return text;
}

Value to_value(const Json& json, int level) {
  if (level > jinja::kMaxNesting) {
    throw Error(ErrorCode::kUsage, "JSON nested too deeply", "flatten the messages or tools");
  }
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      return Value::integer(json.get<std::uint64_t>());
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string:
      return Value::string(checked_text(json.get_ref<const std::string&>()));
    case Json::value_t::array: {
      jinja::Vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(to_value(item, level + 1));
      return Value::list(std::move(items));
    }
    case Json::value_t::object: {
      auto dict = jinja::make_counted<jinja::Dict>();
      for (const auto& [key, value] : json.items()) {
        dict->set(Value::string(checked_text(key)), to_value(value, level + 1));
      }
      return Value::object(jinja::Kind::kDict, std::move(dict));
    }
    default:
      return Value::none();
  }
}

}  // namespace

ChatTemplate::ChatTemplate(std::string source, const StopFlag* stop)
    : source_(std::move(source)), program_(jinja::parse(source_, stop)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const Json& context, const std::tm& now, const StopFlag* stop,
                                 std::size_t max_steps) const {
  if (!context.is_object()) {
    throw Error(ErrorCode::kUsage, "the context of a chat template must be a JSON object", "");
  }
  const jinja::Budget budget(stop, program_->bytes, max_steps);
  auto variables = jinja::make_counted<jinja::Dict>();
  for (const auto& [name, value] : context.items()) {
    variables->set(Value::string(name),
                   with_context(name, [&, &v = value] { return to_value(v, 1); }));
  }
  const Value all = Value::object(jinja::Kind::kDict, std::move(variables));
  return std::string(jinja::Interpreter(*program_, all, now).run());
}

bool ChatTemplate::uses_variable(std::string_view name) const {
  bool attribute = false;
  for (const jinja::Token& token : jinja::tokenize(source_)) {
    if (token.kind == jinja::TokenKind::kName && token.text == name && !attribute) return true;
    attribute = token.kind == jinja::TokenKind::kOperator && token.text == ".";
  }
  return false;
}

}  // namespace pajamas::text
