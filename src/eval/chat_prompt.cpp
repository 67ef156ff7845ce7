#include "eval/chat_prompt.h"

#include <ctime>
#include <nlohmann/json.hpp>

#include "model/chat.h"

namespace pajamas::eval {

std::string chat_prompt(const model::TextModel& model, const std::string& user) {
  using nlohmann::ordered_json;
  const ordered_json messages = ordered_json::array({{{"role", "user"}, {"content", user}}});
  std::tm epoch{};
  epoch.tm_mday = 1;
  epoch.tm_year = 70;
  return model::render_chat(model.chat(), messages, nullptr, ordered_json::object(), true, epoch);
}

}  // namespace pajamas::eval
