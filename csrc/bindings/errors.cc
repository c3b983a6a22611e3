#include "errors.h"

#include <pybind11/pybind11.h>

namespace py = pybind11;

namespace nexttoken {
namespace {

[[noreturn]] void Raise(const char* name, const std::string& message) {
  const py::object type = py::module_::import("nexttoken.exceptions").attr(name);
  PyErr_SetString(type.ptr(), message.c_str());
  throw py::error_already_set();
}

}  // namespace

void RaiseParameterError(const std::string& message) {
  Raise("ParameterError", message);
}
void RaiseParameterTypeError(const std::string& message) {
  Raise("ParameterTypeError", message);
}
void RaiseDeviceError(const std::string& message) {
  Raise("DeviceError", message);
}

}  // namespace nexttoken
