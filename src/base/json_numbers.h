// JSON as Python writes it: NaN, Infinity and -Infinity stand there as bare words, which JSON does
// not have and its library refuses.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace pajamas {

// `text` with each of those words that stands outside strings replaced by a string of the same
// length, so that places in the text stay what they were; nothing where there is no such word.
std::optional<std::string> quote_non_finite(std::string_view text);

// The number that such a string stands for.
std::optional<double> quoted_non_finite(std::string_view text) noexcept;

// Makes numbers of those strings where the text was `quoted`, and of {"__float__": "Infinity"},
// which is how transformers writes them.
void restore_non_finite(nlohmann::json& document, bool quoted);

// The document as text, as nlohmann's dump writes it, but with numbers that are not finite as
// Python writes and reads them; the library would write null.
std::string dump_json(const nlohmann::json& document, int indent);

}  // namespace pajamas
