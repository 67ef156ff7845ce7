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
  std::string text;    // as it was given
  char sign = '<';     // '<' or '>'
  bool equal = false;  // <= or >=
  double limit = 0;    // nats for kl, percent for loss, a share of 1 for top1, mmlu and humaneval
};

// What the figures of a run are; those that were not measured are absent. Units as in GateRule.
struct GateFigures {
  std::optional<double> perplexity, kl, kl_p99, loss, top1, mmlu, humaneval;

  std::optional<double> get(GateFigure figure) const;
};

// One or more rules with commas between them. Throws Error{kUsage} for an unknown figure, a missing
// sign or number, and a unit that the figure does not have.
std::vector<GateRule> parse_gate(std::string_view text);

// The rules that the figures break, each told with the figure: "kl is 0.0312, not < 0.02". A figure
// that is absent or no number breaks its rule.
std::vector<std::string> broken_rules(const std::vector<GateRule>& rules,
                                      const GateFigures& figures);

}  // namespace pajamas::eval
