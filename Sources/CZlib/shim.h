#ifndef HELIOGRAPH_CZlib_SHIM_H
#define HELIOGRAPH_CZlib_SHIM_H
/* The input of a stream is only read. */
#define ZLIB_CONST
#include <zlib.h>
#endif
