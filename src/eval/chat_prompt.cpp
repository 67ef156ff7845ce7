#include "eval/chat_prompt.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "model/chat.h"

namespace pajamas::eval {

std::string chat_prompt(const model::TextModel& model, const std::string& user) {
  using nlohmann::ordered_json;
  return chat_text(model, ordered_json::array({{{"role", "user"}, {"content", user}}}), true);
}

std::string chat_text(const model::TextModel& model, const nlohmann::ordered_json& messages,
                      bool to_answer) {
  std::tm epoch{};
  epoch.tm_mday = 1;
  epoch.tm_year = 70;
  return model::render_chat(model.chat(), messages, nullptr, nlohmann::ordered_json::object(),
                            to_answer, epoch);
}

}  // namespace pajamas::eval
