/* Numbers and instants as people read them. */
#ifndef TSPI_BASE_NUMBER_TEXT_H
#define TSPI_BASE_NUMBER_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* 1234567 as "1,234,567". */
void tspi_format_count(uint64_t n, char *ret, size_t size);

/* A difference: three digits or so, with its unit: "5.12 ms", "763 us", "0". */
void tspi_format_ns(int64_t ns, char *ret, size_t size);

/* 1400000 as "1.3 MiB". */
void tspi_format_bytes(uint64_t bytes, char *ret, size_t size);

/* Unix ns as "2026-11-22T18:05:12.123456789Z"; beyond what a calendar holds, the number itself. */
void tspi_format_instant(int64_t ns, char *ret, size_t size);

#endif
