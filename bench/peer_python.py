"""NumPy, multiprocessing and concurrent.futures as peers: --peer NAME PARTIES
COUNT SIZE prints the time of one operation in nanoseconds (see peer.h)."""
import concurrent.futures
import functools
import multiprocessing
import os
import signal
import statistics
import sys
import time

NOT_AVAILABLE = 77
TIME_LIMIT_S = 60
IDLE_S = 0.002
PAGE = 4096


def measure(once, count):
    for _ in range(count // 10 + 1):
        once()
    start = time.perf_counter()
    for _ in range(count):
        once()
    return (time.perf_counter() - start) / count * 1e9


def measure_singly(once, count):
    times = []
    for _ in range(count):
        time.sleep(IDLE_S)
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e9


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


def read_pages(data):
    return sum(data[::PAGE])


@functools.lru_cache
def large(mib):
    """A worker keeps it, so that a result is not made anew."""
    return bytes(mib << 20)


def put_all(queue, size):
    for i in range(size):
        queue.put(i)


def queue_operation(size):
    """A process puts them all, this one gets them all."""
    queue = multiprocessing.Queue()

    def once():
        process = multiprocessing.Process(target=put_all, args=(queue, size))
        process.start()
        for _ in range(size):
            queue.get()
        process.join()
    return once


def futures_operation(name, executor, size):
    if name == "futures-one":
        return lambda: executor.submit(identity, 0).result()
    if name == "futures-submit":
        return lambda: [future.result() for future in
                        [executor.submit(identity, i) for i in range(size)]]
    sys.exit(NOT_AVAILABLE)


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
    if name == "pool-echo":
        lines = [i.to_bytes(64, "little") for i in range(size)]
        return lambda: pool.map(identity, lines)
    if name == "pool-apply":
        return lambda: pool.apply(identity, (0,))
    if name == "pool-argument":
        data = large(size)
        return lambda: pool.apply(read_pages, (data,))
    if name == "pool-result":
        return lambda: read_pages(pool.apply(large, (size,)))
    sys.exit(NOT_AVAILABLE)


def main():
    name, parties, count, size = sys.argv[2], *map(int, sys.argv[3:])
    signal.alarm(TIME_LIMIT_S)
    os.environ["OPENBLAS_NUM_THREADS"] = str(parties)
    if name.startswith("numpy-"):
        print(measure(numpy_operation(name, size), count))
        return
    if name == "queue":
        print(measure(queue_operation(size), count))
        return
    take_time = measure
    if name.endswith("-idle"):
        name, take_time = name[:-len("-idle")], measure_singly
    if name.startswith("futures-"):
        with concurrent.futures.ProcessPoolExecutor(parties) as executor:
            print(take_time(futures_operation(name, executor, size), count))
        return
    with multiprocessing.Pool(parties) as pool:
        print(take_time(pool_operation(name, pool, parties, size), count))


if __name__ == "__main__":
    main()
