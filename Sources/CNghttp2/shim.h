#ifndef HELIOGRAPH_CNghttp2_SHIM_H
#define HELIOGRAPH_CNghttp2_SHIM_H
#include <nghttp2/nghttp2.h>
#endif
