// One page, whole in itself, that shows what a command measured: it asks the network for nothing,
// forbids it itself, and holds the data that it was made of.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace pajamas::report {

// Where what is shown comes from.
struct Origin {
  std::string command;           // "compare"
  std::string repeat;            // the command line, to be copied
  nlohmann::ordered_json about;  // the machine, the date, the version, as bench::machine_json
};

// The page of what `command --json` prints. Sections are made of the keys that are there
// (sections.h). What of `document` is no UTF-8 becomes U+FFFD.
std::string page_of(const Origin& origin, const nlohmann::ordered_json& document);

// The data as the page holds it and gives it to be saved: {"command", "repeat", "about", and what
// the command printed as "result"}.
nlohmann::ordered_json data_of(const Origin& origin, const nlohmann::ordered_json& document);

// Text between tags or in a quoted attribute; what is no UTF-8 becomes U+FFFD.
std::string html_text(std::string_view text);
// JSON inside a <script>: no character that ends it, or begins another one.
std::string script_json(const nlohmann::ordered_json& document);

}  // namespace pajamas::report
