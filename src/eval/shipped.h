// The texts and questions that are compiled into the program, for whoever names none.
#pragma once

#include <string_view>

namespace pajamas::eval {

// Public-domain prose that no model here was fitted to.
std::string_view heldout_text() noexcept;
// The project's own: source in several languages, prose in several languages, and dialogues, each a
// line of JSON: the messages.
std::string_view code_text() noexcept;
std::string_view languages_text() noexcept;
std::string_view chat_dialogues() noexcept;
// HumanEval as published, compressed by gzip.
std::string_view shipped_humaneval() noexcept;
// MMLU's examples and first ten questions of each subject, as JSON lines compressed by gzip.
std::string_view shipped_mmlu() noexcept;
// What runs in the sandboxes: Python.
std::string_view python_values() noexcept;
std::string_view python_tests() noexcept;
std::string_view python_tested() noexcept;

}  // namespace pajamas::eval
