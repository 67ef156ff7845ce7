// What is said on standard error beside results: for people, or as one JSON object a line.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "cli/settings.h"

namespace pajamas::cli {

struct LogStyle {
  bool quiet = false;    // errors only
  bool verbose = false;  // more of it: settings, files, kernels, times
  bool json = false;     // one object a line
  ColourMode colour = ColourMode::kAuto;
};

// One for the whole program, as standard error is. Set it before threads are started.
void set_log_style(const LogStyle& style);
const LogStyle& log_style() noexcept;

// As it is, at once. Like all that is said on standard error, it is lost where that cannot be
// written, and what the program was asked for goes on.
void log_text(std::string_view text);

// One line each, which a terminal shows broken at words. Fields are for --json alone; the message
// says what matters of them. In a message of several lines those that begin with a blank are
// commands to copy.
void log_error(const Error& error);
void log_note(std::string_view text);  // what the user should read once
void log_notes(std::span<const std::string> notes);
void log_info(std::string_view text);  // what was done
void log_info(std::string_view text, const nlohmann::ordered_json& fields);
void log_detail(std::string_view text);  // with --verbose

// "error: WHAT (WHERE); TRY", broken at words where standard error is a terminal.
std::string for_people(const Error& error);

// The lines of --json, without the line end:
// {"level": "error", "message": ..., "code": "not_found", "place": ..., "hint": ..., "status": 3}
std::string json_line(const Error& error);
// {"level": level, "message": message, ...fields}; what is not UTF-8 is replaced.
std::string json_line(std::string_view level, std::string_view message,
                      const nlohmann::ordered_json& fields);

}  // namespace pajamas::cli
