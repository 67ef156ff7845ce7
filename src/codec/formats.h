// The registration: every format of GGUF blocks, by which everything that is compiled once a format
// is made.
#pragma once

#include "codec/formats/iq4_nl.h"
#include "codec/formats/mxfp4.h"
#include "codec/formats/q2_k.h"
#include "codec/formats/q3_k.h"
#include "codec/formats/q4_0.h"
#include "codec/formats/q4_1.h"
#include "codec/formats/q4_k.h"
#include "codec/formats/q5_0.h"
#include "codec/formats/q5_1.h"
#include "codec/formats/q5_k.h"
#include "codec/formats/q6_k.h"
#include "codec/formats/q8_0.h"

namespace pajamas::codec {

template <class... F>
struct FormatList {
  static_assert(((sizeof(typename F::Block) == info(F::kFormat.type).block_bytes) && ...));
  static_assert(((F::kFormat.grid.block == info(F::kFormat.type).block_elems) && ...));
};

using BlockFormats =
    FormatList<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Mxfp4, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL>;

}  // namespace pajamas::codec
