"""scripts/embed_web.py OUT.c DIR FILE… -- the page's files as one table in C (serve/web_int.h).

Each FILE becomes an entry: its name, media type, an ETag made of its content, its bytes as they are and
packed with gzip where that is smaller. The bytes are taken in by the assembler: packed ones lie in DIR.
"""
import gzip
import hashlib
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
         ".webmanifest": "application/manifest+json", ".png": "image/png"}

out_path, packed_dir, *files = sys.argv[1:]
os.makedirs(packed_dir, exist_ok=True)
blobs, rows = [], []


def blob(symbol, path):
    blobs.append(f'        ".global {symbol}\\n{symbol}:\\n.incbin \\"{path}\\"\\n"')
    return f"extern const char {symbol}[];"


decls = []
for n, path in enumerate(sorted(files, key=os.path.basename)):
    name, data = os.path.basename(path), open(path, "rb").read()
    kind = TYPES[os.path.splitext(name)[1]]
    tag = hashlib.sha256(data).hexdigest()[:16]
    decls.append(blob(f"web__{n}", path))
    packed = gzip.compress(data, 9, mtime=0)
    packed_row = "NULL, 0"
    if len(packed) < len(data):
        packed_path = os.path.join(packed_dir, name + ".gz")
        open(packed_path, "wb").write(packed)
        decls.append(blob(f"web__{n}_gz", packed_path))
        packed_row = f"web__{n}_gz, {len(packed)}"
    rows.append(f'    {{"{name}", "{kind}", "{tag}", web__{n}, {len(data)}, {packed_row}}},')

with open(out_path, "w") as f:
    f.write("/* made by scripts/embed_web.py */\n#include \"serve/web_int.h\"\n\n"
            "__asm__(\".pushsection .rodata\\n\"\n" + "\n".join(blobs) + "\n        \".popsection\\n\");\n"
            + "\n".join(decls) + "\n\nconst struct web_asset web_assets[] = {\n" + "\n".join(rows)
            + f"\n}};\nconst unsigned web_asset_count = {len(rows)};\n")
