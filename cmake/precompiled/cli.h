// Of the command line.
#pragma once

#include "json.h"

#include <CLI/CLI.hpp>
