// Recognising what is often found in the place of a model file.
#pragma once

#include "base/file.h"

namespace pajamas::io {

// Throws Error{kCorruptFile} that names what the file is where it starts as a Git LFS pointer, a
// web page or a PyTorch archive does. Returns otherwise, whatever the file holds.
void refuse_foreign(const File& file);

}  // namespace pajamas::io
