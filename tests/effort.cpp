#include "effort.h"

#include <cstdlib>
#include <string_view>

namespace pajamas {

bool thorough() {
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__x86_64__)
  const char* asked = std::getenv("PAJAMAS_THOROUGH");
  return asked != nullptr && std::string_view(asked) == "1";
#else
  return true;
#endif
}

}  // namespace pajamas
