#include "quantize/method.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/error.h"
#include "base/suggest.h"
#include "quantize/output_format.h"

namespace pajamas::quantize {
namespace {

// File types: llama.h, enum llama_ftype.
constexpr std::array<GgufMethodInfo, static_cast<std::size_t>(GgufMethod::kCount)> kGgufMethods{{
    {GgufMethod::kF32, "F32", 0, DType::kF32, "bf16"},
    {GgufMethod::kF16, "F16", 1, DType::kF16, "bf16"},
    {GgufMethod::kBF16, "BF16", 32, DType::kBF16, "bf16"},
    {GgufMethod::kQ8_0, "Q8_0", 7, DType::kQ8_0, "8bit", true},
    {GgufMethod::kQ6_K, "Q6_K", 18, DType::kQ6_K, "6bit", true},
    {GgufMethod::kQ5_K_M, "Q5_K_M", 17, DType::kQ5_K, "5bit", true},
    {GgufMethod::kQ5_K_S, "Q5_K_S", 16, DType::kQ5_K, "5bit"},
    {GgufMethod::kQ4_K_M, "Q4_K_M", 15, DType::kQ4_K, "4bit", true},
    {GgufMethod::kQ4_K_S, "Q4_K_S", 14, DType::kQ4_K, "4bit"},
    {GgufMethod::kQ3_K_L, "Q3_K_L", 13, DType::kQ3_K, "3bit"},
    {GgufMethod::kQ3_K_M, "Q3_K_M", 12, DType::kQ3_K, "3bit", true},
    {GgufMethod::kQ3_K_S, "Q3_K_S", 11, DType::kQ3_K, "3bit"},
    {GgufMethod::kQ2_K, "Q2_K", 10, DType::kQ2_K, "2bit", true},
    {GgufMethod::kQ2_K_S, "Q2_K_S", 21, DType::kQ2_K, "2bit"},
    {GgufMethod::kQ4_0, "Q4_0", 2, DType::kQ4_0, "4bit"},
    {GgufMethod::kQ4_1, "Q4_1", 3, DType::kQ4_1, "4bit"},
    {GgufMethod::kQ5_0, "Q5_0", 8, DType::kQ5_0, "5bit"},
    {GgufMethod::kQ5_1, "Q5_1", 9, DType::kQ5_1, "5bit"},
    {GgufMethod::kIQ4_NL, "IQ4_NL", 25, DType::kIQ4_NL, "4bit"},
    {GgufMethod::kIQ4_XS, "IQ4_XS", 30, DType::kIQ4_XS, "4bit"},
    {GgufMethod::kIQ3_M, "IQ3_M", 27, DType::kIQ3_S, "3bit"},
    {GgufMethod::kIQ3_S, "IQ3_S", 26, DType::kIQ3_S, "3bit"},
    {GgufMethod::kIQ3_XS, "IQ3_XS", 22, DType::kIQ3_S, "3bit"},
    {GgufMethod::kIQ3_XXS, "IQ3_XXS", 23, DType::kIQ3_XXS, "3bit"},
    {GgufMethod::kIQ2_M, "IQ2_M", 29, DType::kIQ2_S, "2bit"},
    {GgufMethod::kIQ2_S, "IQ2_S", 28, DType::kIQ2_XS, "2bit"},
    {GgufMethod::kIQ2_XS, "IQ2_XS", 20, DType::kIQ2_XS, "2bit"},
    {GgufMethod::kIQ2_XXS, "IQ2_XXS", 19, DType::kIQ2_XXS, "2bit"},
    {GgufMethod::kIQ1_M, "IQ1_M", 31, DType::kIQ1_M, "2bit"},
    {GgufMethod::kIQ1_S, "IQ1_S", 24, DType::kIQ1_S, "2bit"},
    {GgufMethod::kTQ2_0, "TQ2_0", 37, DType::kTQ2_0, "2bit"},
    {GgufMethod::kTQ1_0, "TQ1_0", 36, DType::kTQ1_0, "2bit"},
    {GgufMethod::kMXFP4_MOE, "MXFP4_MOE", 38, DType::kMXFP4, "mxfp4"},
}};

constexpr std::array<MlxMethodInfo, 15> kMlxMethods{{
    {2, "2bit", "Q2_K"},
    {3, "3bit", "Q3_K_M"},
    {4, "4bit", "Q4_K_M"},
    {5, "5bit", "Q5_K_M"},
    {6, "6bit", "Q6_K"},
    {8, "8bit", "Q8_0"},
    {16, "bf16", "BF16"},
    {8, kMxfp4Method, "MXFP4_MOE", MlxMix::kNone, 0, Encoding::mxfp4()},
    {8, "mxfp8", "Q8_0", MlxMix::kNone, 0, Encoding::mxfp8()},
    {4, "nvfp4", "Q4_K_M", MlxMix::kNone, 0, Encoding::nvfp4()},
    {2, "mixed_2_6", "Q2_K", MlxMix::kStock, 6},
    {3, "mixed_3_4", "Q3_K_S", MlxMix::kStock, 4},
    {3, "mixed_3_6", "Q3_K_M", MlxMix::kStock, 6},
    {4, "mixed_4_6", "Q4_K_M", MlxMix::kStock, 6},
    {4, "roles_4_5", "Q4_K_M", MlxMix::kRoles, 5},
}};

consteval bool methods_in_order() {
  for (std::size_t i = 0; i < kGgufMethods.size(); ++i) {
    if (static_cast<std::size_t>(kGgufMethods[i].id) != i) return false;
  }
  return true;
}
static_assert(methods_in_order(), "kGgufMethods is indexed by GgufMethod");

[[noreturn]] void throw_unknown_method(const OutputFormat& format, std::string_view name) {
  const auto names = format.methods();
  for (const OutputFormat* other : output_formats()) {
    if (other->name() != lower(name)) continue;
    throw Error(ErrorCode::kUsage, fmt::format("{} is a format, no {} method", name, format.name()),
                fmt::format("name it with --format; methods are {}", fmt::join(names, ", ")))
        .at("--method");
  }
  throw Error(ErrorCode::kUsage,
              fmt::format("\"{}\" is no {} method", printable(name, 40), format.name()),
              fmt::format("{}there are {}", did_you_mean(name, names), fmt::join(names, ", ")))
      .at("--method");
}

// The canonical name in `format`, translated from another format's where it has to be.
std::string choose_one(const OutputFormat& format, std::string_view name,
                       std::vector<std::string>& notes) {
  if (auto own = format.find_method(name)) return *own;
  for (const OutputFormat* other : output_formats()) {
    const auto from = other->find_method(name);
    if (!from) continue;
    const std::string_view to = other->counterpart(*from, format.id());
    if (to.empty()) continue;
    notes.push_back(fmt::format("{} is {} for {}", *from, to, format.name()));
    return std::string(to);
  }
  throw_unknown_method(format, name);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// The mix that --recipe names.
std::string_view checked_recipe(std::string_view name) {
  const MlxMethodInfo* found = find_mlx_method(name);
  if (found != nullptr && found->mix != MlxMix::kNone) return found->name;
  const auto names = mlx_recipes();
  throw Error(ErrorCode::kUsage, fmt::format("\"{}\" is no recipe", printable(name, 40)),
              fmt::format("{}there are {}", did_you_mean(name, names), fmt::join(names, ", ")))
      .at("--recipe");
}

// What a format gets whatever --method says; empty: that has to say it.
std::string_view given_method(Format format, std::string_view recipe) {
  const auto methods = output_format(format).methods();
  if (methods.size() == 1) return methods.front();
  return format == Format::kMlx ? recipe : std::string_view();
}

// The methods of one format. Two that are the same by translation are one.
std::vector<std::string> choose_all(Format format, const std::vector<std::string_view>& asked,
                                    std::vector<std::string>& notes) {
  std::vector<std::string> names, given;
  for (const std::string_view name : asked) {
    if (std::ranges::count(given, lower(name)) != 0) {
      throw Error(ErrorCode::kUsage, fmt::format("names {} twice", printable(name, 40)),
                  "name each once")
          .at("--method");
    }
    given.push_back(lower(name));
    std::string chosen = choose_one(output_format(format), name, notes);
    if (std::ranges::count(names, chosen) == 0) names.push_back(std::move(chosen));
  }
  return names;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

const GgufMethodInfo& info(GgufMethod method) noexcept {
  return kGgufMethods[static_cast<std::size_t>(method)];
}

std::span<const GgufMethodInfo> gguf_methods() noexcept { return kGgufMethods; }
std::span<const MlxMethodInfo> mlx_methods() noexcept { return kMlxMethods; }

std::vector<std::string_view> mlx_recipes() {
  std::vector<std::string_view> names;
  for (const MlxMethodInfo& row : kMlxMethods) {
    if (row.mix != MlxMix::kNone) names.push_back(row.name);
  }
  return names;
}

std::optional<GgufMethod> find_gguf_method(std::string_view name) noexcept {
  // llama-quantize's short names.
  if (lower(name) == "q3_k") return GgufMethod::kQ3_K_M;
  if (lower(name) == "q4_k") return GgufMethod::kQ4_K_M;
  if (lower(name) == "q5_k") return GgufMethod::kQ5_K_M;
  for (const auto& row : kGgufMethods) {
    if (lower(row.name) == lower(name)) return row.id;
  }
  return std::nullopt;
}

const MlxMethodInfo* find_mlx_method(std::string_view name) noexcept {
  const auto row = std::ranges::find(kMlxMethods, lower(name), &MlxMethodInfo::name);
  return row == kMlxMethods.end() ? nullptr : &*row;
}

ChosenMethods choose_methods(std::span<const Format> formats, std::string_view methods,
                             std::string_view recipe) {
  if (!recipe.empty()) recipe = checked_recipe(recipe);
  std::vector<std::string_view> given;
  for (const Format format : formats) given.push_back(given_method(format, recipe));
  const auto choosing = static_cast<std::size_t>(std::ranges::count(given, std::string_view()));
  if (methods.empty() && choosing > 0) {
    throw Error(ErrorCode::kUsage, "none is given",
                "give one, as Q4_K_M for GGUF or 4bit for MLX, or a --target-size; --help has all")
        .at("--method");
  }
  const auto asked = methods.empty() ? std::vector<std::string_view>() : split(methods, ':');
  const bool each = asked.size() == formats.size();
  if (asked.size() > 1 && !each && asked.size() != choosing) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} methods for {} format{}", asked.size(), formats.size(),
                            formats.size() == 1 ? "" : "s"),
                formats.size() == 1
                    ? "several methods of one format are given as Q4_K_M,Q5_K_M"
                    : "give one method for all, or one a format in the order of --format, as "
                      "Q4_K_M:4bit")
        .at("--method");
  }
  ChosenMethods chosen;
  for (std::size_t i = 0, next = 0; i < formats.size(); ++i) {
    if (each && formats[i] == Format::kMlx && !recipe.empty()) {
      throw Error(ErrorCode::kUsage, "is a method of MLX, and --method names another",
                  "leave one of them out")
          .at("--recipe");
    }
    const std::string_view list = each                ? asked[i]
                                  : !given[i].empty() ? given[i]
                                  : asked.size() == 1 ? asked[0]
                                                      : asked[next++];
    chosen.names.push_back(choose_all(formats[i], split(list, ','), chosen.notes));
  }
  return chosen;
}

}  // namespace pajamas::quantize
