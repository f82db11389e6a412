"""tests/unit/clients/cli/bars/record.py KIND 2>KIND.raw -- what tqdm and rich write when they draw several rows at once.

Needs tqdm and rich (pip). `docker` is in the words of docker pull, which asks for a daemon."""
import sys,time
kind=sys.argv[1]
if kind=="tqdm-position":
    from tqdm import tqdm
    a=tqdm(total=20,desc="outer",position=0); b=tqdm(total=40,desc="inner",position=1)
    for i in range(40):
        b.update(1); b.refresh()
        if i%2: a.update(1); a.refresh()
        if i==20: tqdm.write("a line in between",file=sys.stderr)
    b.close(); a.close()
    print("after the bars",file=sys.stderr)
elif kind=="tqdm-nested":
    from tqdm import tqdm
    for e in tqdm(range(3),desc="epochs",mininterval=0):
        for i in tqdm(range(10),desc=f"epoch {e}",mininterval=0,leave=False): pass
        tqdm.write(f"epoch {e} loss=2.{e}",file=sys.stderr)
    print("after the bars",file=sys.stderr)
elif kind=="tqdm-nested-left":
    from tqdm import tqdm
    for e in tqdm(range(3),desc="epochs",mininterval=0):
        for i in tqdm(range(10),desc=f"steps",mininterval=0): pass
    print("after the bars",file=sys.stderr)
elif kind=="tqdm-unnamed":
    from tqdm import tqdm
    for e in tqdm(range(3),mininterval=0):
        for i in tqdm(range(10),mininterval=0,leave=False): pass
    print("after the bars",file=sys.stderr)
elif kind=="rich-progress":
    from rich.progress import Progress
    from rich.console import Console
    with Progress(console=Console(force_terminal=True,file=sys.stderr,width=80),auto_refresh=False) as p:
        ts=[p.add_task(f"{n}…",total=30) for n in ("Downloading","Processing","Cooking")]
        for i in range(30):
            for t in ts: p.advance(t)
            p.refresh()
            if i==10: p.console.print("a line in between")
    print("after the bars",file=sys.stderr)
elif kind=="rich-live":
    from rich.live import Live
    from rich.table import Table
    from rich.console import Console
    def tab(i):
        t=Table(); t.add_column("rank"); t.add_column("loss")
        for r in range(3): t.add_row(str(r),f"{2.5-i*0.01:.3f}")
        return t
    with Live(tab(0),console=Console(force_terminal=True,file=sys.stderr,width=60),auto_refresh=False) as l:
        for i in range(20): l.update(tab(i),refresh=True)
    print("after the bars",file=sys.stderr)
elif kind=="docker":
    w=sys.stderr.write
    ids=["a3ed95caeb02","a7c2f0d1e9b4","0f1e2d3c4b5a"]
    for i in ids: w(f"{i}: Pulling fs layer\n")
    for k in range(0,101,10):
        for n,i in enumerate(ids):
            up=3-n
            w(f"\x1b[{up}A\x1b[2K\r{i}: Downloading [{'='*(k//10)}>{' '*(10-k//10)}]  {k}MB/100MB\r\x1b[{up}B")
    for n,i in enumerate(ids):
        up=3-n
        w(f"\x1b[{up}A\x1b[2K\r{i}: Pull complete\r\x1b[{up}B")
    w("Digest: sha256:1234\n")
