#include "cli/editor/history_cursor.h"

namespace pajamas::cli {

std::string HistoryCursor::go(std::string_view text, std::size_t to) {
  changed_[at_] = text;
  at_ = to;
  const auto changed = changed_.find(to);
  return changed != changed_.end() ? changed->second : (*entries_)[to];
}

std::optional<std::string> HistoryCursor::older(std::string_view text) {
  if (at_ == 0) return std::nullopt;
  return go(text, at_ - 1);
}

std::optional<std::string> HistoryCursor::newer(std::string_view text) {
  if (at_ == entries_->size()) return std::nullopt;
  return go(text, at_ + 1);
}

std::optional<std::size_t> HistoryCursor::find(std::string_view query, std::size_t from,
                                               bool older) const {
  for (std::size_t i = from; i < entries_->size(); older ? --i : ++i) {  // below 0: it wraps
    if ((*entries_)[i].find(query) != std::string::npos) return i;
  }
  return std::nullopt;
}

}  // namespace pajamas::cli
