// Exceptions of nexttoken.exceptions, raised from C++.
#pragma once

#include <string>

namespace nexttoken {

[[noreturn]] void RaiseParameterError(const std::string& message);
[[noreturn]] void RaiseParameterTypeError(const std::string& message);
[[noreturn]] void RaiseDeviceError(const std::string& message);

}  // namespace nexttoken
