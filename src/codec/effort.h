// How hard each format's scales are searched; more tries cost time in proportion. The searches
// themselves are codec/fit_*.inl.
#pragma once

namespace pajamas::codec {

// Which codes the extreme weight is tried at: first, first + step, ... (or first, first * step,
// ...) on both sides of zero where the range of codes is lopsided.
struct SymmetricSearch {
  float first = 0, step = 0;
  int count = 0;
  bool both_signs = false;
  int refinements = 0;
  bool grows = false;
};

// First the codes are laid over the whole range of weights, shrunk at both ends to `first` of it,
// then by shrink_step more each time. From there the search walks: it moves both ends of the best
// fit so far at random, by up to `radius` steps, at the end by last_radius. Which weights happen to
// lie near a code decides as much as how many are clipped, so where it goes matters little and how
// often it tries matters most.
struct AffineSearch {
  float first = 1, shrink_step = 0;
  int ranges = 0;
  bool single_ends = false;  // shrink every other range at one end alone too
  int walks = 0;             // an even number
  float radius = 1, last_radius = 0.5f;
  bool offset_not_positive = false;  // K-quants can only subtract a minimum
  int neighbours = 0;  // storable steps tried on both sides, where a group stores its own
};

struct BlockSearch {
  int starts = 0;    // how many values of d are tried from the outset
  float spread = 0;  // ... this far apart, relatively
  int rounds = 0;    // of refitting d and searching again
  int reach = 0;     // stored scales tried on either side
};

// Which steps' phases are looked at before the walk, and what is then tried in full.
struct PhaseSearch {
  float narrowest = 0, widest = 0;  // steps, relative to the one that spans the range
  int steps = 0;                    // 0: no phases, or up to kMostPhases
  int turns = 0;  // offsets a whole step apart on both sides of the one that centres the codes
  int tries = 0;  // of the most promising, Shortlist::kMost at most
};

// The same where steps cannot be chosen so finely: `below` places under the start, `steps` in all.
struct PairSearch {
  int below = 0, steps = 0, turns = 0, tries = 0;
  // Where most weights are 0: under how many steps how many codes on both sides are laid on it.
  int sparse_steps = 0, sparse_codes = 0;
};

// Vectors: `steps` steps (at most 16) from `first` of a group's root mean square on, each `ratio`
// times the one before it, the last one for weights that are all alike. Where there is a `top`, and
// the step of which the largest weight is so many lies outside of these, it takes the place of the
// last but one: a column that matters far more than others makes the root mean square its own.
// Under each the nearest entries of the whole book, or where codes are shifted (IQ1) the nearest
// levels, which are cheap. Then four (IQ1: two) around the best, `fine` apart, with entries.
// Then `below` + 1 + `above` values of d, `spread` apart, around the one that gives the group with
// the largest step the largest scale.
struct VectorSearch {
  int steps = 4;  // a multiple of 4: the book is searched under four at a time
  float first = 0, ratio = 1, fine = 0;
  int below = 0, above = 0;
  float spread = 0;
  float top = 0;
};

struct Effort {
  SymmetricSearch symmetric{};
  AffineSearch affine{};
  BlockSearch block{};
  PhaseSearch phases{};  // of a group that stores its own step and offset
  PairSearch pairs{};    // for those that choose from few
  VectorSearch vectors{};
};

}  // namespace pajamas::codec
