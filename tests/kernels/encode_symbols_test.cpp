// Code for one instruction set must not leak into functions that other translation units share:
// the linker keeps one copy of each weak symbol, and it might be the one an older processor cannot
// run. So the weak functions of those objects hold baseline code only, and the strong symbols are
// the tables alone.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "paths.h"

namespace pajamas::kernels {
namespace {

const std::string kObjects = binary_dir() + "/src/CMakeFiles/pajamas_kernels.dir/kernels/x86/";

std::string output_of(const std::string& command) {
  struct Close {
    void operator()(std::FILE* pipe) const { pclose(pipe); }
  };
  const std::unique_ptr<std::FILE, Close> pipe(popen(command.c_str(), "r"));
  std::string text;
  char buffer[4096];
  for (std::size_t n; pipe && (n = std::fread(buffer, 1, sizeof(buffer), pipe.get())) > 0;) {
    text.append(buffer, n);
  }
  return text;
}

struct Symbols {
  std::set<std::string> weak_functions, strong;
};

Symbols symbols_of(const std::string& object) {
  Symbols symbols;
  std::istringstream lines(output_of("nm --defined-only '" + object + "'"));
  std::string address, kind, name;
  while (lines >> address >> kind >> name) {
    if (kind == "W") symbols.weak_functions.insert(name);
    if (kind == "T" || kind == "D" || kind == "B") symbols.strong.insert(name);
  }
  return symbols;
}

// Functions with an instruction that baseline x86-64 lacks; objdump names them "<symbol>:".
std::set<std::string> functions_with_vex(const std::string& object) {
  std::set<std::string> found;
  std::istringstream lines(output_of("objdump -d --no-show-raw-insn '" + object + "'"));
  std::string line, function;
  while (std::getline(lines, line)) {
    if (!line.empty() && line.back() == ':' && line.find('<') != std::string::npos) {
      const std::size_t from = line.find('<') + 1;
      function = line.substr(from, line.rfind('>') - from);
      continue;
    }
    const std::size_t tab = line.find('\t');
    if (tab != std::string::npos && (line[tab + 1] == 'v' || line.find("%k1") != line.npos)) {
      found.insert(function);
    }
  }
  return found;
}

TEST(EncodeSymbols, SharedFunctionsAreBaselineCode) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "no x86 kernels in this build";
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers add symbols of their own";
#endif
  if (output_of("objdump --version").empty()) GTEST_SKIP() << "binutils is not installed";
  for (const std::string name :
       {"avx2", "avx512", "int8_avx2", "int8_avx512", "math_avx2", "math_avx512"}) {
    const std::string object = kObjects + name + ".cpp.o";
    const Symbols symbols = symbols_of(object);
    ASSERT_EQ(symbols.strong.size(), 1u) << object << ": the table and nothing else";
    const char* table = name.starts_with("int8")   ? "Int8"
                        : name.starts_with("math") ? "Math"
                                                   : "Table";
    EXPECT_NE(symbols.strong.begin()->find(table), std::string::npos) << *symbols.strong.begin();
    const std::set<std::string> wide = functions_with_vex(object);
    EXPECT_GT(wide.size(), 1u) << "the check itself finds nothing";
    for (const std::string& function : wide) {
      EXPECT_FALSE(symbols.weak_functions.contains(function)) << object << ": " << function;
    }
  }
}

}  // namespace
}  // namespace pajamas::kernels
