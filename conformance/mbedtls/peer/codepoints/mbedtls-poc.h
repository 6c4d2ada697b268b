/* Code points of mbedtls-poc. Made by "attls profile header". */
#ifndef MBEDTLS_POC_H
#define MBEDTLS_POC_H

#define MBEDTLS_POC_EXTENSION_EVIDENCE_PROPOSAL 0x0064

#endif
