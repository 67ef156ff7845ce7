#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/system.h"
#include "cli/log.h"
#include "cli/text_wrap.h"

namespace pajamas::cli {
namespace {

// A terminal that understands escape sequences, as far as TERM tells.
bool is_capable_terminal(std::FILE* stream) {
  const char* term = std::getenv("TERM");
  return ::isatty(::fileno(stream)) != 0 && (term == nullptr || std::string_view(term) != "dumb");
}

bool use_colour(std::FILE* stream) {
  const ColourMode mode = log_style().colour;
  if (mode == ColourMode::kAuto) return is_capable_terminal(stream);
  return mode == ColourMode::kAlways;
}

std::string amount(double value, std::string_view unit) {
  if (unit == "B") return readable_bytes(static_cast<std::uint64_t>(value));
  return fmt::format("{:.{}f} {}", value, value < 10 ? 1 : 0, unit);
}

std::string rate_text(double per_second, std::string_view unit) {
  if (unit == "B") return readable_byte_rate(per_second);
  return fmt::format("{} {}/s", readable_rate(per_second), unit);
}

// One step at a time, its counter shared by all threads.
class TerminalProgress final : public Progress {
 public:
  enum class Form { kBar, kLines, kJson };
  explicit TerminalProgress(Form form) : bar_(form == Form::kBar), json_(form == Form::kJson) {}

  void begin(std::string_view step, std::uint64_t total, std::string_view unit) override {
    const std::lock_guard lock(mutex_);
    step_ = step;
    unit_ = unit;
    total_ = total;
    done_ = 0;
    started_ = last_shown_ = seconds_now();
    running_ = true;
    if (bar_) draw();
  }

  void advance(std::uint64_t by) override {
    const std::lock_guard lock(mutex_);
    done_ += by;
    const double now = seconds_now();
    if (now - last_shown_ < (bar_ ? kBarSeconds : json_ ? kJsonSeconds : kLineSeconds)) return;
    last_shown_ = now;
    if (bar_) {
      draw();
    } else if (json_) {
      log_text(json_line("progress", step_, figures(now)) + "\n");
    } else {
      log_text(line() + "\n");
    }
  }

  void end() override {
    const std::lock_guard lock(mutex_);
    if (!running_) return;
    running_ = false;
    clear();
    const double now = seconds_now();
    const double seconds = now - started_;
    if (seconds < kQuietSeconds && !log_style().verbose) return;
    const std::string rate = total_ == 0 || unit_.empty()
                                 ? ""
                                 : ", " + rate_text(static_cast<double>(done_) / seconds, unit_);
    log_info(fmt::format("{}: done in {}{}", step_, readable_seconds(seconds), rate), figures(now));
  }

  void note(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    clear();
    log_note(text);
  }

  ~TerminalProgress() override {
    if (running_) clear();
  }

 private:
  static constexpr double kBarSeconds = 0.1;
  static constexpr double kLineSeconds = 5;
  static constexpr double kJsonSeconds = 1;
  static constexpr double kQuietSeconds = 0.5;  // what is over sooner needs no line

  std::string line() const {
    const double elapsed = std::max(1e-3, seconds_now() - started_);
    if (total_ == 0) return step_;
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    const std::string left =
        share > 0 ? readable_seconds(elapsed * (1 - share) / share) + " left" : "";
    return fmt::format("{}: {:3.0f} % of {}, {}, {}", step_, 100 * share,
                       amount(static_cast<double>(total_), unit_),
                       rate_text(static_cast<double>(done_) / elapsed, unit_), left);
  }

  // The fields of a JSON line.
  nlohmann::ordered_json figures(double now) const {
    return {{"step", step_},
            {"done", done_},
            {"total", total_},
            {"unit", unit_},
            {"seconds", now - started_}};
  }

  void draw() const {
    const std::size_t width = terminal_columns(stderr).value_or(80);
    std::string text = line();
    const std::size_t room =
        width > text.size() + 4 ? std::min<std::size_t>(30, width - text.size() - 4) : 0;
    if (room >= 10 && total_ > 0) {
      const auto filled = static_cast<std::size_t>(
          static_cast<double>(room) *
          std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)));
      text =
          fmt::format("[{}{}] {}", std::string(filled, '#'), std::string(room - filled, '.'), text);
    }
    log_text("\r\x1b[K" + text.substr(0, width - 1));
  }

  void clear() const {
    if (bar_) log_text("\r\x1b[K");
  }

  const bool bar_;
  const bool json_;
  std::mutex mutex_;
  std::string step_;
  std::string unit_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
  double started_ = 0;
  double last_shown_ = 0;
  bool running_ = false;
};

}  // namespace

std::string paint(std::string_view text, Colour colour, std::FILE* stream) {
  if (!use_colour(stream)) return std::string(text);
  const std::string_view code = colour == Colour::kRed    ? "\x1b[1;31m"
                                : colour == Colour::kBold ? "\x1b[1m"
                                                          : "\x1b[2m";
  return fmt::format("{}{}\x1b[0m", code, text);
}

std::unique_ptr<Progress> make_progress() {
  using Form = TerminalProgress::Form;
  if (log_style().quiet) return std::make_unique<NoProgress>();
  return std::make_unique<TerminalProgress>(log_style().json              ? Form::kJson
                                            : is_capable_terminal(stderr) ? Form::kBar
                                                                          : Form::kLines);
}

}  // namespace pajamas::cli
