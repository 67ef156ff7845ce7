// Names of the library that parses the command line. Its header takes a compiler longer than most
// sources of this program together with everything else they include: whoever registers options or
// reads them includes it, headers and whoever hands an App on include this.
#pragma once

namespace CLI {
class App;
class Option;
class ParseError;
class Validator;
}  // namespace CLI
