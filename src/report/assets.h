// What every page holds: Chart.js (MIT, its notice is in its first lines), which draws the charts,
// and our script and style. Embedded when the program is built.
#pragma once

#include <string_view>

namespace pajamas::report {

std::string_view chart_library() noexcept;
std::string_view page_script() noexcept;
std::string_view page_style() noexcept;

}  // namespace pajamas::report
