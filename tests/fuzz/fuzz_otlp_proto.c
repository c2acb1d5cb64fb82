#include "fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
    fuzz_one(in, n, TSPI_FORMAT_OTLP_PROTO);
    return 0;
}
