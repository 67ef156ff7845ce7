// Case and number properties of Python's str that utf8proc does not have.
// Made by tools/make_casing_tables.py (Unicode 14.0.0); do not edit.
#include "jinja/casing.h"

#include <algorithm>
#include <iterator>

namespace pajamas::jinja {
namespace {

struct CaseRange {
  char32_t low, high;
};
struct Mapping {
  char32_t from;
  std::string_view to;
};

// clang-format off
constexpr CaseRange kOtherLower[] = {
    {0xAA, 0xAA}, {0xBA, 0xBA}, {0x2B0, 0x2B8}, {0x2C0, 0x2C1}, {0x2E0, 0x2E4}, {0x345, 0x345},
    {0x37A, 0x37A}, {0x1D2C, 0x1D6A}, {0x1D78, 0x1D78}, {0x1D9B, 0x1DBF}, {0x2071, 0x2071},
    {0x207F, 0x207F}, {0x2090, 0x209C}, {0x2170, 0x217F}, {0x24D0, 0x24E9}, {0x2C7C, 0x2C7D},
    {0xA69C, 0xA69D}, {0xA770, 0xA770}, {0xA7F8, 0xA7F9}, {0xAB5C, 0xAB5F}, {0x10780, 0x10780},
    {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA},
};

constexpr CaseRange kOtherUpper[] = {
    {0x2160, 0x216F}, {0x24B6, 0x24CF}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
    {0x1F170, 0x1F189},
};

constexpr CaseRange kDigits[] = {
    {0xB2, 0xB3}, {0xB9, 0xB9}, {0x1369, 0x1371}, {0x19DA, 0x19DA}, {0x2070, 0x2070},
    {0x2074, 0x2079}, {0x2080, 0x2089}, {0x2460, 0x2468}, {0x2474, 0x247C}, {0x2488, 0x2490},
    {0x24EA, 0x24EA}, {0x24F5, 0x24FD}, {0x24FF, 0x24FF}, {0x2776, 0x277E}, {0x2780, 0x2788},
    {0x278A, 0x2792}, {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A},
    {0x1F100, 0x1F10A},
};

constexpr CaseRange kNumeric[] = {
    {0x3405, 0x3405}, {0x3483, 0x3483}, {0x382A, 0x382A}, {0x3B4D, 0x3B4D}, {0x4E00, 0x4E00},
    {0x4E03, 0x4E03}, {0x4E07, 0x4E07}, {0x4E09, 0x4E09}, {0x4E5D, 0x4E5D}, {0x4E8C, 0x4E8C},
    {0x4E94, 0x4E94}, {0x4E96, 0x4E96}, {0x4EBF, 0x4EC0}, {0x4EDF, 0x4EDF}, {0x4EE8, 0x4EE8},
    {0x4F0D, 0x4F0D}, {0x4F70, 0x4F70}, {0x5104, 0x5104}, {0x5146, 0x5146}, {0x5169, 0x5169},
    {0x516B, 0x516B}, {0x516D, 0x516D}, {0x5341, 0x5341}, {0x5343, 0x5345}, {0x534C, 0x534C},
    {0x53C1, 0x53C4}, {0x56DB, 0x56DB}, {0x58F1, 0x58F1}, {0x58F9, 0x58F9}, {0x5E7A, 0x5E7A},
    {0x5EFE, 0x5EFF}, {0x5F0C, 0x5F0E}, {0x5F10, 0x5F10}, {0x62FE, 0x62FE}, {0x634C, 0x634C},
    {0x67D2, 0x67D2}, {0x6F06, 0x6F06}, {0x7396, 0x7396}, {0x767E, 0x767E}, {0x8086, 0x8086},
    {0x842C, 0x842C}, {0x8CAE, 0x8CAE}, {0x8CB3, 0x8CB3}, {0x8D30, 0x8D30}, {0x9621, 0x9621},
    {0x9646, 0x9646}, {0x964C, 0x964C}, {0x9678, 0x9678}, {0x96F6, 0x96F6}, {0xF96B, 0xF96B},
    {0xF973, 0xF973}, {0xF978, 0xF978}, {0xF9B2, 0xF9B2}, {0xF9D1, 0xF9D1}, {0xF9D3, 0xF9D3},
    {0xF9FD, 0xF9FD}, {0x20001, 0x20001}, {0x20064, 0x20064}, {0x200E2, 0x200E2},
    {0x20121, 0x20121}, {0x2092A, 0x2092A}, {0x20983, 0x20983}, {0x2098C, 0x2098C},
    {0x2099C, 0x2099C}, {0x20AEA, 0x20AEA}, {0x20AFD, 0x20AFD}, {0x20B19, 0x20B19},
    {0x22390, 0x22390}, {0x22998, 0x22998}, {0x23B1B, 0x23B1B}, {0x2626D, 0x2626D},
    {0x2F890, 0x2F890},
};

constexpr Mapping kUpper[] = {
    {0xDF, "\x53\x53"}, {0x149, "\xca\xbc\x4e"}, {0x1F0, "\x4a\xcc\x8c"},
    {0x390, "\xce\x99\xcc\x88\xcc\x81"}, {0x3B0, "\xce\xa5\xcc\x88\xcc\x81"},
    {0x587, "\xd4\xb5\xd5\x92"}, {0x1E96, "\x48\xcc\xb1"}, {0x1E97, "\x54\xcc\x88"},
    {0x1E98, "\x57\xcc\x8a"}, {0x1E99, "\x59\xcc\x8a"}, {0x1E9A, "\x41\xca\xbe"},
    {0x1F50, "\xce\xa5\xcc\x93"}, {0x1F52, "\xce\xa5\xcc\x93\xcc\x80"},
    {0x1F54, "\xce\xa5\xcc\x93\xcc\x81"}, {0x1F56, "\xce\xa5\xcc\x93\xcd\x82"},
    {0x1F80, "\xe1\xbc\x88\xce\x99"}, {0x1F81, "\xe1\xbc\x89\xce\x99"},
    {0x1F82, "\xe1\xbc\x8a\xce\x99"}, {0x1F83, "\xe1\xbc\x8b\xce\x99"},
    {0x1F84, "\xe1\xbc\x8c\xce\x99"}, {0x1F85, "\xe1\xbc\x8d\xce\x99"},
    {0x1F86, "\xe1\xbc\x8e\xce\x99"}, {0x1F87, "\xe1\xbc\x8f\xce\x99"},
    {0x1F88, "\xe1\xbc\x88\xce\x99"}, {0x1F89, "\xe1\xbc\x89\xce\x99"},
    {0x1F8A, "\xe1\xbc\x8a\xce\x99"}, {0x1F8B, "\xe1\xbc\x8b\xce\x99"},
    {0x1F8C, "\xe1\xbc\x8c\xce\x99"}, {0x1F8D, "\xe1\xbc\x8d\xce\x99"},
    {0x1F8E, "\xe1\xbc\x8e\xce\x99"}, {0x1F8F, "\xe1\xbc\x8f\xce\x99"},
    {0x1F90, "\xe1\xbc\xa8\xce\x99"}, {0x1F91, "\xe1\xbc\xa9\xce\x99"},
    {0x1F92, "\xe1\xbc\xaa\xce\x99"}, {0x1F93, "\xe1\xbc\xab\xce\x99"},
    {0x1F94, "\xe1\xbc\xac\xce\x99"}, {0x1F95, "\xe1\xbc\xad\xce\x99"},
    {0x1F96, "\xe1\xbc\xae\xce\x99"}, {0x1F97, "\xe1\xbc\xaf\xce\x99"},
    {0x1F98, "\xe1\xbc\xa8\xce\x99"}, {0x1F99, "\xe1\xbc\xa9\xce\x99"},
    {0x1F9A, "\xe1\xbc\xaa\xce\x99"}, {0x1F9B, "\xe1\xbc\xab\xce\x99"},
    {0x1F9C, "\xe1\xbc\xac\xce\x99"}, {0x1F9D, "\xe1\xbc\xad\xce\x99"},
    {0x1F9E, "\xe1\xbc\xae\xce\x99"}, {0x1F9F, "\xe1\xbc\xaf\xce\x99"},
    {0x1FA0, "\xe1\xbd\xa8\xce\x99"}, {0x1FA1, "\xe1\xbd\xa9\xce\x99"},
    {0x1FA2, "\xe1\xbd\xaa\xce\x99"}, {0x1FA3, "\xe1\xbd\xab\xce\x99"},
    {0x1FA4, "\xe1\xbd\xac\xce\x99"}, {0x1FA5, "\xe1\xbd\xad\xce\x99"},
    {0x1FA6, "\xe1\xbd\xae\xce\x99"}, {0x1FA7, "\xe1\xbd\xaf\xce\x99"},
    {0x1FA8, "\xe1\xbd\xa8\xce\x99"}, {0x1FA9, "\xe1\xbd\xa9\xce\x99"},
    {0x1FAA, "\xe1\xbd\xaa\xce\x99"}, {0x1FAB, "\xe1\xbd\xab\xce\x99"},
    {0x1FAC, "\xe1\xbd\xac\xce\x99"}, {0x1FAD, "\xe1\xbd\xad\xce\x99"},
    {0x1FAE, "\xe1\xbd\xae\xce\x99"}, {0x1FAF, "\xe1\xbd\xaf\xce\x99"},
    {0x1FB2, "\xe1\xbe\xba\xce\x99"}, {0x1FB3, "\xce\x91\xce\x99"}, {0x1FB4, "\xce\x86\xce\x99"},
    {0x1FB6, "\xce\x91\xcd\x82"}, {0x1FB7, "\xce\x91\xcd\x82\xce\x99"},
    {0x1FBC, "\xce\x91\xce\x99"}, {0x1FC2, "\xe1\xbf\x8a\xce\x99"}, {0x1FC3, "\xce\x97\xce\x99"},
    {0x1FC4, "\xce\x89\xce\x99"}, {0x1FC6, "\xce\x97\xcd\x82"},
    {0x1FC7, "\xce\x97\xcd\x82\xce\x99"}, {0x1FCC, "\xce\x97\xce\x99"},
    {0x1FD2, "\xce\x99\xcc\x88\xcc\x80"}, {0x1FD3, "\xce\x99\xcc\x88\xcc\x81"},
    {0x1FD6, "\xce\x99\xcd\x82"}, {0x1FD7, "\xce\x99\xcc\x88\xcd\x82"},
    {0x1FE2, "\xce\xa5\xcc\x88\xcc\x80"}, {0x1FE3, "\xce\xa5\xcc\x88\xcc\x81"},
    {0x1FE4, "\xce\xa1\xcc\x93"}, {0x1FE6, "\xce\xa5\xcd\x82"},
    {0x1FE7, "\xce\xa5\xcc\x88\xcd\x82"}, {0x1FF2, "\xe1\xbf\xba\xce\x99"},
    {0x1FF3, "\xce\xa9\xce\x99"}, {0x1FF4, "\xce\x8f\xce\x99"}, {0x1FF6, "\xce\xa9\xcd\x82"},
    {0x1FF7, "\xce\xa9\xcd\x82\xce\x99"}, {0x1FFC, "\xce\xa9\xce\x99"}, {0xFB00, "\x46\x46"},
    {0xFB01, "\x46\x49"}, {0xFB02, "\x46\x4c"}, {0xFB03, "\x46\x46\x49"},
    {0xFB04, "\x46\x46\x4c"}, {0xFB05, "\x53\x54"}, {0xFB06, "\x53\x54"},
    {0xFB13, "\xd5\x84\xd5\x86"}, {0xFB14, "\xd5\x84\xd4\xb5"}, {0xFB15, "\xd5\x84\xd4\xbb"},
    {0xFB16, "\xd5\x8e\xd5\x86"}, {0xFB17, "\xd5\x84\xd4\xbd"},
};

constexpr Mapping kTitle[] = {
    {0xDF, "\x53\x73"}, {0x149, "\xca\xbc\x4e"}, {0x1F0, "\x4a\xcc\x8c"},
    {0x390, "\xce\x99\xcc\x88\xcc\x81"}, {0x3B0, "\xce\xa5\xcc\x88\xcc\x81"},
    {0x587, "\xd4\xb5\xd6\x82"}, {0x1E96, "\x48\xcc\xb1"}, {0x1E97, "\x54\xcc\x88"},
    {0x1E98, "\x57\xcc\x8a"}, {0x1E99, "\x59\xcc\x8a"}, {0x1E9A, "\x41\xca\xbe"},
    {0x1F50, "\xce\xa5\xcc\x93"}, {0x1F52, "\xce\xa5\xcc\x93\xcc\x80"},
    {0x1F54, "\xce\xa5\xcc\x93\xcc\x81"}, {0x1F56, "\xce\xa5\xcc\x93\xcd\x82"},
    {0x1FB2, "\xe1\xbe\xba\xcd\x85"}, {0x1FB4, "\xce\x86\xcd\x85"}, {0x1FB6, "\xce\x91\xcd\x82"},
    {0x1FB7, "\xce\x91\xcd\x82\xcd\x85"}, {0x1FC2, "\xe1\xbf\x8a\xcd\x85"},
    {0x1FC4, "\xce\x89\xcd\x85"}, {0x1FC6, "\xce\x97\xcd\x82"},
    {0x1FC7, "\xce\x97\xcd\x82\xcd\x85"}, {0x1FD2, "\xce\x99\xcc\x88\xcc\x80"},
    {0x1FD3, "\xce\x99\xcc\x88\xcc\x81"}, {0x1FD6, "\xce\x99\xcd\x82"},
    {0x1FD7, "\xce\x99\xcc\x88\xcd\x82"}, {0x1FE2, "\xce\xa5\xcc\x88\xcc\x80"},
    {0x1FE3, "\xce\xa5\xcc\x88\xcc\x81"}, {0x1FE4, "\xce\xa1\xcc\x93"},
    {0x1FE6, "\xce\xa5\xcd\x82"}, {0x1FE7, "\xce\xa5\xcc\x88\xcd\x82"},
    {0x1FF2, "\xe1\xbf\xba\xcd\x85"}, {0x1FF4, "\xce\x8f\xcd\x85"}, {0x1FF6, "\xce\xa9\xcd\x82"},
    {0x1FF7, "\xce\xa9\xcd\x82\xcd\x85"}, {0xFB00, "\x46\x66"}, {0xFB01, "\x46\x69"},
    {0xFB02, "\x46\x6c"}, {0xFB03, "\x46\x66\x69"}, {0xFB04, "\x46\x66\x6c"},
    {0xFB05, "\x53\x74"}, {0xFB06, "\x53\x74"}, {0xFB13, "\xd5\x84\xd5\xb6"},
    {0xFB14, "\xd5\x84\xd5\xa5"}, {0xFB15, "\xd5\x84\xd5\xab"}, {0xFB16, "\xd5\x8e\xd5\xb6"},
    {0xFB17, "\xd5\x84\xd5\xad"},
};

constexpr Mapping kFold[] = {
    {0xDF, "\x73\x73"}, {0x130, "\x69\xcc\x87"}, {0x149, "\xca\xbc\x6e"}, {0x1F0, "\x6a\xcc\x8c"},
    {0x390, "\xce\xb9\xcc\x88\xcc\x81"}, {0x3B0, "\xcf\x85\xcc\x88\xcc\x81"},
    {0x587, "\xd5\xa5\xd6\x82"}, {0x1E96, "\x68\xcc\xb1"}, {0x1E97, "\x74\xcc\x88"},
    {0x1E98, "\x77\xcc\x8a"}, {0x1E99, "\x79\xcc\x8a"}, {0x1E9A, "\x61\xca\xbe"},
    {0x1E9E, "\x73\x73"}, {0x1F50, "\xcf\x85\xcc\x93"}, {0x1F52, "\xcf\x85\xcc\x93\xcc\x80"},
    {0x1F54, "\xcf\x85\xcc\x93\xcc\x81"}, {0x1F56, "\xcf\x85\xcc\x93\xcd\x82"},
    {0x1F80, "\xe1\xbc\x80\xce\xb9"}, {0x1F81, "\xe1\xbc\x81\xce\xb9"},
    {0x1F82, "\xe1\xbc\x82\xce\xb9"}, {0x1F83, "\xe1\xbc\x83\xce\xb9"},
    {0x1F84, "\xe1\xbc\x84\xce\xb9"}, {0x1F85, "\xe1\xbc\x85\xce\xb9"},
    {0x1F86, "\xe1\xbc\x86\xce\xb9"}, {0x1F87, "\xe1\xbc\x87\xce\xb9"},
    {0x1F88, "\xe1\xbc\x80\xce\xb9"}, {0x1F89, "\xe1\xbc\x81\xce\xb9"},
    {0x1F8A, "\xe1\xbc\x82\xce\xb9"}, {0x1F8B, "\xe1\xbc\x83\xce\xb9"},
    {0x1F8C, "\xe1\xbc\x84\xce\xb9"}, {0x1F8D, "\xe1\xbc\x85\xce\xb9"},
    {0x1F8E, "\xe1\xbc\x86\xce\xb9"}, {0x1F8F, "\xe1\xbc\x87\xce\xb9"},
    {0x1F90, "\xe1\xbc\xa0\xce\xb9"}, {0x1F91, "\xe1\xbc\xa1\xce\xb9"},
    {0x1F92, "\xe1\xbc\xa2\xce\xb9"}, {0x1F93, "\xe1\xbc\xa3\xce\xb9"},
    {0x1F94, "\xe1\xbc\xa4\xce\xb9"}, {0x1F95, "\xe1\xbc\xa5\xce\xb9"},
    {0x1F96, "\xe1\xbc\xa6\xce\xb9"}, {0x1F97, "\xe1\xbc\xa7\xce\xb9"},
    {0x1F98, "\xe1\xbc\xa0\xce\xb9"}, {0x1F99, "\xe1\xbc\xa1\xce\xb9"},
    {0x1F9A, "\xe1\xbc\xa2\xce\xb9"}, {0x1F9B, "\xe1\xbc\xa3\xce\xb9"},
    {0x1F9C, "\xe1\xbc\xa4\xce\xb9"}, {0x1F9D, "\xe1\xbc\xa5\xce\xb9"},
    {0x1F9E, "\xe1\xbc\xa6\xce\xb9"}, {0x1F9F, "\xe1\xbc\xa7\xce\xb9"},
    {0x1FA0, "\xe1\xbd\xa0\xce\xb9"}, {0x1FA1, "\xe1\xbd\xa1\xce\xb9"},
    {0x1FA2, "\xe1\xbd\xa2\xce\xb9"}, {0x1FA3, "\xe1\xbd\xa3\xce\xb9"},
    {0x1FA4, "\xe1\xbd\xa4\xce\xb9"}, {0x1FA5, "\xe1\xbd\xa5\xce\xb9"},
    {0x1FA6, "\xe1\xbd\xa6\xce\xb9"}, {0x1FA7, "\xe1\xbd\xa7\xce\xb9"},
    {0x1FA8, "\xe1\xbd\xa0\xce\xb9"}, {0x1FA9, "\xe1\xbd\xa1\xce\xb9"},
    {0x1FAA, "\xe1\xbd\xa2\xce\xb9"}, {0x1FAB, "\xe1\xbd\xa3\xce\xb9"},
    {0x1FAC, "\xe1\xbd\xa4\xce\xb9"}, {0x1FAD, "\xe1\xbd\xa5\xce\xb9"},
    {0x1FAE, "\xe1\xbd\xa6\xce\xb9"}, {0x1FAF, "\xe1\xbd\xa7\xce\xb9"},
    {0x1FB2, "\xe1\xbd\xb0\xce\xb9"}, {0x1FB3, "\xce\xb1\xce\xb9"}, {0x1FB4, "\xce\xac\xce\xb9"},
    {0x1FB6, "\xce\xb1\xcd\x82"}, {0x1FB7, "\xce\xb1\xcd\x82\xce\xb9"},
    {0x1FBC, "\xce\xb1\xce\xb9"}, {0x1FC2, "\xe1\xbd\xb4\xce\xb9"}, {0x1FC3, "\xce\xb7\xce\xb9"},
    {0x1FC4, "\xce\xae\xce\xb9"}, {0x1FC6, "\xce\xb7\xcd\x82"},
    {0x1FC7, "\xce\xb7\xcd\x82\xce\xb9"}, {0x1FCC, "\xce\xb7\xce\xb9"},
    {0x1FD2, "\xce\xb9\xcc\x88\xcc\x80"}, {0x1FD3, "\xce\xb9\xcc\x88\xcc\x81"},
    {0x1FD6, "\xce\xb9\xcd\x82"}, {0x1FD7, "\xce\xb9\xcc\x88\xcd\x82"},
    {0x1FE2, "\xcf\x85\xcc\x88\xcc\x80"}, {0x1FE3, "\xcf\x85\xcc\x88\xcc\x81"},
    {0x1FE4, "\xcf\x81\xcc\x93"}, {0x1FE6, "\xcf\x85\xcd\x82"},
    {0x1FE7, "\xcf\x85\xcc\x88\xcd\x82"}, {0x1FF2, "\xe1\xbd\xbc\xce\xb9"},
    {0x1FF3, "\xcf\x89\xce\xb9"}, {0x1FF4, "\xcf\x8e\xce\xb9"}, {0x1FF6, "\xcf\x89\xcd\x82"},
    {0x1FF7, "\xcf\x89\xcd\x82\xce\xb9"}, {0x1FFC, "\xcf\x89\xce\xb9"}, {0xFB00, "\x66\x66"},
    {0xFB01, "\x66\x69"}, {0xFB02, "\x66\x6c"}, {0xFB03, "\x66\x66\x69"},
    {0xFB04, "\x66\x66\x6c"}, {0xFB05, "\x73\x74"}, {0xFB06, "\x73\x74"},
    {0xFB13, "\xd5\xb4\xd5\xb6"}, {0xFB14, "\xd5\xb4\xd5\xa5"}, {0xFB15, "\xd5\xb4\xd5\xab"},
    {0xFB16, "\xd5\xbe\xd5\xb6"}, {0xFB17, "\xd5\xb4\xd5\xad"},
};

// clang-format on

template <std::size_t N>
bool in_ranges(const CaseRange (&table)[N], char32_t point) {
  const auto* it = std::upper_bound(std::begin(table), std::end(table), point,
                                    [](char32_t p, const CaseRange& r) { return p < r.low; });
  return it != std::begin(table) && point <= std::prev(it)->high;
}

template <std::size_t N>
std::string_view find_mapping(const Mapping (&table)[N], char32_t point) {
  const auto* it = std::lower_bound(std::begin(table), std::end(table), point,
                                    [](const Mapping& m, char32_t p) { return m.from < p; });
  return it != std::end(table) && it->from == point ? it->to : std::string_view{};
}

}  // namespace

bool is_other_lower(char32_t point) { return in_ranges(kOtherLower, point); }
bool is_other_upper(char32_t point) { return in_ranges(kOtherUpper, point); }
bool is_digit_not_decimal(char32_t point) { return in_ranges(kDigits, point); }
bool is_numeric_not_number(char32_t point) { return in_ranges(kNumeric, point); }
std::string_view special_upper(char32_t point) { return find_mapping(kUpper, point); }
std::string_view special_title(char32_t point) { return find_mapping(kTitle, point); }
std::string_view special_fold(char32_t point) { return find_mapping(kFold, point); }

}  // namespace pajamas::jinja
