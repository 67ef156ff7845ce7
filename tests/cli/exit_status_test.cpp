#include "cli/exit_status.h"

#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/program.h"

namespace pajamas::cli {
namespace {

TEST(ExitStatus, IsOneEach) {
  std::set<int> seen{0, 1, kGateStatus};  // success, a crash of others, a rule of --gate
  for (int i = 0; i < static_cast<int>(ErrorCode::kCount); ++i) {
    EXPECT_TRUE(seen.insert(exit_status(static_cast<ErrorCode>(i))).second) << i;
  }
}

TEST(ErrorKind, HasOneNameEach) {
  std::set<std::string_view> names;
  for (int i = 0; i < static_cast<int>(ErrorCode::kCount); ++i) {
    names.insert(error_kind(static_cast<ErrorCode>(i)).name);
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::kCount));
  EXPECT_EQ(error_kind(ErrorCode::kInternal).name, "internal");
}

// What a shell says of a process that the signal has ended.
TEST(ExitStatus, OfAnInterruptionIsThatOfItsSignal) {
  EXPECT_EQ(ending_signal(), 0);
  EXPECT_EQ(exit_status(ErrorCode::kInterrupted), 130);
  for (const auto& [signal, status] : std::map<int, int>{{SIGHUP, 129}, {SIGTERM, 143}}) {
    note_ending_signal(signal);
    EXPECT_EQ(exit_status(ErrorCode::kInterrupted), status);
    EXPECT_EQ(exit_status(ErrorCode::kIo), 8);
  }
  note_ending_signal(0);
}

TEST(WithHint, FillsOnlyWhatIsEmpty) {
  const Error own = Error(ErrorCode::kIo, "broken", "mend it").at("a");
  EXPECT_STREQ(with_hint(own).what(), "broken (a); mend it");
  const Error none = Error(ErrorCode::kCorruptFile, "broken").at("a").at("b");
  EXPECT_STREQ(with_hint(none).what(),
               "broken (b: a); the file is damaged or incomplete: download or copy it again");
  EXPECT_STREQ(with_hint(Error(ErrorCode::kInterrupted, "stopped")).what(), "stopped");
  for (int i = 0; i < static_cast<int>(ErrorCode::kCount); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    if (code == ErrorCode::kInterrupted) continue;
    EXPECT_FALSE(with_hint(Error(code, "x")).hint().empty()) << i;
  }
}

// A usage error of `arguments`, parsed by a program like ours.
Error mistake(std::vector<const char*> arguments) {
  Program program("program", "1", "");
  const Command run = program.root().add_command("run", "");
  int threads = 0;
  bool hidden = false;
  std::string model;
  run.add_option("--threads", threads, "");
  run.add_flag("--hidden", hidden, "").group("");
  program.root().add_command("inspect", "").add_option("MODEL", model, "").required();
  arguments.insert(arguments.begin(), "program");
  try {
    program.run(static_cast<int>(arguments.size()), arguments.data(), {});
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::kInternal, "no mistake");
}

TEST(UsageError, SaysWhatWasMeant) {
  EXPECT_STREQ(mistake({"rnu"}).what(),
               "\"rnu\" is no command; did you mean run? see `program --help`");
  EXPECT_STREQ(mistake({"run", "--thread=3"}).what(),
               "there is no option --thread=3; did you mean --threads? see `program run --help`");
  EXPECT_STREQ(mistake({"run", "--hiden"}).what(),
               "there is no option --hiden; see `program run --help`");
  EXPECT_EQ(mistake({"run", "--threads", "x"}).hint(), "see `program run --help`");
  EXPECT_STREQ(mistake({"inspect"}).what(), "MODEL is missing; see `program inspect --help`");
  EXPECT_STREQ(mistake({"inspect", "a", "b"}).what(),
               "\"b\" is one argument too many; a text of several words is quoted; see `program "
               "inspect --help`");
  EXPECT_EQ(mistake({}).code(), ErrorCode::kUsage);
  EXPECT_EQ(mistake({"inspect", "a"}).code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace pajamas::cli
