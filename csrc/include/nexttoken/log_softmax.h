// Step 13 of the sampling contract: a logit's logprob, once the sum over all of them is known.
#pragma once

#include "nexttoken/host_device.h"

namespace nexttoken {

struct LogSoftmax {
  float max = 0.0f;
  double temperature = 1.0;
  double log_sum = 0.0;  // of exponentials relative to the maximum

  // The exponent of z relative to the maximum; 0 also where both are +inf.
  NEXTTOKEN_HD double Exponent(float z) const {
    return z == max ? 0.0 : (static_cast<double>(z) - static_cast<double>(max)) / temperature;
  }
  NEXTTOKEN_HD float Of(float z) const { return static_cast<float>(Exponent(z) - log_sum); }
};

}  // namespace nexttoken
