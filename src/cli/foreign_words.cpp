// Facts: the options of llama.cpp's tools (common/arg.cpp), ollama and mlx-lm as documented.
#include "cli/foreign_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/shell_words.h"

namespace pajamas::cli {
namespace {

// Words with blanks between them; MODEL in a hint is the model that was named.
struct Word {
  std::string_view names;
  std::string_view problem;
  std::string_view hint;
};

constexpr std::array kCommands{
    Word{"pull download get fetch", "nothing has to be downloaded beforehand",
         "a model of the hub is downloaded when it is first used: `llama-pajamas run MODEL`"},
    Word{"list ls ps tags", "models are listed by the command models", "`llama-pajamas models`"},
    Word{"rm remove delete", "models are removed by the command models",
         "`llama-pajamas models --remove MODEL`"},
    Word{"serve server api llama-server", "there is no server yet",
         "a program gets an answer by `llama-pajamas run MODEL --prompt TEXT --json`"},
    Word{"bench llama-bench mlx_lm.benchmark", "speed is measured by the command benchmark",
         "`llama-pajamas benchmark MODEL`; `llama-pajamas doctor` measures the machine"},
    Word{"show info", "what a model holds is shown by the command inspect",
         "`llama-pajamas inspect MODEL`"},
    Word{"convert export convert_hf_to_gguf.py convert-hf-to-gguf mlx_lm.convert llama-quantize",
         "models are converted by the command quantize",
         "`llama-pajamas quantize MODEL --method BF16 --output model.gguf`; methods like Q4_K_M "
         "make them smaller"},
    Word{"perplexity ppl eval evaluate score llama-perplexity",
         "models are scored by the command validate", "`llama-pajamas validate MODEL`"},
    Word{"generate complete completions ask prompt cli llama-cli mlx_lm.generate",
         "models answer by the command run", "`llama-pajamas run MODEL --prompt TEXT`"},
    Word{"tokenise detokenize llama-tokenize", "the command is tokenize",
         "`llama-pajamas tokenize MODEL --text TEXT`"},
    Word{"llama-imatrix", "importance matrices are measured by the command imatrix",
         "`llama-pajamas imatrix MODEL --text FILE --output imatrix.gguf`"},
    Word{"create push cp stop login logout upload",
         "models are files and folders here, and nothing is uploaded",
         "`llama-pajamas quantize MODEL --method Q4_K_M --output model.gguf` makes one; "
         "`llama-pajamas "
         "help` lists the commands"},
    Word{"train finetune lora merge embed embeddings embedding rerank search split gguf-split",
         "this program quantizes, runs and measures models, and does nothing of the kind",
         "`llama-pajamas help` lists the commands"},
    Word{"config settings", "settings are in a file",
         "`llama-pajamas doctor` names it and shows them"},
};

constexpr std::string_view kNoGpu =
    "the processor does all the work, there is no GPU yet: leave it out";
constexpr std::string_view kNotNeeded = "nothing of the kind is needed here: leave it out";
constexpr std::string_view kNotYet = "there is nothing of the kind here yet: leave it out";

// Names without dashes, and the hint.
constexpr std::array kOptions{
    Word{"n-predict predict num-predict max-new-tokens max_tokens max_new_tokens num_predict", "",
         "it is --max-tokens (-n) here"},
    Word{"ctx-size num-ctx n-ctx num_ctx context context-size max-kv-size context-length", "",
         "it is --ctx (-c) here"},
    Word{"cache-type-k cache-type-v ctk ctv kv-bits cache-type kv-cache-type", "",
         "it is --kv-cache TYPE here, for keys and values"},
    Word{"repetition-penalty repeat_penalty repetition_penalty", "", "it is --repeat-penalty here"},
    Word{"system-prompt sys system-prompt-file sysf", "", "it is --system TEXT here"},
    Word{"conversation cnv interactive-first chat", "", "a chat is `llama-pajamas chat MODEL`"},
    Word{"no-conversation no-cnv ignore-chat-template", "",
         "--raw continues a prompt without chat template"},
    Word{"hf-repo hf hfr hf-file hff hf-path model-url mu path-or-hf-repo repo", "",
         "MODEL takes names and addresses of the hub: owner/name, owner/name:FILE"},
    Word{
        "n-gpu-layers gpu-layers ngl device dev main-gpu mg split-mode sm tensor-split ts gpu gpus "
        "no-kv-offload nkvo override-tensor ot cpu-moe n-cpu-moe cuda metal num-gpu num_gpu",
        "", kNoGpu},
    Word{
        "flash-attn fa mlock mmap no-mmap batch-size ubatch-size ub no-warmup jinja simple-io "
        "log-disable no-display-prompt numa no-perf threads-batch tb single-turn st verbose-prompt "
        "multiline-input mli keep-alive keepalive stream no-stream nowordwrap trust-remote-code "
        "cont-batching cb parallel np defrag-thold swa-full low-vram no-context-shift",
        "", kNotNeeded},
    Word{"lora lora-scaled grammar grammar-file json-schema mirostat mirostat-ent mirostat-lr "
         "model-draft md draft draft-max typical typical-p top-nsigma presence-penalty "
         "frequency-penalty dry-multiplier xtc-probability mmproj image audio logit-bias imatrix "
         "dynatemp-range samplers control-vector rope-freq-base rope-freq-scale rope-scaling",
         "", kNotYet},
    Word{"num-thread num_thread n-threads nthreads", "", "it is --threads here"},
    Word{"think reasoning-effort reasoning-budget", "", "it is --reasoning LEVEL here"},
    Word{"hidethinking hide-thinking no-thinking", "", "it is --hide-reasoning here"},
    Word{"outtype qtype ftype quantization quant quantize q-bits bits wbits dtype q-mode", "",
         "it is --method here, as Q4_K_M for GGUF or 4bit for MLX"},
    Word{"outfile mlx-path out output-path output-dir out-dir", "", "it is --output (-o) here"},
    Word{"q-group-size", "", "it is --group-size here"},
    Word{"quant-predicate", "", "it is --recipe here"},
    Word{"pure leave-output-tensor output-tensor-type token-embedding-type tensor-type-file", "",
         "types of single tensors are given by --tensor-type REGEX=TYPE here"},
    Word{"dequantize", "", "--method BF16 (bf16 for MLX) writes weights that are not quantized"},
    Word{"kl-divergence kld kl-divergence-base", "",
         "`validate MODEL --metrics kl --reference MODEL` measures it; --reference takes a base "
         "file, "
         "and --save-reference X.kld writes one"},
    Word{"verbosity", "", "it is --verbose here"},
};

// Those that llama.cpp's tools take by one dash.
constexpr std::string_view kByOneDash =
    "ngl cnv no-cnv hf hfr hff fa sys sysf ctk ctv tb ub st mli mu md dev sm mg ts nkvo ot cb np";

bool is_among(std::string_view names, std::string_view name) noexcept {
  for (std::size_t at = 0; at < names.size();) {
    const std::size_t end = std::min(names.find(' ', at), names.size());
    if (names.substr(at, end - at) == name) return true;
    at = end + 1;
  }
  return false;
}

std::string with_model(std::string_view hint, const std::string& model) {
  std::string text(hint);
  if (model.empty()) return text;
  constexpr std::string_view kModel = "MODEL";
  if (const std::size_t at = text.find(kModel); at != std::string::npos) {
    text.replace(at, kModel.size(), shell_word(printable(model, 200)));
  }
  return text;
}

bool takes_value(const Command& app, std::string_view typed) {
  if (!typed.starts_with('-') || typed.find('=') != std::string_view::npos) return false;
  const std::string name(typed);
  const auto among = [&](const Command& each) {
    const std::optional<Option> option = each.find_option(name);
    return option && option->takes_value();
  };
  return among(app) || std::ranges::any_of(app.commands(), among);
}

}  // namespace

std::optional<Error> answer_to_command(std::string_view name, const std::string& model) {
  for (const Word& word : kCommands) {
    if (!is_among(word.names, name)) continue;
    return Error(ErrorCode::kUsage, std::string(word.problem), with_model(word.hint, model));
  }
  return std::nullopt;
}

std::optional<Error> answer_to_option(std::string_view typed) {
  const std::string_view given = typed.substr(0, typed.find('='));
  const std::string_view name = given.substr(std::min(given.find_first_not_of('-'), given.size()));
  if (name.size() < 2) return std::nullopt;
  for (const Word& word : kOptions) {
    if (!is_among(word.names, name)) continue;
    return Error(ErrorCode::kUsage, fmt::format("there is no option {}", printable(given, 60)),
                 std::string(word.hint));
  }
  return std::nullopt;
}

std::optional<Error> find_foreign_option(const Command& app,
                                         std::span<const char* const> arguments) {
  std::string_view before;
  for (const std::string_view argument : arguments) {
    if (argument == "--") break;
    if (argument.size() > 2 && argument[0] == '-' && argument[1] != '-' &&
        is_among(kByOneDash, argument.substr(1)) && !takes_value(app, before)) {
      return answer_to_option(argument);
    }
    before = argument;
  }
  return std::nullopt;
}

}  // namespace pajamas::cli
