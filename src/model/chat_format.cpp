#include "model/chat_format.h"

#include "base/error.h"

namespace pajamas::model {

ChatFormat::ChatFormat(const TextAssets& assets)
    : sources_(assets.chat_templates),
      tokens_(assets.template_tokens),
      words_(all_chat_templates(sources_)) {}

const text::ChatTemplate& ChatFormat::parsed(const std::string& source,
                                             const StopFlag* stop) const {
  const std::lock_guard lock(mutex_);
  auto& kept = parsed_[&source];
  if (kept == nullptr) {
    kept = with_context("chat template",
                        [&] { return std::make_unique<const text::ChatTemplate>(source, stop); });
  }
  return *kept;
}

const text::ChatTemplate& ChatFormat::chat_template(bool tools, const StopFlag* stop) const {
  return parsed(chat_template_for(sources_, tools), stop);
}

std::vector<const text::ChatTemplate*> ChatFormat::readable_templates() const {
  std::vector<const text::ChatTemplate*> all;
  for (const auto& [name, source] : sources_) {
    try {
      all.push_back(&parsed(source, nullptr));
    } catch (const Error&) {  // an error for who uses it
    }
  }
  return all;
}

}  // namespace pajamas::model
