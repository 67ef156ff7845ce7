#include "base/place.h"

#include "base/error.h"

namespace pajamas {

std::string place_of(const std::filesystem::path& path) { return printable(path.native(), 300); }

}  // namespace pajamas
