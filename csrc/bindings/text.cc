// Stop strings and streamed text (nexttoken/stop.h) for Python.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexttoken/stop.h"

namespace py = pybind11;

namespace nexttoken {

void BindText(py::module_& m) {
  py::class_<StopAutomaton, std::shared_ptr<StopAutomaton>>(
      m, "StopAutomaton",
      "Stop strings prepared for matching over bytes. Immutable: any number of streams and threads may share one.\n\n"
      "An answer is cut at the leftmost occurrence of any of them in the whole text.")
      .def(py::init([](const std::vector<py::bytes>& stops) {
             // The views live as long as the argument, and the automaton keeps none of them.
             return std::make_shared<StopAutomaton>(std::vector<std::string_view>(stops.begin(), stops.end()));
           }),
           py::arg("stops"), "Raises ValueError for an empty stop string.");

  py::class_<TextStream>(m, "TextStream",
                         "One answer: the exact bytes of its tokens in, text that is safe to show out.\n\n"
                         "What push() and finish() return concatenates to the answer's bytes, cut at the stop string\n"
                         "and decoded with errors=\"replace\", however the bytes were split; half a character at the\n"
                         "end of a text that no stop string cuts is left out.")
      .def(py::init([](std::optional<std::shared_ptr<StopAutomaton>> automaton, bool strip_leading_space) {
             return TextStream(automaton.value_or(nullptr), strip_leading_space);
           }),
           py::arg("automaton"), py::kw_only(), py::arg("strip_leading_space") = false,
           "automaton None: no stop strings. strip_leading_space drops the answer's first byte if it is a space.")
      .def(
          "push",
          [](TextStream& stream, const py::bytes& token_bytes) {
            if (stream.closed()) {
              throw py::value_error("push() on a closed stream: it was finished, or a stop string ended it");
            }
            const std::string_view bytes = token_bytes;
            std::string text;
            const bool stopped = stream.Push(bytes.data(), bytes.size(), &text);
            return std::make_pair(std::move(text), stopped);
          },
          py::arg("token_bytes"),
          "Feed one token's bytes. Returns the text now safe to show, and whether it is certain which stop string "
          "ends\n"
          "the answer: that closes the stream. Raises ValueError on a closed stream.")
      .def(
          "finish",
          [](TextStream& stream) {
            std::string text;
            stream.Finish(&text);
            return text;
          },
          "The text ends here: returns what is held back, up to the leftmost stop string if one is complete, and\n"
          "closes the stream. Returns \"\" on a closed one.")
      .def_property_readonly(
          "matched_stop",
          [](const TextStream& stream) -> std::optional<int32_t> {
            if (stream.matched_stop() < 0) return std::nullopt;
            return stream.matched_stop();
          },
          "Index of the stop string that the answer is cut at; None if there is none, or none for certain yet.")
      .def_property_readonly("shown_bytes", &TextStream::shown_bytes,
                             "How many of the bytes pushed the text returned so far covers; in the end, the position\n"
                             "of the cut.")
      .def_property_readonly("closed", &TextStream::closed, "Whether the answer has ended.")
      .def("copy", [](const TextStream& stream) { return stream; }, "A stream that continues from the same state.");
}

}  // namespace nexttoken
