#include "jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "jinja/builtins.h"
#include "jinja/scope.h"

namespace pajamas::jinja {
namespace {

constexpr int kMaxParserNesting = 500;
constexpr int kMaxExprDepth = 200;  // Python's parser stops at 200 parentheses as well

bool is_const_name(std::string_view name) {
  return name == "true" || name == "false" || name == "none" || name == "True" || name == "False" ||
         name == "None";
}

}  // namespace

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kMaxParserNesting) {
    --parser_.nesting_;
    throw Error(ErrorCode::kUnsupported, "the template nests too deeply", "")
        .at(fmt::format("chat template, line {}", parser_.now().line));
  }
}

ExprPtr Parser::make(ExprKind kind, int line) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

ExprPtr Parser::adopt(ExprPtr parent) const {
  int depth = 0;
  const auto look = [&](const ExprPtr& kid) {
    if (kid) depth = std::max(depth, kid->depth + 1);
  };
  for (const auto& kid : parent->kids) look(kid);
  for (const auto& kid : parent->args.positional) look(kid);
  for (const auto& [name, kid] : parent->args.named) look(kid);
  look(parent->args.star);
  look(parent->args.star_star);
  if (depth > kMaxExprDepth) {
    throw Error(ErrorCode::kUnsupported, "an expression nests more than 200 levels deep", "")
        .at(fmt::format("chat template, line {}", parent->line));
  }
  parent->depth = depth;
  return parent;
}

ExprPtr Parser::binary(Op op, int line, ExprPtr left, ExprPtr right) const {
  auto node = make(ExprKind::kBinary, line);
  node->op = op;
  node->kids.push_back(std::move(left));
  node->kids.push_back(std::move(right));
  return adopt(std::move(node));
}

ExprPtr Parser::parse_target(std::string_view end_name, bool namespaces) {
  auto target = parse_tuple({.simple = true, .namespaces = namespaces, .end_name = end_name});
  check_assignable(*target);
  return target;
}

void Parser::check_assignable(const Expr& target) const {
  const bool ok = target.kind == ExprKind::kName || target.kind == ExprKind::kNamespaceRef ||
                  target.kind == ExprKind::kTuple;
  if (!ok) fail_syntax(target.line, "can't assign to an expression");
  for (const auto& kid : target.kids) check_assignable(*kid);
}

ExprPtr Parser::parse_tuple(TupleRules rules) {
  const Nesting nesting(*this);
  const int line = now().line;
  Vector<ExprPtr> items;
  bool is_tuple = false;
  const auto at_end = [&] {
    const auto kind = now().kind;
    return kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd || at_op(")") ||
           (!rules.end_name.empty() && at_name(rules.end_name));
  };
  while (true) {
    if (!items.empty()) expect_op(",");
    if (at_end()) break;
    items.push_back(rules.simple ? parse_primary(rules.namespaces)
                                 : parse_expression(rules.condition));
    if (!at_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!items.empty()) return std::move(items[0]);
    if (!rules.parentheses) {
      fail_here(fmt::format("Expected an expression, got '{}'", describe(now())));
    }
  }
  auto node = make(ExprKind::kTuple, line);
  node->kids = std::move(items);
  return adopt(std::move(node));
}

ExprPtr Parser::parse_expression(bool condition) {
  const Nesting nesting(*this);
  return condition ? parse_condition() : parse_or();
}

ExprPtr Parser::parse_condition() {
  const Nesting nesting(*this);
  const int line = now().line;
  auto value = parse_or();
  while (skip_name("if")) {
    auto node = make(ExprKind::kCondition, line);
    node->kids.push_back(parse_or());
    node->kids.push_back(std::move(value));
    node->kids.push_back(skip_name("else") ? parse_condition() : nullptr);
    value = adopt(std::move(node));
  }
  return value;
}

ExprPtr Parser::parse_or() {
  const int line = now().line;
  auto left = parse_and();
  while (skip_name("or")) {
    auto node = make(ExprKind::kOr, line);
    node->kids.push_back(std::move(left));
    node->kids.push_back(parse_and());
    left = adopt(std::move(node));
  }
  return left;
}

ExprPtr Parser::parse_and() {
  const int line = now().line;
  auto left = parse_not();
  while (skip_name("and")) {
    auto node = make(ExprKind::kAnd, line);
    node->kids.push_back(std::move(left));
    node->kids.push_back(parse_not());
    left = adopt(std::move(node));
  }
  return left;
}

ExprPtr Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  const Nesting nesting(*this);
  auto node = make(ExprKind::kNot, next().line);
  node->kids.push_back(parse_not());
  return adopt(std::move(node));
}

ExprPtr Parser::parse_compare() {
  static constexpr std::pair<std::string_view, Op> kOps[] = {{"==", Op::kEq}, {"!=", Op::kNe},
                                                             {"<", Op::kLt},  {"<=", Op::kLe},
                                                             {">", Op::kGt},  {">=", Op::kGe}};
  const int line = now().line;
  auto node = make(ExprKind::kCompare, line);
  node->kids.push_back(parse_sum());
  while (true) {
    const auto* found = std::find_if(std::begin(kOps), std::end(kOps),
                                     [&](const auto& op) { return at_op(op.first); });
    if (found != std::end(kOps)) {
      next();
      node->ops.push_back(found->second);
    } else if (skip_name("in")) {
      node->ops.push_back(Op::kIn);
    } else if (at_name("not") && ahead().kind == TokenKind::kName && ahead().text == "in") {
      next();
      next();
      node->ops.push_back(Op::kNotIn);
    } else {
      break;
    }
    node->kids.push_back(parse_sum());
  }
  if (node->ops.empty()) return std::move(node->kids[0]);
  return adopt(std::move(node));
}

ExprPtr Parser::parse_sum() {
  const int line = now().line;
  auto left = parse_concat();
  while (at_op("+") || at_op("-")) {
    const Op op = next().text == "+" ? Op::kAdd : Op::kSub;
    left = binary(op, line, std::move(left), parse_concat());
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  const int line = now().line;
  auto first = parse_product();
  if (!at_op("~")) return first;
  auto node = make(ExprKind::kConcat, line);
  node->kids.push_back(std::move(first));
  while (skip_op("~")) node->kids.push_back(parse_product());
  return adopt(std::move(node));
}

ExprPtr Parser::parse_product() {
  const int line = now().line;
  auto left = parse_power();
  while (at_op("*") || at_op("/") || at_op("//") || at_op("%")) {
    const String op = next().text;
    const Op code = op == "*"    ? Op::kMul
                    : op == "/"  ? Op::kDiv
                    : op == "//" ? Op::kFloorDiv
                                 : Op::kMod;
    left = binary(code, line, std::move(left), parse_power());
  }
  return left;
}

ExprPtr Parser::parse_power() {
  const int line = now().line;
  auto left = parse_unary();
  while (skip_op("**")) left = binary(Op::kPow, line, std::move(left), parse_unary());
  return left;
}

ExprPtr Parser::parse_unary(bool with_filter) {
  const Nesting nesting(*this);
  const int line = now().line;
  ExprPtr node;
  if (at_op("-") || at_op("+")) {
    node = make(next().text == "-" ? ExprKind::kNegate : ExprKind::kPlus, line);
    node->kids.push_back(parse_unary(false));
    node = adopt(std::move(node));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filter ? parse_filters(std::move(node)) : std::move(node);
}

ExprPtr Parser::parse_name(bool namespaces) {
  const Token token = next();
  if (is_const_name(token.text)) {
    auto node = make(ExprKind::kConst, token.line);
    const char initial = static_cast<char>(token.text[0] | 0x20);
    node->value = initial == 'n' ? Value::none() : Value::boolean(initial == 't');
    return node;
  }
  auto node = make(ExprKind::kName, token.line);
  node->name = token.text;
  if (namespaces && skip_op(".")) {
    node->kind = ExprKind::kNamespaceRef;
    node->attr = expect_identifier();
  }
  return node;
}

ExprPtr Parser::parse_primary(bool namespaces) {
  const int line = now().line;
  switch (now().kind) {
    case TokenKind::kName:
      return parse_name(namespaces);
    case TokenKind::kString: {
      String text;
      while (now().kind == TokenKind::kString) text += next().text;
      auto node = make(ExprKind::kConst, line);
      node->value = Value::string(std::move(text));
      node->value.str().make_index();  // now, because threads may share the template
      return node;
    }
    case TokenKind::kInteger:
    case TokenKind::kFloat: {
      auto node = make(ExprKind::kConst, line);
      node->value = next().number;
      return node;
    }
    default:
      break;
  }
  if (skip_op("(")) {
    auto node = parse_tuple({.parentheses = true});
    expect_op(")");
    return node;
  }
  if (at_op("[")) return parse_list();
  if (at_op("{")) return parse_dict();
  fail_here(fmt::format("unexpected '{}'", describe(now())));
}

ExprPtr Parser::parse_list() {
  auto node = make(ExprKind::kList, next().line);
  while (!at_op("]")) {
    if (!node->kids.empty()) expect_op(",");
    if (at_op("]")) break;
    node->kids.push_back(parse_expression());
  }
  expect_op("]");
  return adopt(std::move(node));
}

ExprPtr Parser::parse_dict() {
  auto node = make(ExprKind::kDict, next().line);
  while (!at_op("}")) {
    if (!node->kids.empty()) expect_op(",");
    if (at_op("}")) break;
    node->kids.push_back(parse_expression());
    expect_op(":");
    node->kids.push_back(parse_expression());
  }
  expect_op("}");
  return adopt(std::move(node));
}

ExprPtr Parser::parse_postfix(ExprPtr node) {
  while (true) {
    if (at_op(".") || at_op("[")) {
      node = parse_subscript(std::move(node));
    } else if (at_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filters(ExprPtr node) {
  while (true) {
    if (at_op("|")) {
      node = parse_filter_chain(std::move(node));
    } else if (at_name("is")) {
      node = parse_test(std::move(node));
    } else if (at_op("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_subscript(ExprPtr object) {
  const Token open = next();
  if (open.text == ".") {
    const Token name = next();
    if (name.kind == TokenKind::kName) {
      auto node = make(ExprKind::kAttribute, open.line);
      node->name = name.text;
      node->kids.push_back(std::move(object));
      return adopt(std::move(node));
    }
    if (name.kind != TokenKind::kInteger) fail_syntax(name.line, "expected name or number");
    auto key = make(ExprKind::kConst, name.line);
    key->value = name.number;
    auto node = make(ExprKind::kItem, open.line);
    node->kids.push_back(std::move(object));
    node->kids.push_back(std::move(key));
    return adopt(std::move(node));
  }
  if (at_op(":")) return parse_slice(std::move(object), open.line, nullptr);
  if (at_op("]")) fail_unknown(open.line, "an empty subscript []");
  auto key = parse_expression();
  if (at_op(":")) return parse_slice(std::move(object), open.line, std::move(key));
  if (at_op(",")) {
    auto tuple = make(ExprKind::kTuple, open.line);
    tuple->kids.push_back(std::move(key));
    while (skip_op(",")) {
      if (at_op(":")) fail_unknown(open.line, "a subscript of several slices");
      tuple->kids.push_back(parse_expression());
      if (at_op(":")) fail_unknown(open.line, "a subscript of several slices");
    }
    key = adopt(std::move(tuple));
  }
  expect_op("]");
  auto node = make(ExprKind::kItem, open.line);
  node->kids.push_back(std::move(object));
  node->kids.push_back(std::move(key));
  return adopt(std::move(node));
}

ExprPtr Parser::parse_slice(ExprPtr object, int line, ExprPtr start) {
  auto node = make(ExprKind::kSlice, line);
  node->kids.push_back(std::move(object));
  node->kids.push_back(std::move(start));
  expect_op(":");
  const auto part = [&]() -> ExprPtr {
    return at_op(":") || at_op("]") || at_op(",") ? nullptr : parse_expression();
  };
  node->kids.push_back(part());
  node->kids.push_back(skip_op(":") ? part() : nullptr);
  if (at_op(",")) fail_unknown(line, "a subscript of several slices");
  expect_op("]");
  return adopt(std::move(node));
}

CallArgs Parser::parse_args() {
  const int line = now().line;
  expect_op("(");
  CallArgs args;
  NameSet names;
  const auto ensure = [&](bool ok) {
    if (!ok) fail_syntax(line, "invalid syntax for function call expression");
  };
  bool first = true;
  while (!at_op(")")) {
    if (!first) {
      expect_op(",");
      if (at_op(")")) break;
    }
    first = false;
    if (skip_op("*")) {
      ensure(!args.star && !args.star_star);
      args.star = parse_expression();
    } else if (skip_op("**")) {
      ensure(!args.star_star);
      args.star_star = parse_expression();
    } else if (now().kind == TokenKind::kName && ahead().kind == TokenKind::kOperator &&
               ahead().text == "=") {
      ensure(!args.star_star);
      const String name = next().text;
      next();
      if (!names.insert(name).second) {
        fail_syntax(line, fmt::format("keyword argument repeated: {}", name));
      }
      args.named.emplace_back(name, parse_expression());
    } else {
      ensure(!args.star && !args.star_star && args.named.empty());
      args.positional.push_back(parse_expression());
    }
  }
  expect_op(")");
  return args;
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  auto node = make(ExprKind::kCall, now().line);
  node->kids.push_back(std::move(callee));
  node->args = parse_args();
  return adopt(std::move(node));
}

String Parser::parse_dotted_name() {
  String name = expect_identifier();
  while (skip_op(".")) name.append(1, '.').append(expect_identifier());
  return name;
}

ExprPtr Parser::parse_filter(ExprPtr subject) {
  auto node = make(ExprKind::kFilter, now().line);
  node->name = parse_dotted_name();
  node->filter = find_filter(node->name);
  node->kids.push_back(std::move(subject));
  if (at_op("(")) node->args = parse_args();
  return adopt(std::move(node));
}

ExprPtr Parser::parse_filter_chain(ExprPtr node) {
  while (skip_op("|")) node = parse_filter(std::move(node));
  return node;
}

ExprPtr Parser::parse_test(ExprPtr subject) {
  const int line = next().line;
  const bool negated = skip_name("not");
  auto node = make(ExprKind::kTest, line);
  node->name = parse_dotted_name();
  node->test = find_test(node->name);
  node->kids.push_back(std::move(subject));
  const auto kind = now().kind;
  if (at_op("(")) {
    node->args = parse_args();
  } else if ((kind == TokenKind::kName || kind == TokenKind::kString ||
              kind == TokenKind::kInteger || kind == TokenKind::kFloat || at_op("[") ||
              at_op("{")) &&
             !at_any({"else", "or", "and"})) {
    if (at_name("is")) fail_here("You cannot chain multiple tests with is");
    node->args.positional.push_back(parse_postfix(parse_primary()));
  }
  node = adopt(std::move(node));
  if (!negated) return node;
  auto inverse = make(ExprKind::kNot, line);
  inverse->kids.push_back(std::move(node));
  return adopt(std::move(inverse));
}

}  // namespace pajamas::jinja
