// Where the tests find what they read. Functions of a source of its own, so that no other object
// holds the path of a checkout, and the compiler's cache serves them all.
#pragma once

#include <string>

namespace pajamas {

std::string source_dir();
std::string binary_dir();

}  // namespace pajamas
