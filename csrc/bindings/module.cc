#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <stdexcept>

#include "bindings.h"
#include "errors.h"
#include "targets.h"
#include "thread_pool.h"

namespace py = pybind11;

namespace nexttoken {
namespace {

py::typing::Dict<py::str, py::object> BuildInfo() {
  py::dict info;
  info["version"] = NEXTTOKEN_VERSION;
#if defined(__clang__)
  info["compiler"] = "clang " __clang_version__;
#else
  info["compiler"] = "g++ " __VERSION__;
#endif
  info["pybind11"] = PYBIND11_TOSTRING(PYBIND11_VERSION_MAJOR) "." PYBIND11_TOSTRING(PYBIND11_VERSION_MINOR);
  info["targets"] = RunnableTargets();
  info["active_target"] = ActiveTarget();
  info["num_threads"] = NumThreads();
  return py::typing::Dict<py::str, py::object>(info);
}

}  // namespace
}  // namespace nexttoken

PYBIND11_MODULE(_core, module, py::mod_gil_not_used()) {
  using namespace nexttoken;
  module.doc() = "The compiled core of nexttoken. Private: use the names of the package.";
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const std::invalid_argument& refused) {
      try {
        RaiseParameterError(refused.what());
      } catch (py::error_already_set& raised) {
        raised.restore();
      }
    }
  });
  // A target that NEXTTOKEN_TARGET names and this machine lacks is an error now, not at the first call.
  ActiveTarget();
  module.def("targets", &RunnableTargets);
  module.def("active_target", &ActiveTarget);
  module.def("set_target", &SetTarget, py::arg("name"));
  module.def("set_num_threads", &SetNumThreads, py::arg("threads"));
  module.def("num_threads", &NumThreads);
  module.def("build_info", &BuildInfo);
  BindArrays(module);
  BindSample(module);
  BindSampler(module);
  BindText(module);
  BindBench(module);  // after the families whose types it takes
}
