// Earlier entries, as keys walk through them.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pajamas::cli {

// A position among the entries, of which the last is the line that is being written. What is
// changed in an entry stays until the line is finished. Refers to the entries, oldest first.
class HistoryCursor {
 public:
  explicit HistoryCursor(const std::vector<std::string>& entries)
      : entries_(&entries), at_(entries.size()) {}

  // Keeps `text` for where it stands and moves to the older or newer entry; none where there is no
  // such.
  std::optional<std::string> older(std::string_view text);
  std::optional<std::string> newer(std::string_view text);

  std::size_t at() const noexcept { return at_; }
  void move_to(std::size_t at) noexcept { at_ = at; }

  // The entry that holds `query`, from entry `from` on towards older or newer ones.
  std::optional<std::size_t> find(std::string_view query, std::size_t from, bool older) const;

 private:
  std::string go(std::string_view text, std::size_t to);

  const std::vector<std::string>* entries_;
  std::size_t at_;
  std::map<std::size_t, std::string> changed_;
};

}  // namespace pajamas::cli
