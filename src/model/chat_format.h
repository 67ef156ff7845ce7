// A model's chat templates, each parsed once.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "model/text_assets.h"
#include "text/chat_template.h"

namespace pajamas::model {

// Parses a template when it is first asked for and keeps it. Threads may share one.
class ChatFormat {
 public:
  explicit ChatFormat(const TextAssets& assets);

  bool empty() const noexcept { return sources_.empty(); }
  // All of them as one text, for what is known by the words that a model's templates use.
  const std::string& words() const noexcept { return words_; }
  // The special tokens that a template sees: "bos_token" and its text, and so on.
  const std::map<std::string, std::string>& tokens() const noexcept { return tokens_; }

  // The one for a conversation. Throws as chat_template_for and as text::ChatTemplate.
  const text::ChatTemplate& chat_template(bool tools, const StopFlag* stop = nullptr) const;
  // All but those that cannot be parsed: any of them may be the one that a conversation takes.
  std::vector<const text::ChatTemplate*> readable_templates() const;

 private:
  const text::ChatTemplate& parsed(const std::string& source, const StopFlag* stop) const;

  ChatTemplates sources_;
  std::map<std::string, std::string> tokens_;
  std::string words_;
  mutable std::mutex mutex_;
  // By source, which is one of `sources_`.
  mutable std::map<const std::string*, std::unique_ptr<const text::ChatTemplate>> parsed_;
};

}  // namespace pajamas::model
