"""Traces: what $DSM_TRACE names is valid JSON however a cluster ended, has every
region and chunk that was counted, and the spans of a worker are disjoint or
within each other.  fixture_trace.c is the cluster that does things."""

import collections
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

TESTS = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("top_builddir", os.path.dirname(TESTS))
FIXTURE = os.path.join(BUILD, "tests", "fixture_trace")
ASOR = os.path.join(BUILD, "examples", "asor")
HISTOGRAM = os.path.join(BUILD, "examples", "histogram")
WORKERS = 3

Span = collections.namedtuple("Span", "begin end cat name args")


def read(path):
    with open(path, "rb") as file:
        return json.load(file)["traceEvents"]


def ns(microseconds):
    return round(microseconds * 1000)


def spans(path):
    """The spans of each worker, in the order of their beginnings."""
    rows = collections.defaultdict(list)
    for event in read(path):
        if event["ph"] == "X":
            begin = ns(event["ts"])
            rows[event["tid"]].append(
                Span(begin, begin + ns(event["dur"]), event["cat"],
                     event["name"], event["args"]))
    for row in rows.values():
        row.sort(key=lambda span: (span.begin, -span.end))
    return rows


def parent(pid):
    with open("/proc/%d/stat" % pid) as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def descriptors_of(pid, path):
    """How many descriptors of the process are open on files so named."""
    return sum(os.readlink(fd).startswith(path)
               for fd in glob.glob("/proc/%d/fd/*" % pid))


class Traces(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="dsm-test-trace-")
        self.addCleanup(shutil.rmtree, self.home)
        self.path = os.path.join(self.home, "trace.json")
        self.clusters = []
        self.fixtures = []
        self.addCleanup(self.check_nothing_left)

    def check_nothing_left(self):
        for fixture in self.fixtures:
            if fixture.poll() is None:
                fixture.kill()
                fixture.wait()
            fixture.stdin.close()
            fixture.stdout.close()
        for name in self.clusters:
            self.until(lambda: not glob.glob(
                "/dev/shm/dsm.%d.%s*" % (os.geteuid(), name)))

    def until(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it never came")
            time.sleep(0.002)

    def start(self, *words, trace=None, program=FIXTURE):
        name = "test-trace-%d-%s-%d" % (
            os.getpid(), self._testMethodName[5:17], len(self.clusters))
        environment = dict(os.environ)
        environment.pop("DSM_TRACE", None)
        if trace != "":
            environment["DSM_TRACE"] = trace or self.path
        fixture = subprocess.Popen([program, name, *words], executable=FIXTURE,
                                   stdin=subprocess.PIPE, env=environment,
                                   stdout=subprocess.PIPE, text=True)
        self.clusters.append(name)
        self.fixtures.append(fixture)
        fixture.pids = list(map(int, self.answer(fixture).split()[1:]))
        return fixture

    def answer(self, fixture):
        return fixture.stdout.readline().strip()

    def ask(self, fixture, command):
        print(command, file=fixture.stdin, flush=True)
        return self.answer(fixture)

    def counts(self, fixture):
        numbers = list(map(int, self.ask(fixture, "counts").split()))
        return list(zip(numbers[::2], numbers[1::2]))

    def end(self, fixture):
        """Lets the cluster go; what had been counted before."""
        counts = self.counts(fixture)
        fixture.stdin.close()
        self.assertEqual(fixture.wait(60), 0)
        return counts

    def size(self):
        return os.path.getsize(self.path)

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def check_nesting(self, rows):
        for row in rows.values():
            around = []
            for span in row:
                while around and around[-1].end <= span.begin:
                    around.pop()
                if around:
                    self.assertLessEqual(span.end, around[-1].end,
                                         (around[-1], span))
                around.append(span)

    def check_counts(self, rows, counts, workers):
        for w in workers:
            kinds = collections.Counter(span.cat for span in rows[w])
            self.assertEqual((kinds["region"], kinds["chunk"]), counts[w])
            regions = [span for span in rows[w] if span.cat == "region"]
            for chunk in (span for span in rows[w] if span.cat == "chunk"):
                self.assertTrue(any(region.begin <= chunk.begin
                                    and chunk.end <= region.end
                                    for region in regions), chunk)

    def check(self, counts, workers=range(WORKERS)):
        """What the file must be; its spans."""
        rows = spans(self.path)
        self.assertEqual(sorted(rows), list(range(WORKERS)))
        self.check_counts(rows, counts, workers)
        self.check_nesting(rows)
        return rows

    # ---- What is recorded.

    def work(self, fixture):
        commands = ["run", "for 0 0 20000", "for 1 0 100", "for 1 3 100",
                    "for 2 1 10000", "for 3 2 500", "for 4 1 3000", "run"]
        for command in commands:
            self.assertEqual(self.ask(fixture, command), "ok", command)
        return len(commands)

    def test_every_region_and_chunk_is_there(self):
        for words in [], ["works"]:
            fixture = self.start(*words)
            regions = self.work(fixture)
            rows = self.check(self.end(fixture))
            for w in range(WORKERS):
                numbers = [span.args["number"] for span in rows[w]
                           if span.cat == "region"]
                self.assertEqual(numbers, list(range(1, regions + 1)))

    def test_chunks_are_all_items_of_a_loop(self):
        fixture = self.start()
        self.assertEqual(self.ask(fixture, "for 2 1 5000"), "ok")
        rows = self.check(self.end(fixture))
        items = sorted((span.args["begin"], span.args["end"])
                       for row in rows.values() for span in row
                       if span.cat == "chunk")
        self.assertEqual(items, [(i, i + 1) for i in range(5000)])

    def test_waits_are_named(self):
        for words in [], ["works"]:
            fixture = self.start(*words)
            for kind, cat, name in [("worker", "barrier", "barrier"),
                                    ("robust", "barrier", "barrier robust"),
                                    ("lock", "lock", "lock lock")]:
                self.assertEqual(self.ask(fixture, "meet " + kind), "ok")
            rows = self.check(self.end(fixture))
            for w in 1, 2:
                found = {(span.cat, span.name) for span in rows[w]}
                self.assertLessEqual({("barrier", "barrier"),
                                      ("barrier", "barrier robust"),
                                      ("lock", "lock lock")}, found)

    def test_waits_at_pthread_barriers_are_there(self):
        fixture = self.start()
        self.assertEqual(self.ask(fixture, "meet pthread"), "ok")
        rows = self.check(self.end(fixture))
        for row in rows.values():
            self.assertIn("barrier pthread", [span.name for span in row])

    def test_times_are_of_the_cluster(self):
        before = time.monotonic_ns()
        fixture = self.start()
        self.assertEqual(self.ask(fixture, "meet worker"), "ok")
        rows = self.check(self.end(fixture))
        passed = time.monotonic_ns() - before
        for row in rows.values():
            for span in row:
                self.assertTrue(0 <= span.begin <= span.end <= passed, span)
        # All are in the region before worker 0 lets the others go.
        regions = [next(span for span in row if span.cat == "region")
                   for row in rows.values()]
        self.assertLess(max(span.begin for span in regions),
                        min(span.end for span in regions))

    def test_rows_have_names(self):
        program = b'a"b\\c{d}}\n\xff\xc3\xa4\xc0\xaf'
        fixture = self.start(program=program)
        self.assertEqual(self.ask(fixture, "run"), "ok")
        self.check(self.end(fixture))
        names = {(event["name"], event.get("tid")): event["args"]
                 for event in read(self.path) if event["ph"] == "M"}
        self.assertEqual(names["process_name", None]["name"],
                         'a"b\\c{d}}\n\xff\xe4\xc0\xaf, cluster %s'
                         % self.clusters[0])
        for w in range(WORKERS):
            self.assertEqual(names["thread_name", w], {"name": "worker %d" % w})
            self.assertEqual(names["thread_sort_index", w], {"sort_index": w})
        self.assertEqual({event["pid"] for event in read(self.path)},
                         {fixture.pid})

    def test_idle_workers_have_written(self):
        fixture = self.start()
        self.assertEqual(self.ask(fixture, "for 1 1 30"), "ok")
        for w in range(WORKERS):
            self.until(lambda: '"tid":%d,"ts"' % w in self.text())
        self.check(self.end(fixture))

    # ---- The file.

    def test_off_there_is_none(self):
        fixture = self.start(trace="")
        self.work(fixture)
        traced = self.start()
        for f, n in (fixture, 0), (traced, 1):
            pids = [f.pid, parent(f.pids[0]), *f.pids]
            self.assertEqual([descriptors_of(pid, self.home) for pid in pids],
                             [n] * len(pids))
        fds = [len(os.listdir("/proc/%d/fd" % pid))
               for pid in (fixture.pids[0], traced.pids[0])]
        self.assertEqual(fds[0], fds[1] - 1)
        self.end(fixture)
        self.end(traced)
        self.assertEqual(os.listdir(self.home), ["trace.json"])

    def test_what_cannot_be_opened_fails(self):
        os.mkfifo(os.path.join(self.home, "fifo"))
        for name, text in [("no/where", "No such file or directory"),
                           (".", "Is a directory"),
                           ("fifo", "is no regular file"),
                           ("x" * 5000, "too long")]:
            name = os.path.join(self.home, name)
            done = subprocess.run([FIXTURE, "test-trace-%d" % os.getpid()],
                                  env=dict(os.environ, DSM_TRACE=name),
                                  stdin=subprocess.DEVNULL, text=True,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 1)
            self.assertIn("DSM_TRACE: ", done.stderr)
            self.assertIn(text, done.stderr)

    def test_an_old_file_is_replaced(self):
        with open(self.path, "w") as file:
            file.write("x" * 100000)
        fixture = self.start()
        self.assertEqual(self.ask(fixture, "run"), "ok")
        self.check(self.end(fixture))

    def test_a_second_cluster_has_another_file(self):
        fixture = self.start()
        self.assertEqual(self.ask(fixture, "run"), "ok")
        for turn in 2, 3:
            self.assertEqual(self.ask(fixture, "twin"), "ok")
            rows = spans("%s.%d" % (self.path, turn))
            self.assertEqual([len(row) for row in rows.values()], [1, 1])
        self.check(self.end(fixture))
        # A program that comes later may have the names again, a program that
        # comes meanwhile may not.
        fixture = self.start()
        other = self.start()
        self.assertEqual(self.ask(other, "run"), "ok")
        self.assertEqual(self.ask(fixture, "for 1 1 30"), "ok")
        self.end(other)
        self.check(self.end(fixture))
        rows = spans(self.path + ".2")
        self.assertEqual([len(row) for row in rows.values()], [1] * WORKERS)

    def test_events_cut_short_are_blanked(self):
        fixture = self.start()
        self.assertEqual(self.ask(fixture, "for 1 1 30"), "ok")
        event = b'\n,{"ph":"X","pid":1,"tid":0,"ts":1.000,"args":{"n":1}}'
        for length in range(1, len(event)):
            with open(self.path, "ab") as file:
                file.write(event[:length])
            if length % 9 == 0:
                self.assertEqual(self.ask(fixture, "run"), "ok")
        self.check(self.end(fixture))

    # ---- Deaths.

    def test_a_dead_worker_leaves_a_valid_file(self):
        for how, code in [("kill", "DSM_EWORKER"), ("exit", "DSM_EWORKER"),
                          ("fail", "DSM_EFAILED")]:
            fixture = self.start()
            self.assertEqual(self.ask(fixture, "run"), "ok")
            self.assertEqual(self.ask(fixture, "die " + how), code)
            self.assertEqual(self.ask(fixture, "for 1 1 30"), "ok")
            rows = self.check(self.end(fixture), [0, 2])
            # Its replacement goes on in its row.
            self.assertEqual([span.args["number"] for span in rows[1]
                              if span.cat == "region"][-1], 3)
            # All that it had done before it ended itself, and the last 30.
            if how != "kill":
                self.assertEqual([span.args["begin"] for span in rows[1]
                                  if span.cat == "chunk"],
                                 [*range(1, 199, 3), *range(1, 30, 3)])

    def test_workers_killed_while_they_write(self):
        fixture = self.start()
        for turn in range(10):
            size = self.size()
            self.assertEqual(self.ask(fixture, "storm"), "ok")
            self.until(lambda: self.size() > size + 200000)
            victim = int(self.ask(fixture, "pids").split()[1])
            os.kill(victim, signal.SIGKILL)
            self.assertEqual(self.ask(fixture, "wait"), "DSM_EWORKER")
        self.check(self.end(fixture), [0, 2])

    def test_the_controller_is_killed(self):
        for words in [], ["works"]:
            fixture = self.start(*words)
            supervisor = parent(fixture.pids[1])
            if words:
                self.assertEqual(self.ask(fixture, "for 1 1 90000"), "ok")
            else:
                self.assertEqual(self.ask(fixture, "storm"), "ok")
                self.until(lambda: self.size() > 500000)
            fixture.kill()
            fixture.wait()
            self.until(lambda: not alive(supervisor))
            rows = spans(self.path)
            self.check_nesting(rows)
            self.assertGreater(sum(map(len, rows.values())), 1000)

    def test_the_supervisor_is_killed(self):
        for turn in range(5):
            fixture = self.start()
            self.assertEqual(self.ask(fixture, "storm"), "ok")
            self.until(lambda: self.size() > 500000)
            os.kill(parent(fixture.pids[0]), signal.SIGKILL)
            fixture.stdin.close()
            self.assertEqual(fixture.wait(60), 0)
            rows = spans(self.path)
            self.check_nesting(rows)
            self.assertGreater(sum(map(len, rows.values())), 1000)

    # ---- A real program.

    def test_an_example(self):
        def asor(*words):
            done = subprocess.run([ASOR, "-p", "2", *words, "--poisson",
                                   "20x20"], stdout=subprocess.DEVNULL,
                                  env=dict(os.environ, DSM_TRACE=self.path))
            self.assertEqual(done.returncode, 0)

        asor("--sync")
        rows = spans(self.path)
        self.check_nesting(rows)
        for w in 0, 1:
            self.assertLess({"region"}, {span.cat for span in rows[w]})
        asor("--scaling")
        # With one worker first, then with two.
        self.assertEqual(sorted(spans(self.path)), [0])
        self.assertEqual(sorted(spans(self.path + ".2")), [0, 1])

    def test_jobs(self):
        """Jobs of an example, each in the row of the worker that ran it."""
        done = subprocess.run([HISTOGRAM, "-p", "2", "-j", "200", "-n",
                               "20000"], stdout=subprocess.DEVNULL,
                              env=dict(os.environ, DSM_TRACE=self.path))
        self.assertEqual(done.returncode, 0)
        rows = spans(self.path)
        self.check_nesting(rows)
        self.assertEqual(sorted(rows), [0, 1])
        jobs = [span for row in rows.values() for span in row
                if span.cat == "job"]
        self.assertEqual(len(jobs), 200)


if __name__ == "__main__":
    unittest.main()
