#include "model/text_model.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace pajamas::model {
namespace {

text::Tokenizer taken_tokenizer(TextAssets&& assets, std::uint64_t vocab) {
  auto& tokens = assets.tokenizer.tokens;
  tokens.resize(std::max<std::size_t>(tokens.size(), vocab));
  return with_context(assets.origin, [&] { return text::Tokenizer(std::move(assets.tokenizer)); });
}

}  // namespace

TextModel::TextModel(TextAssets assets, std::uint64_t vocab)
    : special_(assets.special),
      stop_(std::move(assets.stop)),
      first_token_(assets.add_bos ? special_.bos : std::nullopt),
      notes_(std::move(assets.notes)),
      chat_(assets),
      tokenizer_(taken_tokenizer(std::move(assets), vocab)),
      answer_format_(text::find_answer_format(tokenizer_, &chat_.words())) {}

std::vector<std::int32_t> TextModel::encode(std::string_view utf8) const {
  std::vector<std::int32_t> ids = tokenizer_.encode(utf8);
  if (first_token_) ids.insert(ids.begin(), *first_token_);
  return ids;
}

}  // namespace pajamas::model
