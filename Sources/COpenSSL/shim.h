#ifndef HELIOGRAPH_COpenSSL_SHIM_H
#define HELIOGRAPH_COpenSSL_SHIM_H
#include <openssl/ssl.h>
#endif
