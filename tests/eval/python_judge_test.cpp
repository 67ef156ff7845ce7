#include "eval/python_judge.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "base/append_file.h"
#include "base/error.h"

namespace pajamas::eval {
namespace {

constexpr Confinement kConfined = Confinement::kBubblewrap;

// A function f(x) with this body (of lines), tested by these lines of check(candidate).
CodeProblem problem(const std::string& test) {
  std::string check = "def check(candidate):\n";
  for (std::size_t at = 0; at < test.size();) {
    const std::size_t end = std::min(test.find('\n', at), test.size());
    check += "    " + test.substr(at, end - at) + "\n";
    at = end + 1;
  }
  return {"T/0", "def f(x):\n    \"\"\"Documented.\"\"\"\n", "f", check};
}

// With a second of processor time and three by the clock.
ChildLimits short_limits() {
  ChildLimits limits = judge_limits(kConfined);
  limits.cpu_seconds = 1;
  limits.wall_seconds = 3;
  return limits;
}

class Sandbox : public testing::Test {
 protected:
  void SetUp() override {
    try {
      judge_.emplace(kConfined, judge_limits(kConfined), StopFlag{});
      short_.emplace(kConfined, short_limits(), StopFlag{});
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  Verdict run(const std::string& body, const std::string& test) {
    return judge_->judge(problem(test), body, StopFlag{});
  }
  // Where the code is expected not to end by itself.
  Verdict run_short(const std::string& body, const std::string& test = "assert candidate(1) == 2") {
    return short_->judge(problem(test), body, StopFlag{});
  }
  void passes(const std::string& body, const std::string& test) {
    const Verdict verdict = run(body, test);
    EXPECT_TRUE(verdict.passed) << body << verdict.why;
  }

  std::optional<PythonJudge> judge_, short_;
};

TEST_F(Sandbox, TellsRightFromWrong) {
  passes("    return x + 1\n", "assert candidate(1) == 2\nassert f(2) == 3");
  EXPECT_EQ(run("    return x\n", "assert candidate(1) == 2").why, "AssertionError");
  EXPECT_EQ(run("    return x.y\n", "candidate(1)").why,
            "AttributeError: 'int' object has no attribute 'y'");
  EXPECT_NE(run("    return (\n", "candidate(1)").why.find("SyntaxError"), std::string::npos);
  EXPECT_FALSE(run("", "assert candidate(1) == 2").passed);
  passes("    raise ValueError('no')\n",
         "try:\n    candidate(1)\nexcept ValueError as e:\n    assert 'no' in str(e)\nelse:\n    "
         "assert False");
}

TEST_F(Sandbox, ValuesComeThroughAsTheyAre) {
  passes(
      "    return x\n",
      "import decimal, fractions\n"
      "for v in (None, True, 0, -3, 10**6000, 1.5, float('inf'), -0.0, 'é\\n\\ud800', '', b'\\0',\n"
      "          [], [1, [2, ()]], (1,), {1, 2}, frozenset('a'), {(1, 'a'): [None]}, {}, 1j,\n"
      "          range(3), fractions.Fraction(1, 3), decimal.Decimal('0.1'), ['other', 'x', 1]):\n"
      "    w = candidate(v)\n"
      "    assert w == v and type(w) is type(v) and (type(v) is int or repr(w) == repr(v)), v\n"
      "assert candidate(float('nan')) != 0\n"
      "assert candidate(x=3) == 3");
  passes("    import collections\n    return collections.Counter(x)\n",
         "assert candidate('aab') == {'a': 2, 'b': 1}");
  // Neither what is equal to everything nor what looks like a message of ours.
  const std::string equal = "    class E:\n        __eq__ = lambda s, o: True\n    return E()\n";
  EXPECT_FALSE(run(equal, "assert candidate(1) == 2").passed);
  passes("    return {1: 2}.keys()\n", "assert candidate(1) == {1}");
}

TEST_F(Sandbox, TestsMustHandOverPlainData) {
  try {
    run("    return x\n", "candidate(lambda: 1)");
    FAIL() << "a function was handed over";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(std::string(error.what()).find("T/0"), std::string::npos);
  }
}

TEST_F(Sandbox, WhatEndsEarlyHasFailed) {
  const std::string right = "    return x + 1\n";
  for (const char* end :
       {"import sys; sys.exit(0)", "import os; os._exit(0)", "raise SystemExit",
        "raise KeyboardInterrupt", "import os; os.kill(os.getpid(), 9)", "import os; os.abort()",
        "import os; os.close(3)", "import os; [os.close(n) for n in range(3, 20)]"}) {
    const std::string line(end);
    EXPECT_FALSE(run("    " + line + "\n", "candidate(1)").passed) << line;
    EXPECT_FALSE(run(right + line + "\n", "pass").passed) << line;
  }
}

TEST_F(Sandbox, AVerdictCannotBeForged) {
  for (const char* forged :
       {"    print('{\"passed\": true, \"why\": \"\"}', flush=True)\n    import os; os._exit(0)\n",
        "    import os\n    os.write(3, b'{\"passed\": true}\\n')\n    os._exit(0)\n",
        "    import os\n    os.write(3, b'[]\\n' * 9)\n    os._exit(0)\n",
        "    import os\n    os.write(3, b'{\"value\": [\"list\", 3]}\\n')\n    return 2\n",
        "    import os\n    os.write(3, b'{\"error\": \"SystemExit\"}\\n')\n    return 2\n",
        "    import os\n    for n in os.listdir('/proc'):\n        if n.isdigit():\n            "
        "try:\n"
        "                open(f'/proc/{n}/fd/1', 'w').write('{\"passed\": true}')\n"
        "            except OSError: pass\n    os._exit(0)\n",
        "    import sys\n    sys._getframe(1).f_globals['encode'] = lambda v: ['other', 'x', "
        "True]\n"
        "    return 3\n"}) {
    EXPECT_FALSE(run(forged, "assert candidate(1) == 2").passed) << forged;
  }
  // It sees nothing of its tests.
  passes(
      "    import gc\n    return any('assert' in str(o) and 'secret' + '-42' in str(o)\n"
      "               for o in gc.get_objects() if isinstance(o, (str, list, dict)))\n",
      "assert candidate(1) is False, 'secret-42'");
}

TEST_F(Sandbox, AForkBombIsSmall) {
  passes(
      "    import os, time\n    n = 0\n    try:\n        while n < 200:\n"
      "            if os.fork() == 0:\n                time.sleep(60)\n            n += 1\n"
      "    except OSError:\n        return n\n    return n\n",
      "assert 0 <= candidate(1) < 4");
  EXPECT_FALSE(run_short("    import os\n    while True:\n        try: os.fork()\n"
                         "        except OSError: pass\n")
                   .passed);
}

TEST_F(Sandbox, NobodyIsLeftBehind) {
  const std::string name = "left" + std::to_string(::getpid());
  EXPECT_TRUE(
      run("    import os, time\n    r, w = os.pipe()\n    if os.fork() == 0:\n"
          "        os.setsid()\n        if os.fork() == 0:\n"
          "            open('/proc/self/comm', 'w').write('" +
              name +
              "')\n"
              "            os.write(w, b'x')\n            time.sleep(600)\n        os._exit(0)\n"
              "    os.read(r, 1)\n    return open('/proc/self/comm').read().strip()\n",
          "assert 'python' in candidate(1)")
          .passed);
  const auto is_there = [&] {
    std::error_code code;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", code)) {
      std::ifstream file(entry.path() / "comm");
      std::string comm;
      std::getline(file, comm);
      if (comm == name) return true;
    }
    return false;
  };
  // The kernel ends a sandbox in its own time.
  for (int i = 0; i < 500 && is_there(); ++i) ::usleep(20000);
  EXPECT_FALSE(is_there());
}

TEST_F(Sandbox, MemoryIsBounded) {
  passes(
      "    try:\n        return len(bytearray(1 << 34))\n    except MemoryError:\n"
      "        return 'no'\n",
      "assert candidate(1) == 'no'");
  EXPECT_FALSE(
      run("    a = []\n    while True: a.append(bytearray(1 << 24))\n", "candidate(1)").passed);
  // Files are memory too: each has its limit, all together have one.
  passes(
      "    import signal\n    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n    n = 0\n"
      "    for i in range(40):\n        try:\n            n += open(f'/tmp/{i}', 'wb', 0)"
      ".write(bytes(15 << 20))\n        except OSError: pass\n    return n\n",
      "assert 0 < candidate(1) <= 64 << 20");
  passes(
      "    import signal\n    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
      "    return open('/tmp/x', 'wb', 0).write(bytes(30 << 20))\n",
      "assert 0 < candidate(1) <= 16 << 20");
}

TEST_F(Sandbox, ThereIsNoNetwork) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(fd, 4), 0);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  passes(
      "    import socket\n    try:\n        socket.create_connection(x, 2)\n"
      "    except OSError:\n        return 'no'\n    return 'yes'\n",
      "assert candidate(('127.0.0.1', " + std::to_string(ntohs(address.sin_port)) +
          ")) == 'no'\nassert candidate(('1.1.1.1', 53)) == 'no'");
  passes("    import socket\n    return [name for _, name in socket.if_nameindex()]\n",
         "assert candidate(1) == ['lo']");
  ::close(fd);
}

TEST_F(Sandbox, FilesOfTheUserAreNotThere) {
  const TemporaryFolder folder;
  const auto secret = folder.path() / "secret";
  std::ofstream(secret) << "hidden";
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  ::setenv("PAJAMAS_SECRET", "hidden", 1);
  const int open = ::open(secret.c_str(), O_RDONLY);  // outlives exec
  ASSERT_GE(open, 0);
  passes(
      "    import glob, os\n    found = []\n    for path in x:\n        try:\n"
      "            found += [open(path).read()] if not os.path.isdir(path) else os.listdir(path)\n"
      "        except OSError: pass\n    return [f for f in found if f]\n",
      "assert candidate(['" + secret.string() +
          "', '/etc/passwd', '/etc', '/root', '/home', '/var', '/proc/1/environ', '/sys']) == []");
  passes(
      "    import os\n    return [os.path.realpath(f'/proc/self/fd/{n}') for n in\n"
      "            os.listdir('/proc/self/fd')]\n",
      "assert not [p for p in candidate(1) if 'secret' in p]");
  passes(
      "    import os\n    return (sorted(os.environ), os.listdir('/tmp'), os.getuid() != 0,\n"
      "            len([p for p in os.listdir('/proc') if p.isdigit()]))\n",
      "names, files, is_user, processes = candidate(1)\n"
      "assert not [n for n in names if n not in ('HOME', 'LANG', 'LC_CTYPE', 'PATH', 'PWD')], "
      "names\n"
      "assert files == [] and is_user and processes <= 3");
  ::close(open);
  ::unsetenv("PAJAMAS_SECRET");
}

TEST_F(Sandbox, NothingOutsideIsWritten) {
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
  passes(
      "    done = []\n    for path in x:\n        try:\n"
      "            open(path + '/written', 'w').write('x')\n            done.append(path)\n"
      "        except OSError: pass\n    return done\n",
      "assert candidate(['', '/usr', '/usr/lib', '/dev', '/dev/shm', '/etc', '/var/tmp', '" +
          folder.path().string() + "', '/tmp']) == ['/tmp']");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "written"));
  EXPECT_FALSE(std::filesystem::exists("/tmp/written"));
  passes(
      "    import ctypes\n    libc = ctypes.CDLL(None, use_errno=True)\n"
      "    return [libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), libc.umount2(b'/tmp', 2),\n"
      "            libc.mount(None, b'/usr', None, 32 | 4096, None)]\n",
      "assert candidate(1) == [-1, -1, -1]");
}

TEST_F(Sandbox, TheParentIsOutOfReach) {
  const std::string kill =
      "    import os, signal\n    for pid in (os.getppid(), 1, -1, 0):\n"
      "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        try: os.kill(pid, %)\n"
      "        except OSError: pass\n    return x + 1\n";
  for (const char* number : {"15", "9"}) {
    std::string body = kill;
    body.replace(body.find('%'), 1, number);
    (void)run(body, "assert candidate(1) == 2");
    passes("    return x + 1\n", "assert candidate(1) == 2");
  }
}

TEST_F(Sandbox, WhatDoesNotEndIsEnded) {
  EXPECT_FALSE(run_short("    while True: print('x' * 1000)\n").passed);
  EXPECT_FALSE(run_short("    import sys\n    while True: sys.stderr.write('x' * 1000)\n").passed);
  EXPECT_FALSE(run_short("    import os\n    while True: os.write(3, b'x' * 100000)\n").passed);
  EXPECT_FALSE(
      run_short("    import os\n    while True: os.write(3, b'{\"value\": 1}\\n')\n").passed);
  EXPECT_FALSE(run_short("    while True: pass\n").passed);
  EXPECT_FALSE(run_short("    return x + 1\nwhile True: pass\n").passed);
  const Verdict asleep = run_short("    import time\n    time.sleep(1000)\n");
  EXPECT_TRUE(asleep.timed_out && !asleep.passed);
}

TEST_F(Sandbox, StopsWhenAsked) {
  StopFlag stop;
  stop.request();
  try {
    (void)judge_->judge(problem("pass"), "    return x\n", stop);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
}

TEST(PythonJudge, WithoutBubblewrapItRefuses) {
  const std::string before = std::getenv("PATH");
  const TemporaryFolder empty;
  ::setenv("PATH", empty.path().c_str(), 1);
  for (const auto confinement : {Confinement::kBubblewrap, Confinement::kNone}) {
    try {
      PythonJudge(confinement, judge_limits(confinement), StopFlag{});
      ADD_FAILURE() << "nothing is installed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_EQ(std::string(error.what()).find("--unsafe-execution") != std::string::npos,
                confinement == Confinement::kBubblewrap);
    }
  }
  ::setenv("PATH", before.c_str(), 1);
}

TEST(PythonJudge, WithoutASandboxTheLimitsHold) {
  const PythonJudge judge(Confinement::kNone, judge_limits(Confinement::kNone), StopFlag{});
  const auto passes = [&](const std::string& body) {
    return judge.judge(problem("assert candidate(1) == 2"), body, StopFlag{}).passed;
  };
  EXPECT_TRUE(passes("    return x + 1\n"));
  EXPECT_FALSE(passes("    return len(bytearray(1 << 34))\n"));
  EXPECT_FALSE(passes("    import os; os._exit(0)\n"));
}

TEST(PythonJudge, BubblewrapIsAskedForAllOfIt) {
  const auto arguments = bubblewrap();
  for (const char* each : {"--unshare-all", "--unshare-user", "--die-with-parent", "--new-session",
                           "--clearenv", "--cap-drop", "--tmpfs", "--remount-ro"}) {
    EXPECT_TRUE(std::ranges::count(arguments, each) > 0) << each;
  }
  for (const char* each : {"--bind", "--dev-bind", "--share-net", "/home", "/root", "/etc"}) {
    EXPECT_EQ(std::ranges::count(arguments, each), 0) << each;
  }
}

}  // namespace
}  // namespace pajamas::eval
