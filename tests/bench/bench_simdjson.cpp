// simdjson's DOM of the same bytes; of JSON lines each line's.
#include <cstddef>
#include <cstdint>
#include <simdjson.h>

extern "C" int bench_simdjson_parse(const uint8_t *bytes, size_t len);

int bench_simdjson_parse(const uint8_t *bytes, size_t len)
{
    static simdjson::dom::parser parser;
    simdjson::dom::document_stream documents;
    const char *text = reinterpret_cast<const char *>(bytes);

    if (len > 1 && bytes[0] == '{' && bytes[1] == '"' && bytes[2] == 'r') {
        if (parser.parse_many(text, len, size_t(1) << 20).get(documents))
            return 0;
        size_t seen = 0;
        for (auto document : documents)
            seen += document.error() == simdjson::SUCCESS;
        return seen > 0;
    }
    return parser.parse(text, len, true).error() == simdjson::SUCCESS;
}
