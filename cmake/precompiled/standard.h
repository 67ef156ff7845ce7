// What nearly every source includes anyway, parsed once a build (PAJAMAS_PRECOMPILED). Sources still
// include what they use: a build with PAJAMAS_PRECOMPILED=OFF (tools/nightly.sh) finds who does not.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>
