#include "paths.h"

namespace pajamas {

std::string source_dir() { return PAJAMAS_SOURCE_DIR; }
std::string binary_dir() { return PAJAMAS_BINARY_DIR; }

}  // namespace pajamas
