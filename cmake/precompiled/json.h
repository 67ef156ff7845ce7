// Of the libraries whose sources read or write JSON.
#pragma once

#include "standard.h"

#include <nlohmann/json.hpp>
