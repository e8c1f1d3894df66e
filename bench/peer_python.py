"""NumPy and multiprocessing as peers: --peer NAME PARTIES COUNT SIZE prints the
time of one operation in nanoseconds (see peer.h)."""
import multiprocessing
import os
import signal
import sys
import time

NOT_AVAILABLE = 77
TIME_LIMIT_S = 60


def measure(once, count):
    for _ in range(count // 10 + 1):
        once()
    start = time.perf_counter()
    for _ in range(count):
        once()
    return (time.perf_counter() - start) / count * 1e9


def numpy_operation(name, size):
    """A call of NumPy's, on arrays that were made and touched before."""
    try:
        import numpy
    except ImportError:
        sys.exit(NOT_AVAILABLE)
    random = numpy.random.default_rng(1)
    if name == "numpy-random":
        out = numpy.ones(size)
        return lambda: random.random(out=out)
    if name == "numpy-random-philox":
        philox = numpy.random.Generator(numpy.random.Philox(1))
        out = numpy.ones(size)
        return lambda: philox.random(out=out)
    x = random.random(size)
    x *= 2
    x -= 1
    if name == "numpy-sum":
        return lambda: x.sum()
    out = numpy.ones(size)
    if name == "numpy-dot":
        return lambda: x.dot(out)
    if name == "numpy-scan":
        return lambda: numpy.cumsum(x, out=out)
    if name == "numpy-map":
        return lambda: numpy.add(numpy.multiply(x, 2, out=out), 1, out=out)
    mask = x > 0
    kept = out[:numpy.count_nonzero(mask)]
    if name == "numpy-filter":
        return lambda: numpy.compress(x > 0, x, out=kept)
    if name == "numpy-pack":
        return lambda: numpy.compress(mask, x, out=kept)
    sys.exit(NOT_AVAILABLE)


def linear(x):
    return 2 * x + 1


def identity(x):
    return x


def pool_operation(name, pool, parties, size):
    if name == "pool-region":
        return lambda: pool.map(identity, range(parties), chunksize=1)
    if name == "pool-map":
        items = [float(i) for i in range(size)]
        return lambda: pool.map(linear, items)
    if name == "pool-empty-1":
        return lambda: pool.map(identity, range(size), chunksize=1)
    if name == "pool-empty":
        return lambda: pool.map(identity, range(size))
    sys.exit(NOT_AVAILABLE)


def main():
    name, parties, count, size = sys.argv[2], *map(int, sys.argv[3:])
    signal.alarm(TIME_LIMIT_S)
    os.environ["OPENBLAS_NUM_THREADS"] = str(parties)
    if name.startswith("numpy-"):
        print(measure(numpy_operation(name, size), count))
        return
    with multiprocessing.Pool(parties) as pool:
        print(measure(pool_operation(name, pool, parties, size), count))


if __name__ == "__main__":
    main()
