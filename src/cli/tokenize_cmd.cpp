// `tokenize`: text to ids, ids to text, conversations to either.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/output.h"
#include "cli/command.h"
#include "cli/model_argument.h"
#include "cli/text_option.h"
#include "io/gguf.h"
#include "model/chat.h"
#include "model/chat_messages.h"
#include "model/text_assets.h"
#include "model/text_files.h"
#include "model/text_model.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace pajamas::cli {
namespace {

using nlohmann::ordered_json;

struct TokenizeFlags {
  std::string model;
  bool no_download = false;
  std::string pre_tokenizer;
  std::optional<std::string> text;
  std::string file;
  std::string jsonl;
  std::string chat;
  bool decode = false;
  bool special = false;
  bool render = false;
  std::string chat_template;
  std::string reasoning;
  std::string export_folder;
  bool force = false;
};

// What the user gives is wrong usage, not a damaged file.
template <class Read>
auto as_usage(std::string_view what, std::string hint, Read&& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(ErrorCode::kUsage, error.problem(), std::move(hint)).at(what);
  }
}

ordered_json parse_given(const std::string& text, std::string_view what) {
  return as_usage(what, "give JSON, in UTF-8", [&] { return parse_ordered_json(text); });
}

void print_ids(const std::vector<std::int32_t>& ids) { fmt::print("[{}]\n", fmt::join(ids, ",")); }

std::vector<std::int32_t> parse_ids(const ordered_json& parsed, std::string_view what) {
  std::vector<std::int32_t> ids;
  const auto bad = [&] {
    return Error(ErrorCode::kUsage, "is not an array of token ids", "give JSON as [1,2,3]")
        .at(what);
  };
  if (!parsed.is_array()) throw bad();
  for (const ordered_json& id : parsed) {
    if (!id.is_number_integer() || id.get<std::int64_t>() < 0 ||
        id.get<std::int64_t>() > INT32_MAX) {
      throw bad();
    }
    ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

class Tokenizing {
 public:
  Tokenizing(const TokenizeFlags& options, const text::Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer) {}

  void one(const std::string& input, std::string_view what) const {
    if (options_.decode) {
      fmt::print("{}\n", decoded(parse_given(input, what), what));
    } else {
      print_ids(encode(input, what));
    }
  }

  // One JSON value a line: strings become arrays, or with --decode the other way round.
  void lines(const std::string& content, const StopFlag& stop) const {
    std::size_t number = 0;
    for (std::size_t at = 0; at < content.size();) {
      const std::size_t end = std::min(content.find('\n', at), content.size());
      const std::string line = content.substr(at, end - at);
      at = end + 1;
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      stop.check();
      const std::string what = fmt::format("line {}", number);
      const ordered_json value = parse_given(line, what);
      if (options_.decode) {
        fmt::print("{}\n", ordered_json(decoded(value, what)).dump());
      } else if (value.is_string()) {
        print_ids(encode(value.get_ref<const std::string&>(), what));
      } else {
        throw Error(ErrorCode::kUsage, "is not a JSON string", "give one string a line").at(what);
      }
    }
  }

  std::vector<std::int32_t> encode(const std::string& text, std::string_view what) const {
    return with_context(what, [&] {
      return tokenizer_.encode(text, {.parse_special = options_.special || !options_.chat.empty()});
    });
  }

 private:
  std::string decoded(const ordered_json& ids, std::string_view what) const {
    return with_context(what,
                        [&] { return text::utf8_lossy(tokenizer_.decode(parse_ids(ids, what))); });
  }

  const TokenizeFlags& options_;
  text::Tokenizer tokenizer_;
};

std::string render(const TokenizeFlags& options, const model::ChatFormat& format,
                   Context& program) {
  const std::string text = read_text_input(options.chat, program.stop);
  const model::ChatRequest request =
      as_usage(text_input_name(options.chat),
               "give {\"messages\": [...], \"tools\": [...], \"options\": {...}}",
               [&] { return model::parse_chat_request(text); });
  ordered_json variables = ordered_json::object();
  if (!options.reasoning.empty()) {
    const model::ReasoningOptions reasoning = model::reasoning_options(format, options.reasoning);
    if (!reasoning.note.empty()) program.progress->note(reasoning.note);
    variables = reasoning.variables;
  }
  variables.update(request.options);
  const std::string unread = model::unread_tools_note(format, request.tools);
  if (!unread.empty()) program.progress->note(unread);
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return model::render_chat(format, request.messages, request.tools, variables, true, local,
                            &program.stop);
}

// What a GGUF file says about text as the files of a directory.
void export_files(const TokenizeFlags& options, const model::TextAssets& assets) {
  std::optional<io::GgufFile> gguf;
  if (io::looks_like_gguf(options.model)) gguf = io::GgufFile::open(options.model);
  OutputDirectory folder(options.export_folder, {.replace = options.force});
  for (const model::TextFile& text :
       model::make_text_files(assets, gguf ? &gguf->metadata() : nullptr)) {
    OutputFile file = folder.create_file(text.name, text.content.size());
    file.write_at(0, as_byte_span(text.content));
    file.commit();
  }
  folder.commit();
}

void check_inputs(const TokenizeFlags& options) {
  const int inputs = (options.text ? 1 : 0) + (options.file.empty() ? 0 : 1) +
                     (options.jsonl.empty() ? 0 : 1) + (options.chat.empty() ? 0 : 1) +
                     (options.export_folder.empty() ? 0 : 1);
  const char* hint = "see `llama-pajamas tokenize --help`";
  if (inputs != 1) {
    throw Error(ErrorCode::kUsage,
                "needs exactly one of --text, --file, --jsonl, --chat and --export", hint);
  }
  if (options.render && options.chat.empty()) {
    throw Error(ErrorCode::kUsage, "--render shows what --chat renders", hint);
  }
  if (!options.chat_template.empty() && options.chat.empty()) {
    throw Error(ErrorCode::kUsage, "--chat-template is for what --chat renders", hint);
  }
  if (!options.reasoning.empty() && options.chat.empty()) {
    throw Error(ErrorCode::kUsage, "--reasoning is for what --chat renders", hint);
  }
  if (options.decode && !options.chat.empty()) {
    throw Error(ErrorCode::kUsage, "--decode takes ids, not a conversation", hint);
  }
}

void run_tokenize(const TokenizeFlags& options, Context& context) {
  check_inputs(options);
  model::TextAssets assets = load_text(options.model, options.pre_tokenizer, *context.progress);
  if (!options.chat_template.empty()) {
    model::choose_chat_template(assets.chat_templates, options.chat_template);
  }
  if (!options.export_folder.empty()) return export_files(options, assets);
  if (options.render) {
    fmt::print("{}", render(options, model::ChatFormat(assets), context));
    return;
  }
  const model::TextModel text(std::move(assets));
  const Tokenizing tokenizing(options, text.tokenizer());
  if (options.text) tokenizing.one(*options.text, "--text");
  if (!options.file.empty()) {
    tokenizing.one(read_text_input(options.file, context.stop), text_input_name(options.file));
  }
  if (!options.jsonl.empty()) {
    with_context(text_input_name(options.jsonl), [&] {
      tokenizing.lines(read_text_input(options.jsonl, context.stop), context.stop);
    });
  }
  if (!options.chat.empty()) {
    print_ids(
        tokenizing.encode(render(options, text.chat(), context), text_input_name(options.chat)));
  }
}

}  // namespace

void add_tokenize(const Command& app, Context& context) {
  const Command command = app.add_command("tokenize", "Turn text into token ids and back");
  auto options = std::make_shared<TokenizeFlags>();
  command
      .add_option("MODEL", options->model,
                  "Model (a path or owner/name of the hub), directory with tokenizer.json, or "
                  "tokenizer.json")
      .required()
      .type_name("");
  command.add_option("--text", options->text, "Tokenize this text").type_name("TEXT");
  command.add_option("--file", options->file, "Tokenize this file (-: standard input)")
      .type_name("FILE");
  command.add_option("--jsonl", options->jsonl, "One JSON string a line; prints one array a line")
      .type_name("FILE");
  command
      .add_option("--chat", options->chat,
                  "JSON with messages, tools and options: applies the chat template")
      .type_name("FILE");
  add_chat_template_option(command, options->chat_template);
  add_reasoning_option(command, options->reasoning);
  command
      .add_option("--export", options->export_folder,
                  "Write tokenizer.json, tokenizer_config.json and generation_config.json that "
                  "mean what the model says")
      .type_name("DIR");
  command.add_flag("--force", options->force, "Replace an existing folder of --export");
  command.add_flag("--render", options->render, "With --chat: print the text instead of ids");
  command.add_flag("--decode", options->decode, "The input is ids (JSON arrays); print text");
  command.add_flag("--special", options->special,
                   "Recognise special tokens that stand in the text");
  command.footer(
      "Example: the ids of a sentence\n"
      "  llama-pajamas tokenize models/tiny-qwen2 --text \"My fellow citizens\"");
  add_pre_tokenizer_option(command, options->pre_tokenizer);
  add_no_download_option(command, options->no_download);
  command.callback([options, &context] {
    options->model = local_model(options->model, hub::Need::kText, options->no_download, context);
    run_tokenize(*options, context);
  });
}

}  // namespace pajamas::cli
