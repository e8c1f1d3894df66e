#!/usr/bin/env python3
"""Writes the inputs from which fuzzing the pool begins: corpus/pool.  See the
head of fuzz_pool.c."""
import os
import struct

STEPS = ("damage submit perform bury see next damage2 cancel release be_gone "
         "look errand").split()
AREAS = "work block board again ended queued jobs bodies".split()

# Bits of submit's `how`; the last handle is the first to be used.
LAST, CALLBACK, CAPTURE, NAMED, LARGE, SMALL, NO_HANDLE, THREE = (
    1 << k for k in range(8))
FIRST_HANDLE, SECOND_HANDLE = 7, 6
# What a job's function does: perform's value.
PUBLISH, PUBLISH_MUCH, WAIT, RETURN, RETURN_MUCH, FAIL, PRINT = (
    1 << k for k in range(7))
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


def write(noun, name, data):
    folder = os.path.join(os.path.dirname(__file__), "corpus", noun)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


for name, steps in POOL.items():
    write("pool", name, b"".join(steps))
