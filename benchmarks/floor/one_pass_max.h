#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The largest of count values; count >= 1, no NaN. */
float nexttoken_one_pass_max(const float* values, size_t count);

#ifdef __cplusplus
}
#endif
