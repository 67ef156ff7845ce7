// Of the test programs.
#pragma once

#include "json.h"

#include <gtest/gtest.h>
