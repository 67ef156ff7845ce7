#include "eval/python_judge.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "eval/shipped.h"

namespace pajamas::eval {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kWallSeconds = 15;
constexpr std::uint64_t kCpuSeconds = 5;
constexpr std::uint64_t kMemory = 512u << 20;
constexpr std::uint64_t kFileBytes = 16u << 20;
constexpr std::string_view kTemporaryBytes = "67108864";

std::string first_line(const std::string& text) {
  return printable(std::string_view(text).substr(0, text.find('\n')), 200);
}

}  // namespace

ChildLimits judge_limits(Confinement confinement) noexcept {
  return {.wall_seconds = kWallSeconds,
          .cpu_seconds = kCpuSeconds,
          .memory = kMemory,
          .file_bytes = kFileBytes,
          .open_files = 64,
          // Root's processes are not counted by any limit.
          .drop_root = confinement == Confinement::kBubblewrap};
}

std::vector<std::string> bubblewrap() {
  std::vector<std::string> out{"bwrap",
                               "--unshare-all",
                               "--unshare-user",
                               "--die-with-parent",
                               "--new-session",
                               "--cap-drop",
                               "ALL",
                               "--clearenv",
                               "--setenv",
                               "PATH",
                               "/usr/local/bin:/usr/bin:/bin",
                               "--setenv",
                               "HOME",
                               "/tmp",
                               "--setenv",
                               "LANG",
                               "C.UTF-8",
                               "--hostname",
                               "sandbox",
                               "--uid",
                               "65534",
                               "--gid",
                               "65534",
                               "--ro-bind",
                               "/usr",
                               "/usr"};
  const auto add = [&](std::initializer_list<std::string> more) {
    out.insert(out.end(), more.begin(), more.end());
  };
  std::error_code code;
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    if (fs::is_symlink(name, code)) {
      add({"--symlink", fs::read_symlink(name, code).string(), name});
    } else if (fs::is_directory(name, code)) {
      add({"--ro-bind", name, name});
    }
  }
  // The root and /dev would be in memory, and writable.
  add({"--proc", "/proc", "--dev", "/dev", "--size", std::string(kTemporaryBytes), "--tmpfs",
       "/tmp", "--chdir", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/", "--"});
  return out;
}

PythonJudge::PythonJudge(Confinement confinement, const ChildLimits& limits, const StopFlag& stop)
    : confinement_(confinement), limits_(limits) {
  const bool confined = confinement == Confinement::kBubblewrap;
  const auto refuse = [&](const std::string& problem, std::string hint) {
    throw Error(ErrorCode::kUnsupported, problem, std::move(hint)).at("--metrics humaneval");
  };
  ChildResult result;
  try {
    const ChildProgram program = python("print('ready')", "");
    result = run_children({&program, 1}, limits, stop);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    if (!confined) refuse("Python is not installed", "install python3");
    refuse("a model's code runs only inside bubblewrap, which is not installed",
           "install it (Debian, Ubuntu: apt install bubblewrap), or run the code unconfined with "
           "--unsafe-execution");
  }
  if (result.output == "ready\n") return;
  const std::string said = result.timed_out ? "it took too long" : first_line(result.output);
  if (!confined) refuse("Python does not run: " + said, "install python3");
  refuse("bubblewrap does not work here: " + said,
         "it needs version 0.7, user namespaces and /usr/bin/python3; --unsafe-execution runs the "
         "code unconfined");
}

ChildProgram PythonJudge::python(std::string_view script, std::string input) const {
  const bool confined = confinement_ == Confinement::kBubblewrap;
  // bubblewrap's own environment can be read from inside.
  ChildProgram program{{}, std::move(input), confined};
  if (confined) program.command = bubblewrap();
  for (const std::string_view each :
       {std::string_view("python3"), std::string_view("-I"), std::string_view("-c"), script}) {
    program.command.emplace_back(each);
  }
  return program;
}

Verdict PythonJudge::judge(const CodeProblem& problem, const std::string& completion,
                           const StopFlag& stop) const {
  const std::string values(python_values());
  const json tests = {
      {"prompt", problem.prompt}, {"test", problem.test}, {"entry_point", problem.entry_point}};
  const json tested = {{"program", problem.prompt + completion},
                       {"entry_point", problem.entry_point}};
  constexpr auto kReplace = json::error_handler_t::replace;
  const std::array<ChildProgram, 2> programs{
      python(values + std::string(python_tests()), tests.dump(-1, ' ', true, kReplace)),
      python(values + std::string(python_tested()), tested.dump(-1, ' ', true, kReplace))};
  const ChildResult result = run_children(programs, limits_, stop);
  Verdict verdict;
  verdict.timed_out = result.timed_out;
  if (result.timed_out) {
    verdict.why = "it took too long";
    return verdict;
  }
  json said;
  try {
    said = parse_json(result.output);
  } catch (const Error&) {
    verdict.why = "its tests ended early";
    return verdict;
  }
  if (said.at("passed").is_null()) {
    throw Error(ErrorCode::kUnsupported, said.at("why").get<std::string>()).at(problem.id);
  }
  verdict.passed = said.at("passed").get<bool>();
  verdict.why = said.at("why").get<std::string>();
  return verdict;
}

}  // namespace pajamas::eval
