#!/usr/bin/python3
"""Counts the words of a file as examples/wordcount does, in the usual way of
Python: a pool of processes, each of which counts a range of the file.

usage: wordcount_peer.py FILE [PROCESSES]
"""

import collections
import multiprocessing
import os
import re
import sys


def borders(path, parts):
    """Splits a file into ranges of about the same size that end with lines."""
    size = os.path.getsize(path)
    ends = [0]
    with open(path, 'rb') as file:
        for part in range(1, parts):
            file.seek(max(size * part // parts, ends[-1]))
            file.readline()
            ends.append(file.tell())
    return ends + [size]


def count(job):
    path, begin, end = job
    with open(path, 'rb') as file:
        file.seek(begin)
        chunk = file.read(end - begin)
    return collections.Counter(re.findall(rb'[A-Za-z]+', chunk.lower()))


def main():
    path = sys.argv[1]
    parts = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    ends = borders(path, parts)
    with multiprocessing.Pool(parts) as pool:
        jobs = [(path, *job) for job in zip(ends, ends[1:])]
        words, *others = pool.map(count, jobs)
    for other in others:
        words.update(other)
    sys.stdout.buffer.writelines(
        b'%7d %s\n' % (n, word) for word, n in sorted(words.items()))


if __name__ == '__main__':
    main()
