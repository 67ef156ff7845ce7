// The registration: every format of GGUF blocks, by which everything that is compiled once a format
// is made.
#pragma once

#include "codec/formats/iq1_m.h"
#include "codec/formats/iq1_s.h"
#include "codec/formats/iq2_s.h"
#include "codec/formats/iq2_xs.h"
#include "codec/formats/iq2_xxs.h"
#include "codec/formats/iq3_s.h"
#include "codec/formats/iq3_xxs.h"
#include "codec/formats/iq4_nl.h"
#include "codec/formats/iq4_xs.h"
#include "codec/formats/mxfp4.h"
#include "codec/formats/nvfp4.h"
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
#include "codec/formats/tq1_0.h"
#include "codec/formats/tq2_0.h"

namespace pajamas::codec {

template <class... F>
struct FormatList {
  static_assert(((sizeof(typename F::Block) == info(F::kFormat.type).block_bytes) && ...));
  static_assert(((F::kFormat.grid.block == info(F::kFormat.type).block_elems) && ...));
  static_assert(((F::kFormat.grid.book.is_vectors() == (F::kFormat.grid.book.halves != nullptr)) &&
                 ...));
};

template <class... A, class... B>
consteval FormatList<A..., B...> joined(FormatList<A...>, FormatList<B...>) {
  return {};
}

// Those whose float products kernels/ compiles from the layout, straight from storage; the others
// are decoded first.
using FloatFormats =
    FormatList<Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Mxfp4, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL>;
// Likewise of whole-number products; the others are unpacked first (kernels/int8_buffered.inl).
using WholeNumberFormats = decltype(joined(FloatFormats{}, FormatList<IQ4_XS>{}));
using UnpackedFormats =
    FormatList<IQ3_S, IQ3_XXS, IQ2_S, IQ2_XS, IQ2_XXS, IQ1_M, IQ1_S, TQ2_0, TQ1_0>;
using BlockFormats = decltype(joined(WholeNumberFormats{}, UnpackedFormats{}));

}  // namespace pajamas::codec
