#include "eval/gate.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/suggest.h"

namespace pajamas::eval {
namespace {

enum class Unit : std::uint8_t { kNumber, kPercent, kShare };

struct Figure {
  std::string_view name;
  GateFigure figure;
  Unit unit;
};
constexpr std::array<Figure, 8> kFigures{{
    {"humaneval", GateFigure::kHumanEval, Unit::kShare},
    {"kl", GateFigure::kKl, Unit::kNumber},
    {"kl_p99", GateFigure::kKlP99, Unit::kNumber},
    {"loss", GateFigure::kLoss, Unit::kPercent},
    {"mmlu", GateFigure::kMmlu, Unit::kShare},
    {"perplexity", GateFigure::kPerplexity, Unit::kNumber},
    {"ppl", GateFigure::kPerplexity, Unit::kNumber},
    {"top1", GateFigure::kTop1, Unit::kShare},
}};

constexpr std::string_view kOfChat = "chat_";
bool is_of_a_text(GateFigure figure) {
  return figure != GateFigure::kMmlu && figure != GateFigure::kHumanEval;
}

[[noreturn]] void fail(std::string problem, std::string hint) {
  throw Error(ErrorCode::kUsage, std::move(problem), std::move(hint)).at("--gate");
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

const Figure& figure_of(std::string_view name, std::string_view rule) {
  std::vector<std::string_view> names;
  for (const Figure& figure : kFigures) {
    if (figure.name == name) return figure;
    names.push_back(figure.name);
  }
  fail(fmt::format("\"{}\" names no figure", printable(rule, 60)),
       did_you_mean(name, names) + fmt::format("one of {}", fmt::join(names, ", ")));
}

const Figure& figure_of(GateFigure which) {
  for (const Figure& figure : kFigures) {
    if (figure.figure == which) return figure;
  }
  return kFigures.front();
}

GateRule parse_rule(std::string_view text) {
  const std::size_t at = text.find_first_of("<>=");
  std::string_view name = trimmed(text.substr(0, at));
  GateRule rule;
  rule.chat = name.starts_with(kOfChat);
  if (rule.chat) name.remove_prefix(kOfChat.size());
  const Figure& figure = figure_of(name, text);
  rule.figure = figure.figure;
  if (rule.chat && !is_of_a_text(rule.figure)) {
    fail(fmt::format("{} is measured in no chat", figure.name),
         fmt::format("leave {} out before it", kOfChat));
  }
  rule.text = text;
  if (at == std::string_view::npos || text[at] == '=') {
    fail(fmt::format("\"{}\" says not what is allowed", printable(text, 60)),
         fmt::format("as in {}<0.02", figure.name));
  }
  rule.sign = text[at];
  std::string_view rest = text.substr(at + 1);
  rule.equal = rest.starts_with('=');
  if (rule.equal) rest.remove_prefix(1);
  rest = trimmed(rest);
  const bool percent = rest.ends_with('%');
  if (percent) rest = trimmed(rest.substr(0, rest.size() - 1));
  if (rest.starts_with('+')) rest.remove_prefix(1);
  const auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), rule.limit);
  if (rest.empty() || code != std::errc() || end != rest.data() + rest.size() ||
      !std::isfinite(rule.limit)) {
    fail(fmt::format("\"{}\" has no number behind the sign", printable(text, 60)),
         "as in kl<0.02 or loss<5%");
  }
  if (figure.unit == Unit::kNumber && percent) {
    fail(fmt::format("{} is no percentage", figure.name),
         fmt::format("as in {}<0.02", figure.name));
  }
  // loss<0.05 may mean 5 % or a twentieth of one.
  if (figure.unit == Unit::kPercent && !percent) {
    fail(fmt::format("\"{}\" has no unit", printable(text, 60)),
         fmt::format("a percentage, as in {}<5%", figure.name));
  }
  if (figure.unit == Unit::kShare) {
    if (percent) rule.limit /= 100;
    if (rule.limit < 0 || rule.limit > 1) {
      fail(fmt::format("\"{}\" is out of range", printable(text, 60)),
           fmt::format("a share from 0 to 1 or a percentage, as in {}>95%", figure.name));
    }
  }
  return rule;
}

bool holds(const GateRule& rule, double value) {
  if (rule.equal && value == rule.limit) return true;
  return rule.sign == '<' ? value < rule.limit : value > rule.limit;
}

std::string shown(Unit unit, double value) {
  if (unit == Unit::kPercent) return fmt::format("{:.4g} %", value);
  if (unit == Unit::kShare) return fmt::format("{:.4g} %", value * 100);
  return fmt::format("{:.6g}", value);
}

}  // namespace

std::optional<double> GateFigures::get(const GateRule& rule) const {
  const TextFigures& of = rule.chat ? chat : text;
  switch (rule.figure) {
    case GateFigure::kPerplexity:
      return of.perplexity;
    case GateFigure::kKl:
      return of.kl;
    case GateFigure::kKlP99:
      return of.kl_p99;
    case GateFigure::kLoss:
      return of.loss;
    case GateFigure::kTop1:
      return of.top1;
    case GateFigure::kMmlu:
      return mmlu;
    case GateFigure::kHumanEval:
      return humaneval;
  }
  return std::nullopt;
}

std::vector<GateRule> parse_gate(std::string_view text) {
  std::vector<GateRule> rules;
  while (true) {
    const std::size_t comma = text.find(',');
    rules.push_back(parse_rule(trimmed(text.substr(0, comma))));
    if (comma == std::string_view::npos) return rules;
    text.remove_prefix(comma + 1);
  }
}

std::vector<std::string> broken_rules(const std::vector<GateRule>& rules,
                                      const GateFigures& figures) {
  std::vector<std::string> broken;
  for (const GateRule& rule : rules) {
    const Figure& figure = figure_of(rule.figure);
    const std::optional<double> value = figures.get(rule);
    if (value && holds(rule, *value)) continue;  // NaN holds nothing
    broken.push_back(fmt::format("{}{} is {}, not {}{} {}", rule.chat ? kOfChat : "", figure.name,
                                 value ? shown(figure.unit, *value) : "not known", rule.sign,
                                 rule.equal ? "=" : "", shown(figure.unit, rule.limit)));
  }
  return broken;
}

}  // namespace pajamas::eval
