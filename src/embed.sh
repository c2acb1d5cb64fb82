#!/bin/sh
# A text file as a C array: embed.sh FILE SYMBOL > FILE.c gives SYMBOL[] (with a NUL behind the text) and SYMBOL_len.
set -eu
echo '#include <stddef.h>'
echo "extern const char $2[];"
echo "extern const size_t $2_len;"
echo "const char $2[] = {"
od -An -v -td1 "$1" | sed 's/  */,/g; s/^,//; s/$/,/'
echo '0};'
echo "const size_t $2_len = sizeof $2 - 1;"
