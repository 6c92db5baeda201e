#ifndef HELIOGRAPH_CHiredis_SHIM_H
#define HELIOGRAPH_CHiredis_SHIM_H
#include <hiredis/hiredis.h>
#endif
