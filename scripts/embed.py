"""scripts/embed.py FILE NAME -- FILE as C: const char NAME[] and NAME_len. JSON is checked and squeezed."""
import json
import sys

path, name = sys.argv[1:]
data = open(path, "rb").read()
if path.endswith(".json"):
    data = json.dumps(json.loads(data), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
print(f"/* made from {path} */\nextern const char {name}[];\nextern const unsigned {name}_len;")
rows = [",".join(str(c if c < 128 else c - 256) for c in data[i:i + 24]) for i in range(0, len(data), 24)]
print(f"const char {name}[] = {{\n" + ",\n".join(rows) + f",0}};\nconst unsigned {name}_len = {len(data)};")
