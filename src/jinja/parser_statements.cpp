// The statement half of the parser.
#include <fmt/format.h>

#include "base/error.h"
#include "jinja/parser.h"
#include "jinja/scope.h"

namespace pajamas::jinja {

Token Parser::next() {
  Token token = tokens_[pos_];
  if (pos_ + 1 < tokens_.size()) ++pos_;
  return token;
}

bool Parser::skip_op(std::string_view op) {
  if (!at_op(op)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail_here(fmt::format("expected token '{}', got '{}'", op, describe(now())));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) {
    fail_here(fmt::format("expected token '{}', got '{}'", name, describe(now())));
  }
}

String Parser::expect_identifier() {
  if (now().kind != TokenKind::kName) {
    fail_here(fmt::format("expected token 'name', got '{}'", describe(now())));
  }
  return next().text;
}

void Parser::expect(TokenKind kind, std::string_view what) {
  if (now().kind != kind) {
    fail_here(fmt::format("expected {}, got '{}'", what, describe(now())));
  }
  next();
}

std::string Parser::describe(const Token& token) const {
  switch (token.kind) {
    case TokenKind::kName:
    case TokenKind::kOperator:
      return printable(token.text);
    case TokenKind::kData:
      return "template data / text";
    case TokenKind::kVariableBegin:
      return "begin of print statement";
    case TokenKind::kVariableEnd:
      return "end of print statement";
    case TokenKind::kBlockBegin:
      return "begin of statement block";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kString:
      return "string";
    case TokenKind::kInteger:
      return "integer";
    case TokenKind::kFloat:
      return "float";
    case TokenKind::kEnd:
      return "end of template";
  }
  return "token";
}

void Parser::fail_here(std::string problem) const { fail_syntax(now().line, std::move(problem)); }

void Parser::fail_unknown(int line, std::string what) const {
  throw Error(ErrorCode::kUnsupported, what + " is not supported",
              "this chat template needs a construct that is not known here")
      .at(fmt::format("chat template, line {}", line));
}

StmtPtr Parser::make(StmtKind kind, int line) const {
  auto node = std::make_unique<Stmt>();
  node->kind = kind;
  node->line = line;
  return node;
}

bool Parser::at_any(std::initializer_list<std::string_view> names) const {
  return std::any_of(names.begin(), names.end(), [&](auto name) { return at_name(name); });
}

Body Parser::parse_template() { return parse_body({}); }

// Everything up to a tag that is one of `ends`, which is left as the next token.
Body Parser::parse_body(std::initializer_list<std::string_view> ends) {
  const Nesting nesting(*this);
  Body body;
  while (now().kind != TokenKind::kEnd) {
    if (now().kind == TokenKind::kData) {
      auto node = make(StmtKind::kText, now().line);
      node->text = next().text;
      body.push_back(std::move(node));
    } else if (now().kind == TokenKind::kVariableBegin) {
      auto node = make(StmtKind::kOutput, next().line);
      node->expr = parse_tuple();
      body.push_back(std::move(node));
      expect(TokenKind::kVariableEnd, "end of print statement");
    } else {
      expect(TokenKind::kBlockBegin, "begin of statement block");
      if (at_any(ends)) return body;
      if (auto node = parse_statement(body)) body.push_back(std::move(node));
      expect(TokenKind::kBlockEnd, "end of statement block");
    }
  }
  if (ends.size() > 0) {
    fail_here(fmt::format("Unexpected end of template, expected '{}'", *std::prev(ends.end())));
  }
  return body;
}

Body Parser::parse_block(std::initializer_list<std::string_view> ends) {
  skip_op(":");
  expect(TokenKind::kBlockEnd, "end of statement block");
  return parse_body(ends);
}

Body Parser::parse_block_to(std::string_view end) {
  Body body = parse_block({end});
  next();
  return body;
}

// Returns null where the statement put its nodes into `out` itself.
StmtPtr Parser::parse_statement(Body& out) {
  if (now().kind != TokenKind::kName) fail_here("tag name expected");
  const String tag = now().text;
  const int line = now().line;
  if (tag == "if") return parse_if();
  if (tag == "for") return parse_for();
  if (tag == "set") return parse_set();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "generation") return parse_generation();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "print") {
    parse_print(out);
    return nullptr;
  }
  if (tag == "break" || tag == "continue") {
    next();
    return make(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, line);
  }
  static constexpr std::string_view kEnds[] = {"endif",   "endfor",   "else",         "elif",
                                               "endset",  "endmacro", "endcall",      "endfilter",
                                               "endwith", "endraw",   "endgeneration"};
  for (const auto end : kEnds) {
    if (tag == end) fail_syntax(line, fmt::format("Encountered unknown tag '{}'.", tag));
  }
  fail_unknown(line, fmt::format("tag '{}'", tag));
}

StmtPtr Parser::parse_if() {
  auto node = make(StmtKind::kIf, next().line);
  while (true) {
    Branch branch;
    branch.test = parse_tuple({.condition = false});
    branch.body = parse_block({"elif", "else", "endif"});
    node->branches.push_back(std::move(branch));
    const String tag = next().text;
    if (tag == "elif") continue;
    if (tag == "else") node->otherwise = parse_block_to("endif");
    return node;
  }
}

StmtPtr Parser::parse_for() {
  auto node = make(StmtKind::kFor, next().line);
  const std::size_t target_at = pos_;
  node->target = parse_target("in", false);
  expect_name("in");
  node->expr = parse_tuple({.condition = false, .end_name = "recursive"});
  if (skip_name("if")) {
    node->test = parse_expression();
    // The filter runs in a scope of its own, with the same targets.
    const std::size_t behind = pos_;
    pos_ = target_at;
    node->test_target = parse_target("in", false);
    pos_ = behind;
  }
  if (at_name("recursive")) fail_unknown(node->line, "a recursive for loop");
  node->body = parse_block({"endfor", "else"});
  if (next().text == "else") node->otherwise = parse_block_to("endfor");
  return node;
}

StmtPtr Parser::parse_set() {
  const int line = next().line;
  auto target = parse_target({}, true);
  if (skip_op("=")) {
    auto node = make(StmtKind::kSet, line);
    node->target = std::move(target);
    node->expr = parse_tuple();
    return node;
  }
  auto node = make(StmtKind::kSetBlock, line);
  node->target = std::move(target);
  if (at_op("|")) node->expr = parse_filter_chain(nullptr);
  node->body = parse_block_to("endset");
  return node;
}

void Parser::parse_signature(MacroDef& macro) {
  expect_op("(");
  bool has_fallback = false;
  NameSet names;
  while (!at_op(")")) {
    if (!macro.params.empty()) expect_op(",");
    MacroDef::Param param;
    param.line = now().line;
    param.name = expect_identifier();
    if (skip_op("=")) {
      param.fallback = parse_expression();
      has_fallback = true;
    } else if (has_fallback) {
      fail_here("non-default argument follows default argument");
    }
    if (!names.insert(param.name).second) {
      fail_here(fmt::format("duplicate argument '{}' in macro definition", param.name));
    }
    macro.explicit_caller |= param.name == "caller";
    macro.params.push_back(std::move(param));
  }
  expect_op(")");
}

StmtPtr Parser::parse_macro() {
  auto node = make(StmtKind::kMacro, next().line);
  node->macro = std::make_unique<MacroDef>();
  node->macro->name = expect_identifier();
  parse_signature(*node->macro);
  node->macro->body = parse_block_to("endmacro");
  return node;
}

StmtPtr Parser::parse_call_block() {
  auto node = make(StmtKind::kCallBlock, next().line);
  node->macro = std::make_unique<MacroDef>();
  node->macro->name = "caller";
  if (at_op("(")) parse_signature(*node->macro);
  node->expr = parse_expression();
  if (node->expr->kind != ExprKind::kCall) fail_syntax(node->line, "expected call");
  node->macro->body = parse_block_to("endcall");
  return node;
}

StmtPtr Parser::parse_generation() {
  auto node = make(StmtKind::kGeneration, next().line);
  node->macro = std::make_unique<MacroDef>();
  node->macro->name = "caller";
  node->macro->body = parse_block_to("endgeneration");
  return node;
}

StmtPtr Parser::parse_filter_block() {
  auto node = make(StmtKind::kFilterBlock, next().line);
  node->expr = parse_filter_chain(parse_filter(nullptr));
  node->body = parse_block_to("endfilter");
  return node;
}

StmtPtr Parser::parse_with() {
  auto node = make(StmtKind::kWith, next().line);
  while (now().kind != TokenKind::kBlockEnd) {
    if (!node->targets.empty()) expect_op(",");
    // A target takes no comma here: that would begin the next one.
    auto target = parse_primary();
    check_assignable(*target);
    node->targets.push_back(std::move(target));
    expect_op("=");
    node->values.push_back(parse_expression());
  }
  node->body = parse_block_to("endwith");
  return node;
}

void Parser::parse_print(Body& out) {
  const int line = next().line;
  bool first = true;
  while (now().kind != TokenKind::kBlockEnd) {
    if (!first) expect_op(",");
    first = false;
    auto node = make(StmtKind::kOutput, line);
    node->expr = parse_expression();
    out.push_back(std::move(node));
  }
}

std::unique_ptr<Program> parse(std::string_view source, const StopFlag* stop) {
  const Budget budget(stop);
  auto program = std::make_unique<Program>();
  program->body = Parser(tokenize(source)).parse_template();
  resolve_names(*program);
  program->bytes = budget.held();
  return program;
}

}  // namespace pajamas::jinja
