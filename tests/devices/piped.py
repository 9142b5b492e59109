"""A device that speaks lines: right, or wrong in the way its argument says."""

import sys
import time

import intref
from intref.devices.protocol import parse_tensor, tensor_text
from intref.ops import OPS


def answer(line):
    identity, op, *fields = line.split(" ")
    if op not in OPS:
        return f"{identity} unsupported"
    attrs = dict(field.split("=") for field in fields if ":" not in field)
    attrs = {k: v if OPS[op].attrs[k].choices else int(v) for k, v in attrs.items()}
    inputs = dict(parse_tensor(field) for field in fields if ":" in field)
    return " ".join([identity, *(tensor_text(n, t) for n, t in intref.call(op, inputs, attrs).items())])


def main(how):
    sys.stdin.readline()
    print("hello" if how == "header" else "intref-pipe 1", flush=True)
    for received in sys.stdin:
        line = f"7{received}" if how == "number" else received
        if how == "leaves":
            sys.exit("out of tokens")
        if how == "sleeps":
            time.sleep(60)
        if how == "garbage":
            print("what?", flush=True)
            continue
        if how == "short":
            print(answer(line.rstrip("\n"))[:-2], flush=True)
            continue
        if how == "twice":
            identity, tensor = answer(line.rstrip("\n")).split(" ")
            print(identity, tensor, tensor, flush=True)
            continue
        if how == "floods":
            while True:
                print("0" * 4096, end="")
        print(answer(line.rstrip("\n")), flush=True)


main(sys.argv[1])
