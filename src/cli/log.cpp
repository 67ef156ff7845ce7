#include "cli/log.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/exit_status.h"
#include "cli/terminal.h"
#include "cli/text_wrap.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

LogStyle style_of_program;

constexpr std::size_t kContinuationIndent = 2;

// As wide as the terminal that standard error is; elsewhere one line is one message.
std::string laid_out_line(std::string_view text, std::size_t taken = 0) {
  const auto columns = terminal_columns(stderr);
  return columns ? wrapped(text, *columns, kContinuationIndent, taken) : std::string(text);
}

// One write a line, so that lines of several threads do not mix.
void write_line(std::string line) {
  line += '\n';
  log_text(line);
}

}  // namespace

void set_log_style(const LogStyle& style) { style_of_program = style; }
const LogStyle& log_style() noexcept { return style_of_program; }

void log_text(std::string_view text) {
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
  (void)std::fflush(stderr);
}

void log_error(const Error& error) {
  if (style_of_program.json) return write_line(json_line(error));
  write_line(for_people(error));
}

void log_note(std::string_view text) {
  if (style_of_program.quiet) return;
  write_line(style_of_program.json ? json_line("note", text, ordered_json::object())
                                   : laid_out_line(fmt::format("note: {}", text)));
}

void log_notes(std::span<const std::string> notes) {
  for (const std::string& note : notes) log_note(note);
}

void log_info(std::string_view text) { log_info(text, ordered_json::object()); }

void log_info(std::string_view text, const ordered_json& fields) {
  if (style_of_program.quiet) return;
  write_line(style_of_program.json ? json_line("info", text, fields) : laid_out_line(text));
}

void log_detail(std::string_view text) {
  if (!style_of_program.verbose) return;
  write_line(style_of_program.json ? json_line("detail", text, ordered_json::object())
                                   : paint(laid_out_line(text), Colour::kDim));
}

std::string for_people(const Error& error) {
  constexpr std::string_view kLabel = "error: ";
  return paint("error:", Colour::kRed) + " " + laid_out_line(error.what(), kLabel.size());
}

std::string json_line(const Error& error) {
  return json_line("error", error.problem(),
                   {{"code", error_kind(error.code()).name},
                    {"place", error.place()},
                    {"hint", error.hint()},
                    {"status", exit_status(error.code())}});
}

std::string json_line(std::string_view level, std::string_view message,
                      const ordered_json& fields) {
  ordered_json line = {{"level", level}, {"message", message}};
  line.update(fields);
  return line.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace pajamas::cli
