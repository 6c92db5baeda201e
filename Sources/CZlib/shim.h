#ifndef HELIOGRAPH_CZlib_SHIM_H
#define HELIOGRAPH_CZlib_SHIM_H
#include <zlib.h>
#endif
