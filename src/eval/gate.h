// Conditions on figures, as a release wants them: "kl<0.02,loss<5%".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::eval {

enum class GateFigure : std::uint8_t { kPerplexity, kKl, kKlP99, kLoss, kTop1, kMmlu, kHumanEval };

struct GateRule {
  GateFigure figure{};
  bool chat = false;   // of the built-in chat, not of the main text
  std::string text;    // as it was given
  char sign = '<';     // '<' or '>'
  bool equal = false;  // <= or >=
  double limit = 0;    // nats for kl, percent for loss, a share of 1 for top1, mmlu and humaneval
};

// What a text gave; what was not measured is absent. Units as in GateRule.
struct TextFigures {
  std::optional<double> perplexity, kl, kl_p99, loss, top1;
};

// What the figures of a run are.
struct GateFigures {
  TextFigures text, chat;
  std::optional<double> mmlu, humaneval;

  // What `rule` is about.
  std::optional<double> get(const GateRule& rule) const;
};

// One or more rules with commas between them; "chat_" before a text's figure means that of the
// built-in chat. Throws Error{kUsage} for an unknown figure, a missing
// sign or number, and a unit that the figure does not have.
std::vector<GateRule> parse_gate(std::string_view text);

// The rules that the figures break, each told with the figure: "kl is 0.0312, not < 0.02". A figure
// that is absent or no number breaks its rule.
std::vector<std::string> broken_rules(const std::vector<GateRule>& rules,
                                      const GateFigures& figures);

}  // namespace pajamas::eval
