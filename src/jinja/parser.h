// Recursive descent over the tokens: expressions here, statements in parser_statements.cpp.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "jinja/ast.h"
#include "jinja/lexer.h"

namespace pajamas::jinja {

class Parser {
 public:
  explicit Parser(Vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Body parse_template();

 private:
  // Tokens.
  const Token& now() const { return tokens_[pos_]; }
  const Token& ahead() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  Token next();
  bool at_op(std::string_view op) const {
    return now().kind == TokenKind::kOperator && now().text == op;
  }
  bool at_name(std::string_view name) const {
    return now().kind == TokenKind::kName && now().text == name;
  }
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  String expect_identifier();
  void expect(TokenKind kind, std::string_view what);
  std::string describe(const Token& token) const;
  [[noreturn]] void fail_here(std::string problem) const;
  [[noreturn]] void fail_unknown(int line, std::string what) const;

  // Statements.
  Body parse_body(std::initializer_list<std::string_view> ends);
  Body parse_block(std::initializer_list<std::string_view> ends);
  Body parse_block_to(std::string_view end);
  StmtPtr parse_statement(Body& out);
  StmtPtr parse_if();
  StmtPtr parse_for();
  StmtPtr parse_set();
  StmtPtr parse_macro();
  StmtPtr parse_call_block();
  StmtPtr parse_generation();
  StmtPtr parse_filter_block();
  StmtPtr parse_with();
  void parse_print(Body& out);
  void parse_signature(MacroDef& macro);
  bool at_any(std::initializer_list<std::string_view> names) const;
  StmtPtr make(StmtKind kind, int line) const;

  // Expressions.
  struct TupleRules {
    bool simple = false;       // names and literals only: assignment targets
    bool condition = true;     // allow `a if b`
    bool parentheses = false;  // () is a tuple
    bool namespaces = false;   // allow name.attr as a target
    std::string_view end_name = {};
  };
  ExprPtr parse_target(std::string_view end_name, bool namespaces);
  ExprPtr parse_tuple(TupleRules rules);
  ExprPtr parse_tuple() { return parse_tuple(TupleRules{}); }
  ExprPtr parse_expression(bool condition = true);
  ExprPtr parse_condition();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter = true);
  ExprPtr parse_primary(bool namespaces = false);
  ExprPtr parse_name(bool namespaces);
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_filters(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  ExprPtr parse_slice(ExprPtr object, int line, ExprPtr start);
  ExprPtr parse_call(ExprPtr node);
  ExprPtr parse_filter(ExprPtr node);
  ExprPtr parse_filter_chain(ExprPtr node);
  ExprPtr parse_test(ExprPtr node);
  CallArgs parse_args();
  String parse_dotted_name();
  void check_assignable(const Expr& target) const;

  ExprPtr make(ExprKind kind, int line) const;
  ExprPtr adopt(ExprPtr parent) const;  // computes the depth, throws where it is too large
  ExprPtr binary(Op op, int line, ExprPtr left, ExprPtr right) const;

  struct Nesting {
    explicit Nesting(Parser& parser);
    ~Nesting() { --parser_.nesting_; }
    Parser& parser_;
  };

  Vector<Token> tokens_;
  std::size_t pos_ = 0;
  int nesting_ = 0;
};

}  // namespace pajamas::jinja
