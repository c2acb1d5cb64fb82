"""Write an assembler file that holds a file's bytes between two hidden symbols: embed.py FILE SYMBOL OUT.S"""
import os
import sys

path, symbol, out = sys.argv[1:]
with open(out, "w") as f:
    f.write(f"""    .section .rodata
    .balign 64
    .global {symbol}
    .hidden {symbol}
{symbol}:
    .incbin "{os.path.abspath(path)}"
    .global {symbol}_end
    .hidden {symbol}_end
{symbol}_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
""")
