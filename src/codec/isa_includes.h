// Everything that codec/rows.inl uses, included before an instruction set is chosen: inline
// functions of these headers may be shared by all translation units and stay baseline code.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "codec/fitted.h"
#include "codec/format.h"
#include "codec/formats.h"
#include "codec/fp8.h"
#include "tensor/affine.h"
#include "tensor/convert.h"
#include "tensor/encoding.h"
