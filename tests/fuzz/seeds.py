#!/usr/bin/env python3
"""Writes the inputs from which fuzzing the pool and the texts begins:
corpus/pool and corpus/texts.  See the heads of fuzz_pool.c and fuzz_texts.c."""
import os
import struct

STEPS = ("damage submit perform bury see next damage2 cancel release be_gone "
         "look errand").split()
AREAS = "work block board again ended queued jobs bodies".split()
READERS = ("cgroups nodes children reference file_names name workers "
           "ended_trace names_in_trace").split()

# Bits of submit's `how`; the last handle is the first to be used.
LAST, CALLBACK, CAPTURE, NAMED, LARGE, SMALL, NO_HANDLE, THREE = (
    1 << k for k in range(8))
FIRST_HANDLE, SECOND_HANDLE = 7, 6
# What a job's function does: perform's value.
PUBLISH, PUBLISH_MUCH, WAIT, RETURN, RETURN_MUCH, FAIL, PRINT, END = (
    1 << k for k in range(8))
# And callbacks.
LOOK_AWAY, RELEASE = 256, 512
# Of next: 0 takes a job.
POLL, POLL_WITH_BELL, DRAIN = 4, 6, 8


def step(name, how=0, place=0, value=0):
    return struct.pack("<BBHQ", STEPS.index(name), how, place, value)


def damage(area, place, value, log2_size=3):
    return step("damage", AREAS.index(area) | log2_size << 4, place, value)


def perform(worker, value=0, steps=0, points=0):
    return step("perform", worker | steps << 4, points, value)


POOL = {
    "run": [
        step("submit", SMALL | NAMED),
        step("submit", THREE | CALLBACK),
        step("submit", LAST | LARGE | CAPTURE),
        perform(0, PUBLISH | RETURN | PRINT),
        perform(1, PUBLISH_MUCH | RETURN_MUCH),
        step("see", 0, FIRST_HANDLE),
        step("see", LAST, FIRST_HANDLE),
        step("next", POLL),
        step("next", LAST),
        step("release", 0, FIRST_HANDLE),
        step("release", LAST, FIRST_HANDLE),
    ],
    "die": [
        step("submit", SMALL | CAPTURE, 0, 2),
        perform(0, RETURN_MUCH | PUBLISH_MUCH, points=9),
        step("bury", 0),
        perform(1, RETURN_MUCH, points=30),
        step("bury", 1),
        perform(0),
        step("see", 0, FIRST_HANDLE),
        step("next"),
        step("release", 0, FIRST_HANDLE),
    ],
    "cancel": [
        step("submit", SMALL),
        step("submit"),
        perform(0, steps=3),
        step("see", 0, FIRST_HANDLE),
        step("cancel", 2, FIRST_HANDLE),
        step("look", 1),
        step("bury", 0),
        step("next"),
        step("cancel", 0, SECOND_HANDLE),
        step("next"),
    ],
    "gone": [
        step("submit", LAST | THREE),
        perform(1, RETURN, steps=2),
        step("be_gone", LAST),
        step("look", 1),
        step("submit", LAST),
        perform(0),
        step("next", LAST),
        step("look", 1),
    ],
    "crates": [
        step("submit", LARGE),
        perform(0, RETURN_MUCH),
        step("see", 0, FIRST_HANDLE),
        step("release", 0, FIRST_HANDLE),
        step("submit", LARGE),
        perform(1, PUBLISH_MUCH | RETURN_MUCH),
        step("see", 0, FIRST_HANDLE),
        step("next"),
        step("release", 0, FIRST_HANDLE),
    ],
    "callback": [
        step("submit", SMALL | CALLBACK),
        perform(0, PUBLISH | RETURN, steps=1),
        step("next", POLL),
        step("next", POLL_WITH_BELL),
        step("submit", CALLBACK | NO_HANDLE),
        perform(1, PUBLISH_MUCH),
        step("next", POLL),
        step("next", DRAIN),
        step("submit", CALLBACK),
        perform(0, PUBLISH | LOOK_AWAY, steps=1),
        step("next", POLL),
        perform(0, RELEASE),
        step("next", POLL),
    ],
    "block": [
        step("submit", THREE),
        perform(0, points=1),
        perform(1, RETURN_MUCH | RETURN),
        step("bury", 0),
        perform(0, END),
        step("bury", 0),
        step("next", DRAIN),
    ],
    "ring_full": [
        damage("board", 12, 64), # the tail of the least priority
        step("submit"),
        perform(0),
        step("next"),
    ],
    "damaged": [
        step("submit", SMALL),
        damage("jobs", 4, 1 << 40),
        perform(0, RETURN),
        damage("bodies", 16, 0xffffffff, 2),
        damage("ended", 0, 0x100000007),
        step("see", 0, FIRST_HANDLE),
        step("next"),
    ],
}

TEXTS = {
    "cgroup_2": ("cgroups", b"0::/user.slice/a.scope\n\xff8589934592\n"
                 b"\xff1073741824\n\xffanon 4096\ninactive_file 8192\n"
                 b"active_file 4096\n\xff\xff\xff150000 100000\n"),
    "cgroup_1": ("cgroups", b"9:memory:/docker/b\n8:cpu,cpuacct:/docker/b\n"
                 b"\xff\xff\xfftotal_inactive_file 8192\n"
                 b"\xff9223372036854771712\n\xff65536\n"),
    "nodes": ("nodes", b"0-1,3\n"),
    "children": ("children", b"12 4242 13 "),
    "symbol": ("reference", b"/libc\0getppid\0"),
    "place": ("reference", b"/libc\0+1a2b3:123456789abcdef\0"),
    "file_names": ("file_names", b"a\na.A\na..ctl\nb-c_1.x\n"),
    "name": ("name", b"a-b_C9"),
    "workers": ("workers", b"64"),
    "ended": ("ended_trace", b'[\n,{"ph":"X","args":{}}\n,{"ph":"X"'),
    "named": ("names_in_trace", b'a "name" \\ {}\xc3\xa9'),
}


def write(noun, name, data):
    folder = os.path.join(os.path.dirname(__file__), "corpus", noun)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


for name, steps in POOL.items():
    write("pool", name, b"".join(steps))
for name, (reader, text) in TEXTS.items():
    write("texts", name, bytes([READERS.index(reader)]) + text)
