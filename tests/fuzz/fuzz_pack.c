/* Sniffing, and gzip and zstd with tight limits. What unpacks must pack and unpack to the same. */
#include "fuzz_wire.h"
#include "wire/wire_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
    tspi_wire_options options = {.max_plain_bytes = 1 << 20, .max_ratio = 1000};
    enum tspi_compression compression = tspi_pack_sniff(in, n);
    tspi_buf plain = {0}, packed = {0}, again = {0};
    enum tspi_format format;
    bool cut = false;

    if (compression != TSPI_PLAIN && tspi_pack_undo("in", in, n, compression, &options, &plain, &cut, NULL) == TSP_OK) {
        FUZZ_CHECK(tspi_pack_redo("in", plain.data, plain.len, compression, &packed, NULL) == TSP_OK);
        FUZZ_CHECK(tspi_pack_undo("in", packed.data, packed.len, compression, &options, &again, &cut, NULL) == TSP_OK);
        FUZZ_CHECK(again.len == plain.len && (!plain.len || !memcmp(again.data, plain.data, plain.len)));
        if (tspi_wire_sniff(plain.data, plain.len, &format, NULL) == TSP_OK)
            fuzz_one(plain.data, plain.len, TSPI_FORMAT_AUTO);
    }
    if (tspi_wire_sniff(in, n, &format, NULL) == TSP_OK)
        fuzz_one(in, n, TSPI_FORMAT_AUTO);
    tspi_buf_release(&plain);
    tspi_buf_release(&packed);
    tspi_buf_release(&again);
    return 0;
}
