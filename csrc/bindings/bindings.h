// The Python face of the core, one Bind function per family. Bindings convert, release the GIL and raise; they compute
// nothing.
#pragma once

#include <pybind11/pybind11.h>

namespace nexttoken {

void BindArrays(pybind11::module_& module);
void BindBench(pybind11::module_& module);
void BindSample(pybind11::module_& module);
void BindSampler(pybind11::module_& module);
void BindText(pybind11::module_& module);

}  // namespace nexttoken
