"""Arrays as NumPy sees them: a segment is mapped by numpy.load with its dtype,
shape and values, in every type and shape, and what Python writes there the
workers see, and the other way round.  fixture_numpy.c has the arrays, and
describes the pattern that is in them."""

import glob
import os
import shutil
import subprocess
import tempfile
import unittest

import numpy

TESTS = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("top_builddir", os.path.dirname(TESTS))
FIXTURE = os.path.join(BUILD, "tests", "fixture_numpy")

TYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16",
         "uint32", "uint64", "float32", "float64", "complex64", "complex128",
         "struct"]
SHAPES = [(), (5,), (3, 4), (2, 3, 4), (0,), (3, 0), (0, 2, 2)]


def dtype_of(name):
    return numpy.dtype("V12" if name == "struct" else name)


def pattern(name, shape, turn):
    """The array that holds this round of the pattern."""
    count = int(numpy.prod(shape))
    value = (7 * numpy.arange(count) + 13 * turn + 1) % 100
    if name == "struct":
        items = ((value[:, None] + numpy.arange(12)) % 256).astype("uint8")
        items = numpy.ascontiguousarray(items).view("V12")
    elif name == "bool":
        items = value % 2 == 1
    elif name.startswith("float"):
        items = (value / 4).astype(name)
    elif name.startswith("complex"):
        items = (value / 4 - 1j * value).astype(name)
    else:
        items = value.astype(name)
    return items.reshape(shape)


class Arrays(unittest.TestCase):
    def setUp(self):
        self.cluster = "test-numpy-%d-%s" % (os.getpid(),
                                             self._testMethodName[:20])
        self.home = tempfile.mkdtemp(prefix="dsm-test-numpy-")
        self.addCleanup(shutil.rmtree, self.home)
        self.fixture = subprocess.Popen([FIXTURE, self.cluster], text=True,
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.addCleanup(self.end)
        self.arrays = {}
        for line in self.fixture.stdout:
            words = line.split()
            if words == ["ready"]:
                break
            _, name, path, kind, size, *shape = words
            self.assertEqual(int(size), dtype_of(kind).itemsize)
            self.arrays[name] = path, kind, tuple(map(int, shape))
        self.assertEqual({(kind, shape)
                          for _, kind, shape in self.arrays.values()},
                         {(kind, shape) for kind in TYPES for shape in SHAPES})

    def end(self):
        self.fixture.stdin.close()
        self.fixture.stdout.close()
        self.assertEqual(self.fixture.wait(60), 0)
        left = glob.glob("/dev/shm/dsm.%d.%s*" % (os.geteuid(), self.cluster))
        self.assertEqual(left, [])

    def ask(self, *words):
        """What the fixture answers."""
        print(*words, file=self.fixture.stdin, flush=True)
        return self.fixture.stdout.readline().strip()

    def check(self, array, name, turn):
        _, kind, shape = self.arrays[name]
        self.assertEqual(array.dtype, dtype_of(kind), name)
        self.assertTrue(array.dtype.isnative, name)
        self.assertEqual(array.shape, shape, name)
        self.assertTrue(array.flags.c_contiguous, name)
        self.assertEqual(array.tobytes(), pattern(kind, shape, turn).tobytes(),
                         name)

    def test_mapped_arrays_are_shared_both_ways(self):
        mapped = {}
        for name, (path, kind, shape) in self.arrays.items():
            before = os.path.getsize(path)
            mapped[name] = numpy.load(path, mmap_mode="r+")
            self.assertIsInstance(mapped[name], numpy.memmap)
            self.assertEqual(os.path.getsize(path), before)
            self.check(mapped[name], name, 0)
            mapped[name][...] = pattern(kind, shape, 1)
        self.assertEqual(self.ask("check", 1), "ok")
        for name, (path, kind, shape) in self.arrays.items():
            self.check(mapped[name], name, 2)
        # One item is enough to be noticed.
        mapped["int16-3"][1, 2, 3] += 1
        self.assertEqual(self.ask("check", 2).split()[-1], "int16-3")
        mapped["int16-3"][1, 2, 3] -= 1
        self.assertEqual(self.ask("check", 2), "ok")

    def test_read_only_and_private_maps_work(self):
        for name, (path, kind, shape) in self.arrays.items():
            self.check(numpy.load(path, mmap_mode="r"), name, 0)
            private = numpy.load(path, mmap_mode="c")
            private[...] = pattern(kind, shape, 1)
        self.assertEqual(self.ask("check", 0), "ok")

    def test_plain_load_reads_a_copy(self):
        for name, (path, kind, shape) in self.arrays.items():
            loaded = numpy.load(path)
            self.assertNotIsInstance(loaded, numpy.memmap)
            self.check(loaded, name, 0)
            loaded[...] = pattern(kind, shape, 1)
        self.assertEqual(self.ask("check", 0), "ok")

    def test_header_is_one_that_numpy_would_write(self):
        for name, (path, kind, shape) in self.arrays.items():
            with open(path, "rb") as file:
                version = numpy.lib.format.read_magic(file)
                header = numpy.lib.format.read_array_header_1_0(file)
                self.assertEqual(version, (1, 0))
                self.assertEqual(header, (shape, False, dtype_of(kind)))
                self.assertEqual(file.tell(), 4096)

    def test_saved_files_can_be_loaded(self):
        for name, (path, kind, shape) in self.arrays.items():
            file = os.path.join(self.home, name + ".npy")
            self.assertEqual(self.ask("save", name, file), "ok")
            self.check(numpy.load(file), name, 0)
            # NumPy cannot map a file that has nothing behind its header.
            if 0 not in shape:
                self.check(numpy.load(file, mmap_mode="r"), name, 0)

    def test_files_of_numpy_can_be_loaded(self):
        for name, (path, kind, shape) in self.arrays.items():
            for major in 1, 2, 3:
                new = "%s-v%d" % (name, major)
                file = os.path.join(self.home, new + ".npy")
                with open(file, "wb") as stream:
                    numpy.lib.format.write_array(
                        stream, pattern(kind, shape, 9), version=(major, 0))
                self.assertEqual(self.ask("load", new, file), "ok")


if __name__ == "__main__":
    unittest.main()
